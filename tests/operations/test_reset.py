"""Positions reset: whatever is asked for, and wherever it dies, the counters come out the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from flurry_fast.errors import RegistryMismatch
from flurry_fast.operations import reset
from flurry_fast.operations.generation import draw_stride, positions
from flurry_fast.operations.reset import ResetRefused, Target
from flurry_fast.positions import POSITIONS_ROW, CountersPosition, PositionTable, parse_control_qualifier
from flurry_fast.registry import Registry, State
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.memory import MemoryStore

from ..verify.logs import INCARNATION, TOPIC
from . import switching
from .installation import PLAN, Installation, cells
from .logs import Death, MemoryLog, MortalStore, Reaper


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "archive")


def prepared(installation: Installation, targets: dict[int, Target], store: CellStore | None = None) -> reset.Reset:
    store = store if store is not None else installation.store
    return reset.prepare(store, installation.registry(store), installation.chains, installation.log, targets)


def run(installation: Installation, targets: dict[int, Target], store: CellStore | None = None) -> State:
    store = store if store is not None else installation.store
    return reset.apply(store, installation.registry(store), prepared(installation, targets, store))


def test_what_is_read_again_changes_nothing(installation: Installation) -> None:
    before, counted = installation.position(0), cells(installation.store)
    other = installation.position(1)
    run(installation, {0: reset.to_offset(7)})
    after = installation.position(0)
    assert after.position == 7
    assert after.max_bucket == before.max_bucket
    assert after.crc == installation.log.record(0, 6).crc
    assert after.max_timestamp == max(timestamp for _, timestamp in installation.log.logs[0][:7])
    assert installation.position(1) == other
    installation.consumer().run()
    assert installation.position(0) == before
    assert cells(installation.store) == counted
    installation.assert_exact()


def test_the_old_generation_may_write_no_more(installation: Installation) -> None:
    installation.produce()
    running = installation.consumer()
    running.read(0, 5)
    run(installation, {0: reset.to_earliest()})
    with pytest.raises(RegistryMismatch, match="positions were reset"):
        running.flush()
    installation.assert_exact()


def test_an_old_process_that_writes_all_the_same_does_no_harm(installation: Installation) -> None:
    """It read the registry, slept through the reset, and writes then: blocks, and its position."""
    installation.produce()
    zombie = installation.consumer()
    zombie.read(0, 5)
    run(installation, {0: reset.to_offset(3)})
    flush = zombie.engine.freeze(None)
    assert flush is not None
    for part in flush.parts[:-1]:
        zombie.store.write(part.table, part.qualifier, part.timestamp, pa.array(part.rows), pa.array(part.values))
    for at in flush.positions:
        zombie.positions.put(at.partition, CountersPosition(at.position, at.max_bucket, at.crc, at.max_timestamp))
    assert installation.position(0).position == 3
    installation.consumer().run()
    assert installation.compare().exact


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_is_continued_by_the_same_command(installation: Installation, after: bool) -> None:
    """Dead before or after the effect of each store call; a consumer in between finds positions that are right."""
    targets = {0: reset.to_offset(9), 1: reset.to_earliest()}
    generations = [installation.state().generation]
    for calls in range(200):
        try:
            run(installation, targets, MortalStore(installation.store, Reaper(calls, after=after)))
        except Death:
            assert installation.position(0).position in (9, 24)
            continue
        break
    assert calls > 10
    assert installation.position(0).position == 9
    assert installation.position(1).position == 0
    assert installation.state().generation > generations[0]
    installation.assert_exact()


def test_every_position_of_a_crashed_reset_is_as_good_as_any(installation: Installation) -> None:
    """A consumer starts after each crash, whatever is in force then, and counts exactly."""
    for calls in range(4, 200, 3):
        try:
            run(installation, {0: reset.to_offset(19)}, MortalStore(installation.store, Reaper(calls, after=True)))
            break
        except Death:
            installation.consumer().run()
            assert installation.compare().exact
    assert installation.position(0).position == 19
    installation.assert_exact()


TARGETS: dict[str, tuple[Callable[[Installation], Target], int]] = {
    "offset": (lambda _: reset.to_offset(4), 4),
    "earliest": (lambda _: reset.to_earliest(), 0),
    "shift": (lambda _: reset.shift_by(-3), 21),
    "datetime": (lambda i: reset.to_datetime(i.log, max(t for _, t in i.log.logs[0][:11])), 10),
    "too late": (lambda i: reset.to_datetime(i.log, 2**50), 24),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(installation: Installation, name: str) -> None:
    target, expected = TARGETS[name]
    found = prepared(installation, {0: target(installation)})
    if expected == 24:
        assert (found.moves, found.kept) == ([], [0])
    elif name == "datetime":
        times = [timestamp for _, timestamp in installation.log.logs[0]]
        at = found.moves[0].after.position
        assert times[at] >= max(times[:11])
        assert all(time < max(times[:11]) for time in times[:at])
    else:
        assert [move.after.position for move in found.moves] == [expected]


def refused(installation: Installation, target: Target, words: str) -> None:
    counted = (cells(installation.store), installation.position(0), installation.state())
    with pytest.raises(ResetRefused, match=words):
        run(installation, {0: target})
    assert counted == (cells(installation.store), installation.position(0), installation.state())


def test_upwards_is_refused_and_points_to_the_gap(installation: Installation) -> None:
    refused(installation, reset.to_offset(25), r"upwards, from 24 to 25.*flurry-fast gap record")
    refused(installation, reset.shift_by(1), "upwards")


def test_below_the_log_is_refused(installation: Installation) -> None:
    installation.log.starts[0] = 5
    refused(installation, reset.to_offset(4), r"its log begins at 5.*--to-earliest")
    refused(installation, reset.shift_by(-30), "its log begins at 5")
    assert prepared(installation, {0: reset.to_earliest()}).moves[0].after.position == 5


def test_at_the_beginning_of_the_log_nothing_is_below(installation: Installation) -> None:
    installation.log.starts[0] = 5
    run(installation, {0: reset.to_earliest()})
    position = installation.position(0)
    assert (position.position, position.crc) == (5, None)
    assert position.max_timestamp == max(timestamp for _, timestamp in installation.log.logs[0][:5])
    installation.assert_exact()


def test_a_position_that_retention_passed_is_no_matter_of_reset(installation: Installation) -> None:
    installation.produce()
    installation.log.starts[0] = 26
    refused(installation, reset.to_offset(26), r"retention removed everything below 26.*flurry-fast gap record")


def test_a_log_that_was_cut_is_not_hidden(installation: Installation) -> None:
    del installation.log.logs[0][20:]
    refused(installation, reset.to_offset(3), "the log ends at 20: it was truncated")
    installation.produce()
    refused(installation, reset.to_offset(3), "truncated or replaced")


def test_below_where_the_plan_began_is_refused(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "archive")
    table = PositionTable(installation.store, plan=7, incarnation=INCARNATION, generation=0)
    table.note_began("counters", 0, 12)
    installation.store.put_control(b"plan", (7).to_bytes(4, "big"), 1, PLAN.toml.encode())
    table.put(0, CountersPosition(24, 5, installation.log.record(0, 23).crc, 9))
    registry, state = installation.registry(), installation.state()
    registry.replace(state, State(0, state.generation, 7))
    refused_for = pytest.raises(ResetRefused, match="this plan counts it from 12 on")
    with refused_for:
        prepared(installation, {0: reset.to_offset(11)})
    assert prepared(installation, {0: reset.to_earliest()}).moves[0].after.position == 12
    # Its running maximum goes back to where the partition was first counted, under the plan before.
    times = [timestamp for _, timestamp in installation.log.logs[0]]
    assert prepared(installation, {0: reset.to_offset(13)}).moves[0].after.max_timestamp == max(times[:13])


def test_what_another_plan_counted_is_not_read_again(tmp_path: Path) -> None:
    """A plan that was closed and opened again: between its two times the blocks of the other hold the records."""
    there = switching.Installation()
    there.consumer(switching.OLD).run()
    there.switch(switching.NEW)
    there.produce(31)
    there.consumer(switching.NEW).run()
    there.switch(switching.OLD)
    reopened = len(there.logs[0])
    there.produce(33)
    there.consumer(switching.OLD).run()
    log, chains = MemoryLog(there.logs), Installation(tmp_path / "none").chains

    def prepare(target: Target) -> reset.Reset:
        return reset.prepare(there.store, there.registry(), chains, log, {0: target})

    with pytest.raises(ResetRefused, match=f"this plan counts it from {reopened} on"):
        prepare(reset.to_offset(reopened - 1))
    found = prepare(reset.to_earliest())
    assert found.moves[0].after.position == reopened
    reset.apply(there.store, there.registry(), found)
    there.produce(34)
    there.assert_exact()


def test_an_unknown_partition_and_an_unknown_topic(installation: Installation) -> None:
    with pytest.raises(ResetRefused, match="Partition 2 has no counters position"):
        prepared(installation, {2: reset.to_earliest()})
    other = Registry(installation.store, TOPIC, lambda: 78)
    with pytest.raises(RegistryMismatch, match="never counted in this store"):
        reset.prepare(installation.store, other, installation.chains, installation.log, {0: reset.to_earliest()})


def test_not_while_a_plan_is_being_closed(installation: Installation) -> None:
    registry, state = installation.registry(), installation.state()
    registry.replace(state, State(0, state.generation, state.plan, closing=7))
    with pytest.raises(RegistryMismatch, match="being switched"):
        prepared(installation, {0: reset.to_earliest()})


def test_of_two_commands_at_once_one_is_told(installation: Installation) -> None:
    registry = installation.registry()
    one, two = prepared(installation, {0: reset.to_offset(3)}), prepared(installation, {0: reset.to_offset(5)})
    reset.apply(installation.store, registry, one)
    with pytest.raises(RegistryMismatch):
        reset.apply(installation.store, registry, two)
    assert installation.position(0).position == 3


def test_without_an_archive_the_log_tells_the_time(tmp_path: Path) -> None:
    installation = Installation(None)
    assert installation.log.looked == 0
    run(installation, {0: reset.to_offset(6)})
    assert installation.log.looked == 6
    assert installation.position(0).max_timestamp == max(t for _, t in installation.log.logs[0][:6])
    installation.assert_exact()


def test_with_an_archive_the_log_is_not_read_for_it(installation: Installation) -> None:
    run(installation, {0: reset.to_offset(6)})
    assert installation.log.looked == 0


class TestFence:
    """After a restore: nobody who slept through it finds his own generation again."""

    def test_everything_stays_where_it_is(self, installation: Installation) -> None:
        before = {number: installation.position(number) for number in (0, 1)}
        generation = installation.state().generation
        state = reset.fence(installation.store, installation.registry())
        assert state == installation.state()
        assert state.generation > generation
        assert before == {number: installation.position(number) for number in (0, 1)}
        installation.assert_exact()

    def test_it_needs_no_broker(self, installation: Installation) -> None:
        def no_broker() -> int:
            raise AssertionError("asked")

        reset.fence(installation.store, Registry(installation.store, TOPIC, no_broker))
        with pytest.raises(ResetRefused, match="nothing to fence"):
            reset.fence(installation.store, Registry(installation.store, "other", no_broker))

    def test_a_restored_store_is_counted_on_exactly(self, installation: Installation) -> None:
        backup = copy_of(installation.store)
        installation.produce()
        run(installation, {0: reset.to_offset(20)})  # a generation that the backup does not know
        zombie = installation.consumer()
        zombie.read(0, 9)
        reset.fence(backup, installation.registry(backup))
        installation.store = zombie.store = backup
        zombie.registry = installation.registry(backup)
        with pytest.raises(RegistryMismatch):
            zombie.flush()
        installation.consumer().run()
        assert installation.compare().exact

    def test_strides_are_drawn(self) -> None:
        drawn = {draw_stride() for _ in range(50)}
        assert min(drawn) >= 1
        assert len(drawn) > 40

    def test_a_new_generation_is_above_whatever_was_written(self, installation: Installation) -> None:
        table = PositionTable(installation.store, plan=1, incarnation=5, generation=900)
        table.put(0, CountersPosition(3))
        assert reset.fence(installation.store, installation.registry(), lambda: 1).generation == 901
        generations = {parse_control_qualifier(name)[3] for name in installation.store.scan_control(POSITIONS_ROW)}
        assert generations == {0, 900, 901}
        assert set(positions(installation.store, installation.registry(), installation.state())) == {
            (PLAN.id, INCARNATION, 0),
            (PLAN.id, INCARNATION, 1),
        }


def copy_of(source: CellStore) -> MemoryStore:
    """A backup: every cell, and the store's id."""
    assert isinstance(source, MemoryStore)
    target = MemoryStore(source.store_id)
    target._tables = {name: dict(found) for name, found in source._tables.items()}
    target._control = dict(source._control)
    return target
