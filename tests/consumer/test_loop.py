"""The loop over the real engine: what it does when a commit, a base read or a partition fails."""

from __future__ import annotations

from typing import Any

import pytest
from world import World, batch_of

from flurry_fast.consumer.state import LoopState
from flurry_fast.errors import RegistryMismatch, StoreUnavailable
from flurry_fast.sinks.base import Stop
from flurry_fast.sinks.counters import CountersSink


class Error:
    """What the drain says of a partition."""

    def __init__(self, name: str, partition: int = 0) -> None:
        self.name, self.partition, self.reason = name, partition, "because"


def calm(records: int = 30) -> World:
    return World(records)


def test_a_failed_commit_is_made_again() -> None:
    world = calm()
    process = world.process
    process.finish()
    process.clock.now += 10
    process.loop.turn()
    assert world.commits[0][0] == 30
    world.commits.clear()
    process.source.stats.commit_failures += 1
    process.clock.now += 10
    process.loop.turn()
    assert world.commits[0][0] == 30
    states: list[LoopState] = []
    process.loop._publish = states.append
    process.clock.now += 10
    process.loop.turn()
    assert states[-1].commits_failing_since is not None
    process.source.stats.commits += 1
    process.clock.now += 10
    process.loop.turn()
    assert states[-1].commits_failing_since is None


def test_a_base_read_is_tried_again_and_in_the_end_ends_the_process() -> None:
    world = calm()
    world.process.finish()
    process = world.restart()
    world.now = world.log[0][1]  # hours that have stored blocks
    for _ in range(10):
        world.produce()
    failures = [StoreUnavailable("locked")] * 3
    read = process.store.read

    def failing(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return read(*arguments)

    process.store.read = failing  # type: ignore[method-assign]
    process.finish()
    assert failures == []
    assert world.compare().exact
    failures += [StoreUnavailable("locked")] * 1000
    process.engine.evict(0)
    for _ in range(10):
        world.produce()
    with pytest.raises(StoreUnavailable):
        process.finish()


def test_what_ended_it_is_told_whatever_leaving_the_group_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    process = calm().process
    process.loop.turn()
    closed: list[None] = []

    def close() -> None:
        """As KafkaSource: only the first call does something."""
        closed.append(None)
        if len(closed) == 1:
            raise RuntimeError("it is not in the current assignment")

    monkeypatch.setattr(process.source, "close", close)
    with pytest.raises(StoreUnavailable, match="why it ended"), process.loop.leaving():
        raise StoreUnavailable("why it ended")
    assert closed
    assert process.loop.assignment.giving_up


def test_an_offset_that_left_the_log_stops_the_partition_and_other_errors_do_not() -> None:
    world = calm()
    process = world.process
    process.loop.turn()
    drain = process.source.drain
    errors = [Error("_TRANSPORT"), Error("_AUTO_OFFSET_RESET", 3)]
    process.source.drain = lambda *a: (drain(*a)[0], [errors.pop()] if errors else [])  # type: ignore[method-assign]
    process.loop.turn()
    process.loop.turn()
    assert process.loop.assignment.active == {0}
    errors.append(Error("_AUTO_OFFSET_RESET"))
    process.loop.turn()
    assert process.loop.assignment.active == set()
    assert "no longer in the log" in process.loop.assignment.partitions[0].stopped["counters"]


def test_an_offset_that_left_the_log_because_the_topic_was_made_again_ends_the_process() -> None:
    process = calm().process
    process.loop.turn()
    process.incarnation += 1
    process.source.drain = lambda *_: (None, [Error("_AUTO_OFFSET_RESET")])  # type: ignore[method-assign]
    with pytest.raises(RegistryMismatch, match="deleted and made again"):
        process.loop.turn()


def test_a_jump_in_the_offsets_stops_the_partition() -> None:
    world = calm()
    process = world.process
    process.loop.turn()
    process.source.drain = lambda *_: (batch_of(world.log[:2], 500, 0), [])  # type: ignore[method-assign]
    process.loop.turn()
    assert process.loop.assignment.active == set()
    assert process.sink.durable(0) is None


def test_a_truncated_log_is_noticed_by_the_record_before_the_position() -> None:
    world = calm()
    world.process.finish()
    world.log[29] = (b"another record", world.log[29][1])
    world.restart()
    for _ in range(5):
        world.process.loop.turn()
    assert world.process.loop.assignment.active == set()
    assert "counters" in world.process.loop.assignment.partitions[0].stopped


def test_a_log_that_is_shorter_than_the_position_is_noticed() -> None:
    world = calm()
    world.process.finish()
    del world.log[20:]
    world.restart()
    world.process.loop.turn()
    assert "truncated" in world.process.loop.assignment.partitions[0].stopped["counters"]


def test_a_stop_of_a_sink_reaches_the_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    world = calm()
    process = world.process
    process.loop.turn()
    monkeypatch.setattr(CountersSink, "poll", lambda self: [Stop(0, "its disk is gone")])
    process.loop.turn()
    assert process.loop.assignment.partitions[0].stopped == {"counters": "its disk is gone"}


def test_the_state_says_where_everything_stands() -> None:
    world = calm()
    process = world.process
    states: list[LoopState] = []
    process.loop._publish = states.append
    process.finish()
    process.clock.now += 10
    process.loop.turn()
    state = states[-1]
    assert state.phase == "running"
    assert state.records == 30
    assert state.partitions[0].next == 30
    assert state.partitions[0].durable == {"counters": 30}
    assert state.rebalances == {"assigned": 1}
    assert sum(state.unreadable.values()) == sum(line["outcome"] != "ok" for line in world.lines)
    assert state.engine["data_points"] > 0
