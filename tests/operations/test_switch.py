"""Plan switches: step by step, and dying at every call of the store."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from flurry_fast import _core
from flurry_fast.errors import PositionMissing, PositionOutsideLog, RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.operations.bounded import PartitionStuck
from flurry_fast.operations.switch import SwitchRefused, SwitchUnfinished, Target, abort, look, switch
from flurry_fast.positions import CountersPosition
from flurry_fast.registry import State
from flurry_fast.spans import Range, Spans

from ..verify.logs import INCARNATION
from ..verify.rules import counted_by_other_rules
from .switching import NEW, OLD, Died, DyingStore, Installation, calls_of, positions


def test_the_old_plan_counts_to_its_end_and_the_new_one_from_there() -> None:
    there = Installation()
    assert positions(there, OLD) == [12, 12]
    opened = there.switch(NEW)
    assert opened == there.state == State(3, 0, NEW.id)
    assert there.told == ["close", "end", "run", "place", "open"]
    assert positions(there, OLD) == positions(there, NEW) == [30, 30]
    assert there.registry().history() == [State(1, 0, OLD.id), State(2, 0, OLD.id, closing=NEW.id), opened]
    there.produce(5)
    there.assert_exact()
    assert positions(there, OLD) == [30, 30]
    assert positions(there, NEW) == [39, 39]
    spans = Spans(there.store, there.registry())
    assert spans.ranges(OLD.id, INCARNATION, 0) == [Range(0, 30)]
    assert spans.ranges(NEW.id, INCARNATION, 1) == [Range(30, None)]
    assert spans.positions() == {
        (plan.id, INCARNATION, number): at for plan, at in ((OLD, 30), (NEW, 39)) for number in (0, 1)
    }


def test_what_the_next_process_must_know_is_carried_over() -> None:
    there = Installation()
    there.switch(NEW)
    registration = there.registry().registered()
    old = there.registry().positions(dataclasses.replace(registration, plan=OLD.id)).get(0)
    assert old is not None
    assert old.crc is not None
    assert there.registry().positions(registration).get(0) == old
    assert there.registry().positions(registration).began("counters", 0) == 30


def test_a_switch_to_the_open_plan_does_nothing() -> None:
    there = Installation()
    assert look(there.store, there.registry(), Target(OLD.id, OLD.toml)).open
    assert there.switch(OLD) == State(1, 0, OLD.id)
    assert there.told == []


def test_looking_changes_nothing() -> None:
    there = Installation()
    seen = look(there.store, there.registry(), Target(NEW.id, NEW.toml))
    assert (seen.open, seen.under_way, seen.positions, seen.ends) == (False, False, {0: 12, 1: 12}, {})
    assert there.registry().history() == [State(1, 0, OLD.id)]
    there.stop_after = 0
    with pytest.raises(SwitchUnfinished):
        there.switch(NEW)
    seen = look(there.store, there.registry(), Target(NEW.id, NEW.toml))
    assert (seen.open, seen.under_way, seen.ends) == (False, True, {0: 30, 1: 30})


def test_an_interrupted_run_is_continued() -> None:
    there = Installation()
    there.stop_after = 3
    with pytest.raises(SwitchUnfinished, match=r"records left to count.*same command"):
        there.switch(NEW)
    assert there.state.closing == NEW.id
    there.produce(6)  # X stays where it is
    there.stop_after = None
    there.switch(NEW)
    assert positions(there, OLD) == [30, 30]
    there.assert_exact()


def test_nothing_was_counted_yet() -> None:
    there = Installation()
    there.store.__init__()  # type: ignore[misc]
    with pytest.raises(SwitchRefused, match=r"Nothing was counted.*plan\.path"):
        there.switch(NEW)
    with pytest.raises(SwitchRefused, match="Nothing was counted"):
        abort(there.registry(), lambda: 0)


def test_another_target_is_refused_while_one_is_under_way() -> None:
    there = Installation()
    there.stop_after = 0
    with pytest.raises(SwitchUnfinished):
        there.switch(NEW)
    third = _core.Plan.parse(NEW.toml.replace("cap = 2", "cap = 3"))
    for other in (third, OLD):
        with pytest.raises(SwitchRefused, match=rf"{OLD.id:08x} to {NEW.id:08x} is under way.*--abort"):
            there.switch(other)


def test_a_rollup_name_keeps_its_dimensions() -> None:
    there = Installation()
    other = _core.Plan.parse(OLD.toml.replace('dimensions = ["country"]', 'dimensions = ["country", "network"]'))
    with pytest.raises(SwitchRefused, match=r"Rollup country .* has dimensions country, here.*another name"):
        there.switch(other)
    assert there.state == State(1, 0, OLD.id)


# --- taking it back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", range(1, 14))
def test_a_switch_can_be_taken_back_until_the_plan_is_open(calls: int) -> None:
    """Also after X was recorded, and after positions of the new plan were put there."""
    there = Installation()
    total = calls_of(lambda store: Installation().switch(NEW, store), lambda: Installation().store)
    with pytest.raises(Died):
        there.switch(NEW, DyingStore(there.store, total * calls // 14, applied=True))
    state = there.registry().settle()  # what it had decided is done
    assert state is not None
    if state.closing is None:  # it died before it began
        with pytest.raises(SwitchRefused, match="No plan switch is under way"):
            abort(there.registry(), lambda: 0)
    else:
        assert abort(there.registry(), lambda: 0) == State(3, 0, OLD.id)
    there.produce(7)
    there.assert_exact()  # the old plan went on, past that X
    assert Spans(there.store, there.registry()).ranges(NEW.id, INCARNATION, 0) == []
    there.produce(8)
    there.switch(NEW)
    there.produce(9)
    there.assert_exact()
    assert Spans(there.store, there.registry()).ranges(OLD.id, INCARNATION, 0) == [Range(0, 48)]


def test_a_switch_that_was_taken_back_meanwhile_does_not_open() -> None:
    there = Installation()
    seams = there.seams()

    def tell(step: str, _ends: object) -> None:
        if step == "place":
            abort(there.registry(), lambda: 0)

    with pytest.raises(RegistryMismatch, match="closed while this process ran"):
        switch(dataclasses.replace(seams, tell=tell), Target(NEW.id, NEW.toml))
    assert there.state == State(3, 0, OLD.id)
    there.assert_exact()


def test_a_switch_that_was_taken_back_while_it_ran_says_so() -> None:
    """The old plan went on past its X meanwhile: that is no damage."""
    there = Installation()

    def run(*_: object) -> None:
        abort(there.registry(), lambda: 0)
        there.produce(4)
        there.consumer(OLD).run()

    with pytest.raises(RegistryMismatch, match="closed while this process ran"):
        switch(dataclasses.replace(there.seams(), run=run), Target(NEW.id, NEW.toml))
    assert positions(there, NEW) == [None, None]
    there.assert_exact()


# --- dying -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Died, StoreUnavailable])
@pytest.mark.parametrize("applied", [False, True])
def test_a_switch_that_died_anywhere_is_finished_by_the_same_command(applied: bool, error: type[BaseException]) -> None:
    total = calls_of(lambda store: Installation().switch(NEW, store), lambda: Installation().store)
    assert total > 40
    retried = 0
    for calls in range(1, total + 1):
        there = Installation()
        try:
            there.switch(NEW, DyingStore(there.store, calls, applied=applied, error=error))
            retried += 1  # a failure that a sink tries again
            assert error is StoreUnavailable
        except error:
            there.produce(calls)
            there.switch(NEW)
        there.produce(100 + calls, reports=3)
        there.assert_exact()
    assert error is Died or retried > 0


# --- zombies ---------------------------------------------------------------------------------------------------------


def test_no_process_of_the_old_plan_writes_after_the_close() -> None:
    there = Installation()
    started_before = there.consumer(OLD)
    for partition in there.logs:
        started_before.read(partition, 100)
    there.stop_after = 0
    with pytest.raises(SwitchUnfinished):
        there.switch(NEW)
    with pytest.raises(RegistryMismatch, match="until that is done nobody counts"):
        started_before.flush()
    for plan in (OLD, NEW):
        with pytest.raises(RegistryMismatch, match="until that is done nobody counts"):
            there.consumer(plan)
    there.stop_after = None
    there.produce(1)
    there.switch(NEW)
    with pytest.raises(RegistryMismatch, match="was switched to plan"):
        started_before.registry.verify(started_before.registration)
    there.assert_exact()


def test_a_write_that_is_late_by_a_whole_switch_ends_at_x_or_below() -> None:
    """It froze, read the registry, and slept; its cells arrive when the new plan has long been counting."""
    there = Installation()
    zombie = there.consumer(OLD)
    for partition in there.logs:
        zombie.read(partition, 100)
    flush = zombie.engine.freeze(None)
    assert flush is not None
    zombie.registry.verify(zombie.registration)
    there.produce(1)
    there.switch(NEW)
    there.produce(2)
    there.consumer(NEW).run()
    for part in flush.parts:
        assert part.timestamp <= 39
        there.store.write(part.table, part.qualifier, part.timestamp, pa.array(part.rows), pa.array(part.values))
    there.assert_exact()


def test_a_runner_that_wakes_up_late_is_refused() -> None:
    there = Installation()
    seams = there.seams()
    asleep: list[object] = []

    def sleepy(plan: _core.Plan, registration: object, ends: object) -> None:
        asleep.append((plan, registration, ends))
        raise Died

    with pytest.raises(Died):
        switch(dataclasses.replace(seams, run=sleepy), Target(NEW.id, NEW.toml))
    abort(there.registry(), lambda: 0)
    there.produce(3)
    with pytest.raises(RegistryMismatch, match="closed while this process ran"):
        seams.run(*asleep[0])  # type: ignore[misc]
    there.assert_exact()


# --- back and forth --------------------------------------------------------------------------------------------------


def test_a_plan_that_was_closed_is_opened_again() -> None:
    there = Installation()
    first_owner = there.consumer(OLD)
    for partition in there.logs:
        first_owner.read(partition, 100)
    there.switch(NEW)
    there.produce(31)
    there.consumer(NEW).run()
    there.produce(32)
    there.switch(OLD)
    assert Spans(there.store, there.registry()).ranges(OLD.id, INCARNATION, 0) == [Range(0, 30), Range(48, None)]
    with pytest.raises(RegistryMismatch, match="opened again"):
        first_owner.flush()  # its plan is the open one, but not the one it knows
    there.produce(33)
    there.assert_exact()
    there.switch(NEW)
    there.produce(34)
    there.assert_exact()


def test_switching_back_at_once_is_exact_too() -> None:
    """Both plans end and begin at one offset, more than once."""
    there = Installation()
    for plan in (NEW, OLD, NEW, OLD):
        there.switch(plan)
    there.produce(41)
    there.assert_exact()
    spans = Spans(there.store, there.registry())
    assert spans.ranges(NEW.id, INCARNATION, 0) == [Range(30, 30), Range(30, 30)]


def test_a_plan_that_is_opened_again_knows_the_highest_hour_it_ever_had() -> None:
    """Its blocks are not taken to be absent because another plan saw no such hour."""
    there = Installation()
    there.switch(NEW)
    registration = there.registry().registered()
    old = there.registry().positions(dataclasses.replace(registration, plan=OLD.id))
    at = old.get(0)
    assert at is not None
    assert at.max_bucket is not None
    far = at.max_bucket + 1000
    later = dataclasses.replace(registration, plan=OLD.id, generation=7)
    there.registry().positions(later).put(0, dataclasses.replace(at, max_bucket=far))
    unknown = dataclasses.replace(at, max_bucket=None)
    there.registry().positions(later).put(1, unknown)
    there.produce(51)
    there.switch(OLD)
    found = [old.get(0), old.get(1)]
    assert [position and position.max_bucket for position in found] == [far, None]


def test_a_report_that_came_before_x_and_again_after_it_counts_once() -> None:
    """The new plan counts nothing below X, but knows whose sessions came there; so does one that is opened again."""
    there = Installation()
    there.switch(NEW)
    for partition, log in there.logs.items():
        log += log[-3:]
        assert len(there.logs[partition]) == 33
    there.assert_exact()
    there.switch(OLD)
    for log in there.logs.values():
        log += log[-3:]
    there.assert_exact()
    for plan in (OLD, NEW):
        assert sum(
            group["duplicates"]
            for block in there.count(plan).blocks.values()
            for group in block.get("app", {}).values()
        )


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_lost_position_stops_the_switch() -> None:
    there = Installation()
    registration = there.registry().registered()
    reset = dataclasses.replace(there.state, generation=3)
    there.registry().replace(there.state, reset)
    there.registry().positions(dataclasses.replace(registration, generation=3)).put(0, CountersPosition(0))
    with pytest.raises(PositionMissing, match=r"partition 1 began once"):
        there.switch(NEW)
    assert there.state.plan == OLD.id


def test_a_log_that_was_cut_stops_the_switch() -> None:
    there = Installation()
    del there.logs[1][5:]
    with pytest.raises(PositionOutsideLog, match=r"stand at 12, the log ends at 5"):
        there.switch(NEW)
    abort(there.registry(), lambda: 0)
    assert there.registry().plan_ends() == {}


def test_a_partition_that_retention_overtook_stops_the_switch_with_a_way_out() -> None:
    there = Installation()
    there.log_starts[1] = 20
    with pytest.raises(PartitionStuck, match=r"Partition 1 .*retention.*--abort"):
        there.switch(NEW)
    assert there.state.closing == NEW.id


def test_a_position_above_x_is_corruption() -> None:
    there = Installation()
    there.stop_after = 0
    with pytest.raises(SwitchUnfinished):
        there.switch(NEW)
    runner = there.registry().registered(closing=True)
    there.registry().positions(runner).put(0, CountersPosition(31))
    with pytest.raises(StoreCorrupt, match=r"Partition 0 was counted up to 31 .* ends at 30"):
        there.switch(NEW)


def test_a_partition_that_was_never_counted_begins_with_the_new_plan() -> None:
    there = Installation()
    there.logs[2] = list(there.logs[0])
    row, name = b"topic|reports", b"incarnation|" + INCARNATION.to_bytes(4, "big")
    there.store.put_control(row, name, 2, (3).to_bytes(4, "big"))
    there.switch(NEW)
    spans = Spans(there.store, there.registry())
    assert spans.ranges(OLD.id, INCARNATION, 2) == []
    there.consumer(NEW).run()
    assert Spans(there.store, there.registry()).ranges(NEW.id, INCARNATION, 2) == [Range(0, None)]
    there.assert_exact()


def test_a_topic_that_is_made_again_amid_a_switch() -> None:
    """The old log's end stays what it was; in the new log nothing was counted yet, so there is nothing to close."""
    there = Installation()
    there.stop_after = 0
    with pytest.raises(SwitchUnfinished):
        there.switch(NEW)
    there.incarnation = 99
    with pytest.raises(RegistryMismatch, match="never counted"):
        there.switch(NEW)
    abort(there.registry(), lambda: 0)


def test_a_plan_of_another_version_is_not_run_by_this_one() -> None:
    there = Installation()
    there.store = counted_by_other_rules(there.store, OLD.id, ~OLD.id & 0xFFFFFFFF)
    with pytest.raises(SwitchRefused, match=rf"rules of another version.*{OLD.id:08x}.*--hand-over"):
        there.switch(OLD)
    assert there.state.closing is None


def test_the_handing_over_to_another_version_stops_before_the_opening() -> None:
    there = Installation()
    state = switch(there.seams(), Target(NEW.id, None))
    assert state == there.state == State(2, 0, OLD.id, closing=NEW.id)
    assert positions(there, NEW) == [30, 30]
    assert there.switch(NEW) == State(3, 0, NEW.id)
    there.produce(61)
    there.assert_exact()
