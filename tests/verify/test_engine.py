"""The engine against the independent count: random reports, random plans, flushes, evictions and crashes anywhere."""

from __future__ import annotations

from importlib.resources import files
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from flurry_fast import _core
from flurry_fast.stores.base import CellStore
from flurry_fast.verify import blocks
from flurry_fast.verify.compare import TABLE_PREFIX, compare_store
from flurry_fast.verify.count import Count, count_lines
from flurry_fast.verify.plan import CountedPlan

from ..profiles import examples
from .logs import INCARNATION, Consumer, Logs, generated, manifest, random_plan

DEFAULT_PLAN = files("flurry_fast").joinpath("plans/default.toml").read_text()


def assert_exact(store: CellStore, plan: _core.Plan, logs: Logs) -> Count:
    count = count_lines(manifest(logs), CountedPlan.parse(plan.toml))
    comparison = compare_store(store, count, plan_id=plan.id, incarnation=INCARNATION)
    assert [str(difference) for difference in comparison.differences] == []
    assert comparison.exact
    assert comparison.blocks == len(count.blocks)
    return count


@examples(20)
@given(seed=st.integers(0, 2**32))
def test_the_default_plan(seed: int) -> None:
    plan, logs = _core.Plan.parse(DEFAULT_PLAN), generated(seed)
    assert_exact(Consumer(plan, logs).run().store, plan, logs)


@examples(20)
@given(seed=st.integers(0, 2**32))
def test_any_plan_over_odd_reports(seed: int) -> None:
    plan, logs = _core.Plan.parse(random_plan(Random(seed))), generated(seed, odd=0.2)
    assert_exact(Consumer(plan, logs).run(flush_every=2).store, plan, logs)


@examples(20)
@given(seed=st.integers(0, 2**32))
def test_crashes_evictions_and_late_writes(seed: int) -> None:
    """Whatever happens between, the last flush leaves the truth; cap rules and order survive restarts."""
    random = Random(seed)
    plan, logs = _core.Plan.parse(random_plan(random)), generated(seed, odd=0.1)
    consumer = Consumer(plan, logs)
    while any(consumer.next[partition] < len(log) for partition, log in logs.items()):
        what = random.random()
        if what < 0.7:
            consumer.read(random.choice(list(logs)), random.randint(1, 8))
        elif what < 0.85:
            consumer.flush()
        elif what < 0.95:
            consumer.engine.evict(0)
        else:
            if random.random() < 0.5:
                consumer.flush(positions=False)
            consumer = Consumer(plan, logs, consumer.store)
    consumer.flush()
    assert_exact(consumer.store, plan, logs)


@examples(20)
@given(seed=st.integers(0, 2**32))
def test_blocks_are_the_bytes_that_plain_python_writes(seed: int) -> None:
    plan = _core.Plan.parse(random_plan(Random(seed)))
    counted = CountedPlan.parse(plan.toml)
    store = Consumer(plan, generated(seed, partitions=1)).run().store
    for table in store.tables():
        assert table.startswith(TABLE_PREFIX)
        for batch in store.scan(table):
            for cell in batch.to_pylist():
                block = blocks.decode(counted, cell["value"])
                assert blocks.encode(counted, block) == cell["value"]
                api_key, bucket = blocks.parse_row(cell["row"])
                assert blocks.row(api_key, bucket) == _core.row_key(api_key, bucket) == cell["row"]
                assert _core.table_of(bucket) == table
