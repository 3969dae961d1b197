"""The audit over several plans: each is held to the offsets that it counted, byte for byte."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.operations.reset import ResetRefused, apply, fence, prepare, to_earliest, to_offset
from flurry_fast.operations.switch import SwitchUnfinished, abort
from flurry_fast.spans import Range
from flurry_fast.verify.audit import audit
from flurry_fast.verify.result import Audit

from ..verify.logs import TOPIC, Consumer
from .logs import MemoryLog
from .switching import NEW, OLD, Installation


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    """Counted with the old plan to 30, with the new one to 39, with the old one again to 48."""
    there = Installation(root=tmp_path)
    there.switch(NEW)
    there.produce(71)
    there.consumer(NEW).run()
    there.switch(OLD)
    there.produce(72)
    there.consumer(OLD).run(flush_every=1)
    return there


def audited(there: Installation) -> Audit:
    assert there.root is not None
    return audit(there.store, LocalFileSystem(there.root), TOPIC)


def write_unasked(there: Installation, consumer: Consumer) -> None:
    """All that a consumer has, past the registry."""
    flush = consumer.engine.freeze(None)
    assert flush is not None
    for part in flush.parts:
        there.store.write(part.table, part.qualifier, part.timestamp, pa.array(part.rows), pa.array(part.values))


def test_every_plan_is_what_its_own_records_give(there: Installation) -> None:
    result = audited(there)
    assert result.problems(complete=True) == []
    found = {(item.column.plan, item.column.partition): item for item in result.partitions}
    assert found.keys() == {(plan.id, number) for plan in (OLD, NEW) for number in (0, 1)}
    assert found[OLD.id, 0].ranges == [Range(0, 30), Range(39, None)]
    assert found[NEW.id, 0].ranges == [Range(30, 39)]
    assert {key: item.records for key, item in found.items()} == {
        (plan.id, number): records for plan, records in ((OLD, 39), (NEW, 9)) for number in (0, 1)
    }
    assert all(item.compared == item.blocks > 0 for item in found.values())


def test_it_is_the_same_amid_a_switch_and_after_one_that_was_taken_back(there: Installation) -> None:
    there.stop_after = 0
    there.produce(73)
    with pytest.raises(SwitchUnfinished):
        there.switch(NEW)
    assert audited(there).problems() == []
    there.stop_after = None
    abort(there.registry(), lambda: 0)
    there.consumer(OLD).run()
    result = audited(there)
    assert result.problems(complete=True) == []
    assert {item.column.plan for item in result.partitions if item.ranges[-1].end is None} == {OLD.id}


def test_a_new_generation_moves_no_closed_plan(there: Installation) -> None:
    fence(there.store, there.registry())
    there.produce(74)
    there.consumer(OLD).run()
    assert audited(there).problems(complete=True) == []


def test_a_closed_plans_block_above_x_is_corruption(tmp_path: Path) -> None:
    there = Installation(root=tmp_path)
    zombie = there.consumer(OLD)
    there.produce(75)
    del there.logs[0][30:], there.logs[1][30:]
    there.switch(NEW)
    there.produce(75)
    for partition in there.logs:
        zombie.read(partition, 100)
    there.consumer(NEW).run()
    assert audited(there).problems(complete=True) == []
    write_unasked(there, zombie)
    problems = audited(there).problems()
    assert problems
    assert all("ends at 39, but its plan was open from 0 to 30 only" in problem for problem in problems)


def test_a_plan_that_is_opened_again_must_not_have_counted_between(tmp_path: Path) -> None:
    """A block that a process of its first time made from what belongs to the other plan."""
    there = Installation(root=tmp_path)
    zombie = there.consumer(OLD)
    there.switch(NEW)
    there.produce(76)
    there.consumer(NEW).run()
    for partition in there.logs:
        zombie.read(partition, 100)
    there.switch(OLD)
    there.produce(77)
    write_unasked(there, zombie)
    there.consumer(OLD).run()
    assert any("open from 0 to 30, 39 to now only" in problem for problem in audited(there).problems())


def test_the_plans_are_audited_where_the_switch_says_that_they_met(there: Installation) -> None:
    """Were X one lower, the old plan would have counted a record that is not its own."""
    registry, store = there.registry(), there.store
    (revision, incarnation), ends = min(registry.plan_ends().items())
    elsewhere = dataclasses.replace(registry.history()[1], revision=9)
    registry.end_plan(elsewhere, incarnation, {number: end - 1 for number, end in ends.items()})
    row, names = (
        b"topic|" + TOPIC.encode(),
        [b"ends|" + number.to_bytes(8) + incarnation.to_bytes(4) for number in (revision, 9)],
    )
    store.put_control(row, names[0], 9, store.scan_control(row)[names[1]].value)
    problems = audited(there).problems()
    assert any("ends at 30, but its plan was open from 0 to 29, 39 to now only" in problem for problem in problems)
    assert any(f"plan {NEW.id:08x}" in problem for problem in problems)


def test_a_reset_goes_no_further_down_than_the_plan_was_opened_last(there: Installation) -> None:
    log = MemoryLog(there.logs)

    def chains(incarnation: int, partition: int) -> Chain:
        assert there.root is not None
        return Chain(LocalFileSystem(there.root), TOPIC, incarnation, partition)

    with pytest.raises(ResetRefused, match="this plan counts it from 39 on"):
        prepare(there.store, there.registry(), chains, log, {0: to_offset(20)})
    reset = prepare(there.store, there.registry(), chains, log, {0: to_earliest(), 1: to_earliest()})
    assert [move.after.position for move in reset.moves] == [39, 39]
    apply(there.store, there.registry(), reset)
    there.produce(78)
    there.assert_exact()
    assert audited(there).problems(complete=True) == []
