"""Where reading starts, in which order a partition is begun, and when a guess is refused."""

from __future__ import annotations

import pytest
from clocks import ManualClock
from simulated import REGISTRATION, STORE_ID, RecordingEngine, SimulatedSource, StubArchive, StubSink

from flurry_fast.consumer.assignment import Assignment
from flurry_fast.consumer.frontier import Frontier, commit_metadata
from flurry_fast.errors import PositionMissing, StoreCorrupt, StoreUnavailable
from flurry_fast.positions import ArchivePosition, CountersPosition, PositionTable
from flurry_fast.stores import MemoryStore


class World:
    """An assignment over two sinks and a log."""

    def __init__(self, *sinks: StubSink, log: tuple[int, int] = (0, 100)) -> None:
        self.source = SimulatedSource(dict.fromkeys(range(4), log))
        self.engine, self.clock = RecordingEngine(), ManualClock()
        self.table = PositionTable(MemoryStore(STORE_ID), plan=5, incarnation=7, generation=0)
        self.sinks = sinks
        self.frontier = Frontier(self.source, sinks, REGISTRATION)
        self.drained: list[bool] = []
        self.assignment = Assignment(
            self.source,
            self.engine,
            sinks,
            self.frontier,
            self.table,
            self.clock,
            drain_seconds=3.0,
            drained=self.drained.append,
        )

    def assigned(self, number: int = 0) -> dict[str, object]:
        self.assignment.assigned({number})
        return self.engine.assigned.get(number, {})

    def reasons(self, number: int = 0) -> dict[str, str]:
        return self.assignment.partitions[number].stopped


def test_reading_starts_one_below_the_lowest_position() -> None:
    world = World(StubSink({0: 40}), StubArchive({0: 30}))
    told = world.assigned()
    assert told == {
        "log_start": 0,
        "counters": CountersPosition(40),
        "archive": ArchivePosition(30),
        "read_from": 29,
        "recall_from": None,
    }
    assert world.source.reading == {0: 29}
    assert world.assignment.active == {0}


@pytest.mark.parametrize(("position", "start"), [(20, 20), (21, 20), (100, 99)])
def test_the_record_before_is_read_only_if_it_is_still_in_the_log(position: int, start: int) -> None:
    world = World(StubSink({0: position}), log=(20, 100))
    assert world.assigned()["read_from"] == start


def test_a_first_start_claims_the_archive_before_the_counters_at_one_offset() -> None:
    order: list[str] = []
    archive, counters = StubArchive({}), StubSink({})
    for sink in (archive, counters):
        begin = sink.begin
        sink.begin = lambda number, offset, b=begin, n=sink.name: (order.append(n), b(number, offset))[1]  # type: ignore[method-assign]
    world = World(counters, archive, log=(20, 100))
    told = world.assigned()
    assert order == ["archive", "counters"]
    assert archive.begun == counters.begun == [(0, 20)]
    assert told["read_from"] == 20
    assert world.table.began("counters", 0) == world.table.began("archive", 0) == 20


def test_counters_begin_at_the_archives_origin_after_a_crash_between_the_two() -> None:
    world = World(StubSink({}), StubArchive({0: 70}, origins={0: 30}), log=(10, 100))
    assert world.assigned()["counters"] == CountersPosition(30)
    assert world.source.reading == {0: 29}


def test_counters_do_not_begin_above_the_archives_origin() -> None:
    world = World(StubSink({}), StubArchive({0: 70}, origins={0: 30}), log=(31, 100))
    told = world.assigned()
    assert told["counters"] is None
    assert told["archive"] == ArchivePosition(70)
    assert "would miss what was between" in world.reasons()["counters"]
    assert world.frontier.durable(0) is None  # nothing is committed for it


def test_counters_alone_respect_an_archive_of_another_process() -> None:
    world = World(StubSink({}), log=(31, 100))
    world.table.note_began("archive", 0, 30)
    world.assigned()
    assert world.assignment.active == set()
    assert world.source.paused == {0}
    later = World(StubSink({}), log=(10, 100))
    later.table.note_began("archive", 0, 30)
    assert later.assigned()["counters"] == CountersPosition(30)


def test_an_archive_added_beside_counters_stops_for_itself_only() -> None:
    world = World(StubSink({0: 50}), StubArchive({}))
    world.table.put(0, CountersPosition(50))
    told = world.assigned()
    assert (told["counters"], told["archive"]) == (CountersPosition(50), None)
    assert "hole that nobody recorded" in world.reasons()["archive"]
    assert "counters" not in world.reasons()


