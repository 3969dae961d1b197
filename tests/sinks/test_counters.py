"""The counters sink over the real engine: what is written when, and what a failure leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from clocks import ManualClock
from world import INCARNATION, PLAN, PLAN_TOML, POOL, batch_of

from flurry_fast import _core
from flurry_fast.config.model import Counters
from flurry_fast.errors import RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.ports import InlineWorker, ThreadWorker
from flurry_fast.positions import BEGAN_ROW, POSITIONS_ROW, CountersPosition
from flurry_fast.registry import STATE, Registry, State, _encode
from flurry_fast.sinks.base import FlushReport, Rewind
from flurry_fast.sinks.counters import CountersSink
from flurry_fast.stores import MemoryStore
from flurry_fast.stores.base import CellColumn, Column

T0 = 1_385_000_000_000


class WatchedStore(MemoryStore):
    """Writes down every put in order; fails when `fail` says so, after having applied the put or not."""

    def __init__(self) -> None:
        super().__init__(bytes(16))
        self.puts: list[tuple[str, int, int]] = []  # table, timestamp, rows
        self.fail: Callable[[str], bool] = lambda _what: False
        self.apply_first = False

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        self._put("blocks", lambda: super(WatchedStore, self).write(table, qualifier, timestamp, rows, values))
        self.puts.append((table, timestamp, len(rows)))

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        self._put("position", lambda: super(WatchedStore, self).put_control(row, qualifier, timestamp, value))
        self.puts.append((row.decode(), timestamp, 1))

    def _put(self, what: str, apply: Callable[[], None]) -> None:
        failing = self.fail(what)
        if not failing or self.apply_first:
            apply()
        if failing:
            raise StoreUnavailable("no answer")


class ManualWorker:
    """A job runs when the test calls `run`."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Future[Any]]] = []

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        self.jobs.append((work, Future()))
        return self.jobs[-1][1]

    def run(self) -> None:
        work, future = self.jobs.pop(0)
        done = InlineWorker().submit(work)
        error = done.exception()
        future.set_exception(error) if error is not None else future.set_result(done.result())

    def close(self) -> None:
        self.jobs.clear()


class Bench:
    """An engine, a sink and a store; `count` feeds reports."""

    def __init__(self, worker: Any = None, *, partitions: int = 1, **settings: Any) -> None:
        self.store, self.clock = WatchedStore(), ManualClock()
        self.registry = Registry(self.store, "reports", lambda: INCARNATION)
        self.registration = self.registry.open(PLAN.id, PLAN_TOML, partitions)
        self.engine = _core.Engine(
            PLAN, incarnation=INCARNATION, secret=self.registration.secret, counters=True, archive=False
        )
        self.worker = worker if worker is not None else ManualWorker()
        self.sink = CountersSink(
            self.engine,
            Counters(**{"flush_age": 10.0, "flush_age_min": 10.0, "chunk_rows": 2, **settings}),
            self.store,
            self.registry,
            self.registration,
            self.worker,
            self.clock,
        )
        self.reports: list[FlushReport] = []
        self.sink.observe = self.reports.append  # type: ignore[method-assign]
        self.positions = self.registry.positions(self.registration)
        self.next = dict.fromkeys(range(partitions), 0)
        for number in range(partitions):
            self.assign(number)

    def assign(self, number: int) -> None:
        position = self.sink.locate(number) or self.sink.begin(number, 0)
        at = position.position  # nobody here asks whose sessions came before
        self.engine.assign(number, log_start=0, counters=position, archive=None, read_from=at, recall_from=at)
        self.sink.assign(number, position)
        self.next[number] = position.position

    def count(self, reports: int, number: int = 0) -> None:
        first = self.next[number]
        records = [(POOL[(first + i) % len(POOL)][0], T0 + i) for i in range(reports)]
        batch = batch_of(records, first, number)
        needs = self.engine.absorb(batch)
        if needs is not None:
            self.sink.seed(needs.groups, lambda _partition: first + reports)
            self.engine.resume(batch)
        self.next[number] = first + reports

    def blocks_put(self) -> int:
        return sum(rows for table, _, rows in self.store.puts if table.startswith("counters_"))


