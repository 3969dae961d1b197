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
from ..reference.encoder import encode
from ..reference.generate import NOW_MS, Generator
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


CLOCK_PLAN = """
[[rollup]]
name = "app"
dimensions = []
measures = ["reports", "sessions", "new_users", "clock_suspect", "duration", "page_views", "events"]
[[rollup]]
name = "install"
dimensions = ["install_day", "protocol"]
measures = ["reports"]
[[rollup]]
name = "ages"
dimensions = ["age_band", "session_length"]
measures = ["sessions"]
"""
FIRST, LAST = -(2**63), 2**63 - 1
INSTALLS_FROM = 1_199_145_600_000
YEAR_MS = 31_556_952_000


def test_every_corner_of_the_clock() -> None:
    """Times at and around every limit, in every combination."""
    plan = _core.Plan.parse(CLOCK_PLAN)
    generator = Generator(Random(2), odd=0.0)
    template = generator.session() | {"event_counts": [], "events": [], "errors": []}
    received = [-1, 0, 1, INSTALLS_FROM, NOW_MS, 253_402_300_799_999, 253_402_300_800_000, LAST]
    ages = [12 * YEAR_MS, 13 * YEAR_MS - 1, 13 * YEAR_MS, 18 * YEAR_MS, 120 * YEAR_MS, 121 * YEAR_MS - 1, 121 * YEAR_MS]
    log = []
    for timestamp in received:
        at = max(0, min(timestamp, 253_402_300_799_999))
        around = [at + sign * off for off in (0, 600_000, 600_001, 2_592_000_000, 2_592_000_001) for sign in (1, -1)]
        times = sorted({FIRST, FIRST + 1, -1, 0, 1, LAST - 1, LAST, INSTALLS_FROM - 1, INSTALLS_FROM, *around})
        births = [None, 0, 1, FIRST, LAST, at, at + 1, *(at - age for age in ages)]
        lengths = [-1, -2, FIRST, 0, 2_999, 3_000, 1_799_999, 1_800_000, 2_592_000_000, 2_592_000_001, LAST]
        for place, created in enumerate(times):
            for protocol in (8, 26, 27, 30):
                report = generator.report(protocol, sessions=0)
                report |= {"api_key": "CLOCK", "reported_at_ms": created, "first_session_start_ms": times[-1 - place]}
                report["sessions"] = [
                    template
                    | {
                        "start_ms": start,
                        "birth_ms": births[number % len(births)],
                        "duration_ms": lengths[(number + place) % len(lengths)],
                        "page_views": (-(2**31), -1, 0, 1_000_000, 1_000_001, 2**31 - 1)[number % 6],
                        "event_counts": [("a", (-(2**31), 5, 2**31 - 1)[number % 3]), ("b", 1)],
                    }
                    for number, start in enumerate(times)
                ]
                log.append((encode(report), timestamp))
    logs = {0: log}
    assert_exact(Consumer(plan, logs).run(flush_every=1000, step=50).store, plan, logs)