def test_a_lost_position_is_not_a_first_start() -> None:
    world = World(StubSink({}))
    world.table.note_began("counters", 0, 0)
    world.assigned()
    assert "their position is gone" in world.reasons()["counters"]
    assert world.assignment.active == set()


def test_what_another_process_begins_meanwhile_is_followed_not_taken_for_lost() -> None:
    archive, counters = StubArchive({}), StubSink({})
    world = World(archive, counters)
    ask = world.source.watermarks

    def beaten(number: int) -> tuple[int, int]:  # after both sinks were asked where they stand
        if not archive.stands:
            for sink, position in ((archive, ArchivePosition(0)), (counters, CountersPosition(0))):
                sink.stands[number] = position
                world.table.note_began(sink.name, number, 0)
            world.table.put(number, CountersPosition(0))
        return ask(number)

    world.source.watermarks = beaten  # type: ignore[method-assign]
    told = world.assigned()
    assert (told["archive"], told["counters"]) == (ArchivePosition(0), CountersPosition(0))
    assert (world.reasons(), archive.begun, counters.begun) == ({}, [], [])


def test_a_beginning_that_was_not_noted_is_noted_before_anything_is_counted() -> None:
    world = World(StubSink({0: 30}), StubArchive({0: 40}, {0: 10}))
    world.assigned()
    assert (world.table.began("counters", 0), world.table.began("archive", 0)) == (30, 10)
    later = World(StubSink({0: 50}))
    later.table.note_began("counters", 0, 30)
    later.assigned()
    assert later.table.began("counters", 0) == 30


def test_what_retention_takes_while_a_time_is_looked_up_is_not_taken_for_older_than_the_window() -> None:
    world = World(StubSink({0: 40}, lambda offset: CountersPosition(offset, max_timestamp=100)), log=(5, 100))
    world.engine.window = 10
    world.table.note_began("counters", 0, 0)

    def look_up(number: int, timestamp: int) -> int:
        world.source.logs[number] = (20, 100)  # the first of that time was 5 to 19
        return 20

    world.source.offset_for_time = look_up  # type: ignore[method-assign]
    world.assigned()
    assert "must know whose sessions came" in world.reasons()["counters"]


def test_a_commit_of_this_store_without_a_position_is_not_a_first_start() -> None:
    world = World(StubSink({}))
    world.source.commits[0] = (9, commit_metadata(REGISTRATION.incarnation, REGISTRATION.store_id))
    world.assigned()
    assert "has no position" in world.reasons()["counters"]
    other = World(StubSink({}))
    other.source.commits[0] = (9, "another incarnation's")
    assert other.assigned()["counters"] == CountersPosition(0)


def test_a_position_below_the_log_is_read_again_then_stops_the_sink() -> None:
    counters, archive = StubSink({0: 10}), StubArchive({0: 60})
    world = World(counters, archive, log=(20, 100))
    told = world.assigned()
    assert told["counters"] is None
    assert "flurry-fast gap record" in world.reasons()["counters"]
    moved = StubSink({0: 10})
    locate, answers = moved.locate, [CountersPosition(10), CountersPosition(25)]
    moved.locate = lambda number: answers.pop(0) if answers else locate(number)  # type: ignore[method-assign]
    assert World(moved, log=(20, 100)).assigned()["counters"] == CountersPosition(25)


def test_a_position_above_the_log_stops_the_partition() -> None:
    world = World(StubSink({0: 101}), StubArchive({0: 60}))
    assert world.assigned() == {}
    assert all("truncated" in reason for reason in world.reasons().values())
    assert set(world.reasons()) == {"counters", "archive"}
    assert world.source.paused == {0}


def test_a_partition_waits_for_a_store_that_does_not_answer_and_others_go_on() -> None:
    counters = StubSink({0: 40, 1: 50})
    world = World(counters)
    counters.fail = StoreUnavailable("locked")
    world.assignment.assigned({0})
    assert world.source.paused == {0}
    assert world.assignment.partitions[0].waiting_for == "StoreUnavailable: locked"
    counters.fail = None
    world.assignment.assigned({1})
    assert world.assignment.active == {1}
    world.clock.now += 60
    world.assignment.poll()
    assert world.assignment.active == {0, 1}
    assert world.source.paused == set()
    assert world.source.reading == {0: 39, 1: 49}


def test_corruption_ends_the_process() -> None:
    counters = StubSink({})
    counters.fail = StoreCorrupt("bad bytes")
    with pytest.raises(StoreCorrupt):
        World(counters).assigned()