@pytest.mark.parametrize(("seconds", "interval"), [(0.0, 0.5), (0.05, 0.5), (0.4, 2.0), (1.0, 5.0), (20.0, 10.0)])
def test_a_flush_comes_soon_after_cheap_ones_and_later_after_others(seconds: float, interval: float) -> None:
    bench = Bench(flush_age=10.0, flush_age_min=0.5, flush_share=0.2)
    left = [seconds, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    def spend(what: str) -> bool:
        bench.clock.now += left.pop(0) if what == "blocks" else 0.0
        return False

    bench.store.fail = spend
    for due in (0.5, interval):
        bench.count(1)
        bench.sink.poll()
        bench.clock.now += due - 0.01
        bench.sink.poll()
        assert not bench.worker.jobs, "not due yet"
        bench.clock.now += 0.02
        bench.sink.poll()
        bench.worker.run()
        bench.sink.poll()
    assert bench.sink.interval == 0.5  # the last flush cost nothing


def test_behind_a_backlog_flushes_wait_longer() -> None:
    bench = Bench(flush_age=10.0, flush_age_min=0.5, flush_age_behind=30.0)
    bench.count(1)
    bench.sink.behind = True
    bench.sink.poll()
    bench.clock.now += 29.9
    bench.sink.poll()
    assert not bench.worker.jobs
    bench.sink.behind = False  # it has caught up: what waits is due at once
    bench.sink.poll()
    assert bench.worker.jobs
    bench.sink.behind = True
    assert bench.sink.interval == 30.0


def test_a_flush_takes_who_waited_longest_and_the_others_follow() -> None:
    bench = Bench(partitions=3, flush_slice=1, flush_age=10.0, flush_age_min=10.0)
    for number in (2, 0, 1):
        bench.count(4, number)
        bench.sink.poll()
        bench.clock.now += 1.0
    bench.clock.now += 6.5
    assert bench.sink.status().oldest_unwritten == bench.clock.now - 9.5
    bench.clock.now += 0.6
    bench.sink.poll()
    frozen, held = bench.engine.memory()["dirty_blocks"], bench.sink.held_bytes()
    assert frozen, "the others are counted in, and not frozen"
    assert held
    order = []
    for _ in range(3):
        assert len(bench.worker.jobs) == 1
        before = [bench.sink.durable(number) for number in range(3)]
        bench.worker.run()
        bench.clock.now += 1.0
        bench.sink.poll()  # acknowledges, and freezes the next that is due
        after = [bench.sink.durable(number) for number in range(3)]
        order += [number for number in range(3) if after[number] != before[number]]
    assert order == [2, 0, 1]
    assert [bench.positions.get(number).position for number in range(3)] == [4, 4, 4]  # type: ignore[union-attr]
    assert bench.sink.status().oldest_unwritten is None
    assert not bench.worker.jobs


def test_what_fits_into_one_flush_goes_together_due_or_not() -> None:
    bench = Bench(partitions=3, flush_age=10.0, flush_age_min=10.0)
    bench.count(1, 1)
    bench.sink.poll()
    bench.clock.now += 9.0
    bench.count(1, 0)
    bench.sink.poll()
    bench.clock.now += 1.1
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert [bench.sink.durable(number) for number in range(3)] == [1, 1, 0]
    assert bench.sink.status().flushes == 1


def test_slices_of_one_round_keep_to_their_share_of_the_time() -> None:
    bench = Bench(partitions=2, flush_slice=1, flush_age=60.0, flush_age_min=0.5, flush_share=0.25)
    bench.store.fail = lambda what: setattr(bench.clock, "now", bench.clock.now + 1.0) if what == "blocks" else None  # type: ignore[assignment, return-value]
    for number in range(2):
        bench.count(1, number)
    bench.sink.poll()
    bench.clock.now += 0.6
    bench.sink.poll()
    bench.worker.run()  # 1 s
    bench.sink.poll()
    assert not bench.worker.jobs, "the second waits until the first was a quarter of the time"
    bench.clock.now += 2.9
    bench.sink.poll()
    assert not bench.worker.jobs
    bench.clock.now += 0.2
    bench.sink.poll()
    assert bench.worker.jobs


def test_draining_writes_slice_by_slice() -> None:
    bench = Bench(InlineWorker(), partitions=3, flush_slice=1)
    for number in range(3):
        bench.count(4, number)
    assert bench.sink.drain({0, 2}, bench.clock.now + 10)
    assert [bench.sink.durable(number) for number in range(3)] == [4, 0, 4]
    assert bench.sink.status().flushes == 2
    assert bench.sink.status().oldest_unwritten == bench.clock.now, "the one that stays"


def test_what_is_given_up_is_as_old_as_it_was() -> None:
    bench = Bench(partitions=2)
    for number in range(2):
        bench.count(4, number)
        bench.sink.poll()
        bench.clock.now += 1.0
    since = bench.sink.status().oldest_unwritten
    bench.clock.now += 9.0
    bench.sink.poll()
    assert bench.sink.status().in_flight
    bench.sink.drop({1})
    assert not bench.sink.status().in_flight
    assert since is not None
    assert bench.sink.status().oldest_unwritten == since
    bench.sink.poll()
    assert bench.sink.status().in_flight, "due still"


def test_blocks_first_then_positions_then_durable() -> None:
    bench = Bench()
    bench.count(10)
    assert bench.sink.poll() == []
    assert bench.store.puts == []  # not due
    bench.clock.now += 10
    bench.sink.poll()
    bench.worker.run()
    assert bench.sink.durable(0) == 0  # not before the loop has seen the acknowledgement
    bench.sink.poll()
    assert bench.sink.durable(0) == 10
    tables = [table for table, _, _ in bench.store.puts]
    assert tables[-1] == POSITIONS_ROW.decode()
    assert all(table.startswith("counters_") for table in tables[:-1])
    assert {timestamp for _, timestamp, _ in bench.store.puts} == {10}
    assert max(rows for _, _, rows in bench.store.puts) <= 2
    stored = bench.positions.get(0)
    assert stored is not None
    assert (stored.position, stored.max_timestamp) == (10, T0 + 9)
    assert stored.crc is not None
    assert bench.sink.status().flushes == 1


@pytest.mark.parametrize("what", ["blocks", "position"])
@pytest.mark.parametrize("apply_first", [False, True])
def test_a_failure_is_not_an_acknowledgement_and_the_same_is_sent_again(what: str, apply_first: bool) -> None:
    bench = Bench()
    bench.count(10)
    bench.sink.flush()
    bench.store.apply_first = apply_first
    calls = iter([False, True]) if what == "blocks" else iter([True])
    bench.store.fail = lambda kind: kind == what and next(calls, False)
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert bench.sink.durable(0) == 0
    assert bench.sink.status().failing_since == bench.clock.now
    assert "no answer" in (bench.sink.status().last_error or "")
    bench.count(5)  # counting goes on
    bench.sink.poll()
    assert bench.worker.jobs == []  # not at once
    bench.clock.now += 60
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert bench.sink.durable(0) == 10  # the same snapshot, not what was counted since
    assert bench.sink.status().failing_since is None
    assert [(report.ok, report.rows) for report in bench.reports] == [
        (False, bench.reports[0].rows),
        (True, bench.reports[0].rows),
    ]
    once = bench.blocks_put()
    bench.clock.now += 60
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert bench.sink.durable(0) == 15
    assert once == bench.reports[0].rows  # what was acknowledged in the first attempt was not sent again


def test_flush_by_rows_by_bytes_and_on_demand() -> None:
    for settings in ({"flush_rows": 1}, {"flush_bytes": 1}):
        bench = Bench(**settings)
        bench.count(3)
        bench.sink.poll()
        assert len(bench.worker.jobs) == 1
    bench = Bench()
    bench.sink.flush()
    bench.sink.poll()
    assert bench.worker.jobs == []  # nothing to write
    bench.count(3)
    bench.sink.poll()
    assert bench.worker.jobs == []  # the demand was answered, not remembered
    bench.sink.flush()
    bench.sink.poll()
    assert len(bench.worker.jobs) == 1


def test_nothing_is_written_when_the_registry_has_changed() -> None:
    bench = Bench()
    bench.count(3)
    bench.sink.flush()
    bench.sink.poll()
    MemoryStore.put_control(bench.store, b"topic|reports", STATE, 9, _encode(State(9, 1, PLAN.id)))
    bench.worker.run()
    with pytest.raises(RegistryMismatch, match="generation 1"):
        bench.sink.poll()


def test_a_drain_writes_only_what_it_is_asked_for() -> None:
    bench = Bench(InlineWorker(), partitions=2)
    bench.count(4, 0)
    bench.count(6, 1)
    assert bench.sink.drain([1], bench.clock.now + 5)
    assert (bench.sink.durable(0), bench.sink.durable(1)) == (0, 6)
    assert bench.sink.drain([0, 1], bench.clock.now + 5)
    assert bench.sink.durable(0) == 4
    assert bench.sink.drain([0, 1], bench.clock.now + 5)  # nothing left


def test_a_drain_retries_until_its_deadline_and_no_longer() -> None:
    bench = Bench(InlineWorker())
    bench.count(4)
    bench.store.fail = lambda _what: True
    start = bench.clock.now
    assert not bench.sink.drain([0], start + 5)
    assert start + 5 <= bench.clock.now < start + 6
    assert bench.sink.durable(0) == 0
    assert bench.sink.status().failures > 2
    bench.store.fail = lambda _what: False
    assert bench.sink.drain([0], bench.clock.now + 20)
    assert bench.sink.durable(0) == 4


def test_a_worker_that_hangs_does_not_hang_a_drain() -> None:
    worker, release = ThreadWorker("hanging"), threading.Event()
    bench = Bench(worker)
    bench.count(4)
    bench.store.fail = lambda _what: not release.wait(30)

    def passing() -> float:
        bench.clock.now += 0.5
        return bench.clock.now

    bench.clock.monotonic = passing  # type: ignore[method-assign]
    try:
        assert not bench.sink.drain([0], bench.clock.now + 2)
        bench.sink.drop([0])
        bench.engine.drop(0)
    finally:
        release.set()
        worker.close()


def test_a_dropped_partition_leaves_its_flush_to_the_others() -> None:
    bench = Bench(partitions=2)
    bench.count(4, 0)
    bench.count(6, 1)
    bench.sink.flush()
    bench.sink.poll()
    bench.sink.drop([0])
    bench.engine.drop(0)
    bench.worker.run()  # lands all the same: every cell in it is the truth
    bench.sink.poll()
    assert (bench.sink.durable(0), bench.sink.durable(1)) == (None, 0)
    bench.assign(0)
    assert bench.next[0] == 4  # the landed position is found
    bench.sink.flush()
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert (bench.sink.durable(0), bench.sink.durable(1)) == (4, 6)


def test_bases_are_read_again_after_a_restart_and_checked_against_the_log_end() -> None:
    bench = Bench(InlineWorker())
    bench.count(20)
    assert bench.sink.drain([0], bench.clock.now + 5)
    bench.sink.drop([0])
    bench.engine.drop(0)
    bench.assign(0)
    assert bench.next[0] == 20
    order: list[str] = []
    read = bench.store.read
    bench.store.read = lambda *a: (order.append("read"), read(*a))[1]  # type: ignore[method-assign]
    batch = batch_of([(POOL[i][0], T0) for i in range(20)], 20, 0)
    needs = bench.engine.absorb(batch)
    assert needs is not None
    bench.sink.seed(needs.groups, lambda _partition: (order.append("end"), 40)[1])
    bench.engine.resume(batch)
    assert order == ["read"] * len(needs.groups) + ["end"]


def test_a_cell_beyond_the_log_is_corruption() -> None:
    bench = Bench(InlineWorker())
    bench.count(20)
    assert bench.sink.drain([0], bench.clock.now + 5)
    bench.sink.drop([0])
    bench.engine.drop(0)
    bench.assign(0)
    batch = batch_of([(POOL[i][0], T0) for i in range(20)], 20, 0)
    needs = bench.engine.absorb(batch)
    assert needs is not None
    with pytest.raises(StoreCorrupt, match="beyond the log's end"):
        bench.sink.seed(needs.groups, lambda _partition: 19)


def test_a_sink_that_can_not_write_sheds_and_asks_for_a_rewind_when_it_can() -> None:
    bench = Bench()
    bench.count(4)
    assert bench.sink.shed() == 0  # it is well
    bench.sink.flush()
    bench.store.fail = lambda _what: True
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert bench.sink.shed() > 0
    assert bench.engine.memory()["dirty"] == 0
    bench.count(3)  # passes by
    assert bench.engine.memory()["dirty"] == 0
    for _ in range(3):
        bench.clock.now += 60
        bench.sink.poll()
        if bench.worker.jobs:
            bench.worker.run()
        assert bench.sink.poll() == []
    bench.store.fail = lambda _what: False
    bench.clock.now += 60
    bench.sink.poll()
    bench.worker.run()
    assert bench.sink.poll() == [Rewind(0, 0)]
    bench.engine.rewind(0, 0)
    bench.next[0] = 0
    bench.count(7)
    bench.sink.flush()
    bench.sink.poll()
    bench.worker.run()
    bench.sink.poll()
    assert bench.sink.durable(0) == 7


def test_a_chunk_holds_blocks_of_several_partitions_and_what_is_done_is_not_sent_again() -> None:
    bench = Bench(partitions=3, chunk_rows=20_000)
    for number in range(3):
        bench.count(20, number)
    bench.sink.flush()
    bench.sink.poll()
    tries: list[list[tuple[int, int]]] = []
    write_columns = bench.store.write_columns

    def watched(columns: Sequence[CellColumn]) -> None:
        tries.append([(part.timestamp, len(part.rows)) for part in columns])
        write_columns(columns)

    bench.store.write_columns = watched  # type: ignore[method-assign]
    bench.worker.run()
    (whole,) = tries
    assert len(whole) >= 3
    total = sum(rows for _, rows in whole)
    tries.clear()

    bench = Bench(partitions=3, chunk_rows=3)
    write_columns = bench.store.write_columns
    bench.store.write_columns = watched  # type: ignore[method-assign]
    for number in range(3):
        bench.count(20, number)
    bench.sink.flush()
    bench.sink.poll()
    left = 3
    bench.store.fail = lambda what: what == "blocks" and len(tries) == left
    bench.worker.run()
    assert len(tries) == left
    bench.sink.poll()
    bench.store.fail = lambda _what: False
    bench.clock.now += 60
    bench.sink.poll()
    bench.worker.run()
    assert tries[left] == tries[left - 1]  # the one that failed is the first to be sent again
    sizes = [sum(rows for _, rows in one) for one in (*tries[: left - 1], *tries[left:])]
    assert sum(sizes) == total
    assert set(sizes[:-1]) == {3}
    bench.sink.poll()
    assert [bench.sink.durable(number) for number in range(3)] == [20, 20, 20]


def test_begin_adopts_what_somebody_began_first() -> None:
    bench = Bench()
    bench.positions.put_if_absent(5, CountersPosition(70))
    assert bench.sink.begin(5, 90) == CountersPosition(70)
    assert bench.sink.locate(6) is None
    assert bench.sink.origin(5) is None
    bench.positions.note_began("counters", 5, 70)
    assert bench.sink.origin(5) == 70
    assert bench.store.scan_control(BEGAN_ROW)