def test_a_revoke_drains_every_sink_then_commits_then_drops() -> None:
    counters, archive = StubSink({0: 40}), StubArchive({0: 30})
    world = World(counters, archive)
    world.assigned()
    counters.assigned[0] = CountersPosition(45)
    archive.drain_result = False
    world.assignment.revoked({0})
    assert counters.drains == archive.drains == [{0}]
    assert world.drained == [False]
    assert world.source.commits[0][0] == 30
    assert counters.dropped == archive.dropped == [0]
    assert world.engine.assigned == {}
    assert world.source.unassigned == [{0}]
    assert world.assignment.partitions == {}


def test_what_is_lost_is_dropped_and_not_committed() -> None:
    world = World(StubSink({0: 40}))
    world.assigned()
    world.assignment.lost({0})
    assert world.source.commits == {}
    assert world.sinks[0].drains == []
    assert world.engine.assigned == {}


def test_after_a_failure_nothing_is_written_any_more() -> None:
    world = World(StubSink({0: 40}))
    world.assigned()
    world.assignment.giving_up = True
    world.source.subscribe(world.assignment)
    world.source.close()
    assert world.sinks[0].drains == []
    assert world.source.commits == {}


def test_a_rewind_reads_again_from_one_below() -> None:
    world = World(StubSink({0: 40}), StubArchive({0: 40}))
    world.assigned()
    world.assignment.rewind(0, 35, "counters")
    world.assignment.rewind(0, 30, "counters")
    world.source.fail = StoreUnavailable("broker is away")
    world.assignment.poll()
    assert world.engine.rewound == []
    world.source.fail = None
    world.clock.now += 60
    world.assignment.poll()
    assert world.engine.rewound == [(0, 29)]
    assert world.source.reading == {0: 29}
    world.assignment.poll()
    assert len(world.engine.rewound) == 1


def test_a_rewind_is_never_a_leap() -> None:
    """The sink that asks may be ahead of what was read, where another is far behind: it is woken, no more."""
    world = World(StubSink({0: 40}), StubArchive({0: 10}))
    world.assigned()
    world.engine.window = 1_000
    world.assignment.rewind(0, 40, "counters")
    world.assignment.poll()
    assert world.engine.rewound == [(0, 9)]
    assert world.source.reading == {0: 9}


def test_a_rewind_below_the_log_stops_the_partition() -> None:
    world = World(StubSink({0: 40}))
    world.assigned()
    world.source.logs[0] = (38, 100)
    world.assignment.rewind(0, 35, "counters")
    world.assignment.poll()
    assert world.assignment.active == set()
    assert "retention removed" in world.reasons()["counters"]


def test_rewinds_of_two_sinks_below_the_log_stop_both() -> None:
    world = World(StubSink({0: 40}), StubArchive({0: 40}))
    world.assigned()
    world.source.logs[0] = (38, 100)
    world.assignment.rewind(0, 35, "counters")
    world.assignment.rewind(0, 34, "archive")
    world.assignment.poll()
    assert world.assignment.active == set()
    assert set(world.reasons()) == {"counters", "archive"}
    world.assignment.poll()
    assert world.assignment.active == set()


def test_one_sink_stops_and_the_other_goes_on() -> None:
    counters, archive = StubSink({0: 40}), StubArchive({0: 30})
    world = World(counters, archive)
    world.assigned()
    counters.stands[0] = CountersPosition(45)
    world.assignment.stop(0, "disk is gone", ["archive"])
    assert archive.dropped == [0]
    assert world.engine.assigned == {}
    world.assignment.poll()  # it starts again, for the counters alone
    assert world.engine.assigned[0]["archive"] is None
    assert world.engine.assigned[0]["counters"] == CountersPosition(45)
    assert world.source.reading == {0: 44}
    assert world.assignment.active == {0}
    world.assignment.stop(0, "cut")
    assert world.assignment.active == set()
    assert world.source.paused == {0}
    assert world.reasons() == {"archive": "disk is gone", "counters": "cut"}
    world.assignment.poll()
    assert world.assignment.active == set()


def test_an_archive_without_its_origin_stops_alone_and_counters_are_not_begun_beside_it() -> None:
    archive = StubArchive({})
    archive.fail = PositionMissing("files but no origin")
    world = World(StubSink({0: 40}), archive)
    told = world.assigned()
    assert (told["counters"], told["archive"]) == (CountersPosition(40), None)
    assert world.reasons() == {"archive": "files but no origin"}
    fresh = World(StubSink({}), archive)
    assert fresh.assigned() == {}
    assert "not whole" in fresh.reasons()["counters"]


def test_a_sink_that_fails_to_take_a_partition_leaves_nothing_behind() -> None:
    counters = StubSink({0: 40})
    world = World(counters)
    assign, failures = counters.assign, [StoreUnavailable("no")]

    def failing(number: int, position: object) -> None:
        if failures:
            raise failures.pop()
        assign(number, position)

    counters.assign = failing  # type: ignore[method-assign]
    world.assigned()
    assert world.engine.assigned == {}
    assert world.assignment.active == set()
    world.clock.now += 60
    world.assignment.poll()
    assert world.engine.assigned[0]["counters"] == CountersPosition(40)
    assert world.assignment.active == {0}


# --- whose sessions came before -------------------------------------------------------------------------------------


def knowing(*sinks: StubSink, log: tuple[int, int] = (0, 100)) -> World:
    """Counters that stand at 40, where Kafka's time is 1,000, under a plan whose window is 100."""
    world = World(StubSink({0: 40}, lambda offset: CountersPosition(offset, max_timestamp=1000)), *sinks, log=log)
    world.table.note_began("counters", 0, 0)
    world.engine.window = 100
    world.source.times[900] = 25
    return world


def test_the_past_is_read_from_the_log_before_the_first_record_that_counts() -> None:
    told = knowing(StubArchive({0: 35})).assigned()
    assert (told["recall_from"], told["read_from"]) == (25, 25)


def test_counters_without_a_past_stop_and_the_archive_goes_on() -> None:
    world = knowing(StubArchive({0: 35}), log=(30, 100))
    told = world.assigned()
    assert (told["counters"], told["read_from"]) == (None, 34)
    assert "must know whose sessions came" in world.reasons()["counters"]
    assert world.assignment.active == {0}


def test_after_a_shed_the_counters_wake_with_their_past() -> None:
    world = knowing()
    world.assigned()
    world.table.put(0, CountersPosition(40, max_timestamp=1000))
    world.assignment.rewind(0, 40, "counters")
    world.assignment.poll()
    assert world.engine.woken == [(0, 40, 25)]
    assert world.engine.rewound == [(0, 25)]
    assert world.source.reading == {0: 25}


@pytest.mark.parametrize("archive", [20, 30, 39, 40])
@pytest.mark.parametrize("first", ["counters", "archive"])
def test_counters_wake_also_where_the_archive_wants_the_same_records(first: str, archive: int) -> None:
    """The archive's word was taken for both once, and the counters slept until the next rebalance."""
    world = knowing(StubArchive({0: archive}), log=(0, 100))
    world.assigned()
    world.table.put(0, CountersPosition(40, max_timestamp=1000))
    wanted = {"counters": 40, "archive": archive}
    for sink in sorted(wanted, key=lambda sink: sink != first):
        world.assignment.rewind(0, wanted[sink], sink)
    world.assignment.poll()
    assert [(partition, position) for partition, position, _ in world.engine.woken] == [(0, 40)]
    assert world.engine.rewound == [(0, world.source.reading[0])]
    assert world.source.reading[0] <= archive - 1


def test_who_wakes_stands_where_the_position_is_even_if_the_sink_saw_an_older_one() -> None:
    world = knowing()
    (counters,) = world.sinks
    world.assigned()
    world.table.put(0, CountersPosition(44, max_timestamp=1000))
    world.assignment.rewind(0, 40, "counters")
    world.assignment.poll()
    assert world.engine.woken[0][:2] == (0, 44)
    assert counters.assigned[0].position == 44, "another owner moved it meanwhile"


def test_counters_that_can_not_be_woken_sleep_on_until_the_next_try() -> None:
    world = knowing()
    world.assigned()
    world.table.put(0, CountersPosition(40, max_timestamp=1000))
    world.source.fail_seek = StoreUnavailable("the broker does not answer")
    world.assignment.rewind(0, 40, "counters")
    world.assignment.poll()
    assert world.engine.woken == [(0, 40, 25), (0, 40, None)]
    assert world.engine.rewound == []
    world.source.fail_seek = None
    world.clock.now += 60
    world.assignment.poll()
    assert world.engine.rewound == [(0, 25)]


def test_counters_whose_past_is_gone_stop_instead_of_waking() -> None:
    world = knowing(StubArchive({0: 35}))
    world.assigned()
    world.table.put(0, CountersPosition(40, max_timestamp=1000))
    world.source.logs[0] = (30, 100)
    world.assignment.rewind(0, 40, "counters")
    world.assignment.poll()
    assert "must know whose sessions came" in world.reasons()["counters"]
    assert world.engine.woken == []
