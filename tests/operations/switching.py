"""A log, a store and consumers around a plan switch; every call of the switch on the store can be made to fail."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from clocks import ManualClock

from flurry_fast import _core
from flurry_fast.config import Settings
from flurry_fast.consumer.ports import Listener
from flurry_fast.errors import StoreUnavailable
from flurry_fast.operations.bounded import run_to
from flurry_fast.operations.switch import Seams, Target, switch
from flurry_fast.ports import InlineWorker
from flurry_fast.registry import Registration, Registry, State
from flurry_fast.spans import Spans
from flurry_fast.stores.base import Cells, CellStore, Column, ControlCell
from flurry_fast.stores.memory import MemoryStore
from flurry_fast.verify.compare import compare_store
from flurry_fast.verify.count import Count
from flurry_fast.verify.plan import CountedPlan

from ..verify.logs import INCARNATION, TOPIC, Consumer, Logs, batch, generated, manifest

T = TypeVar("T")
DEFAULT = files("flurry_fast").joinpath("plans/default.toml").read_text()
OLD = _core.Plan.parse(DEFAULT)
NEW = _core.Plan.parse(
    DEFAULT.replace("max_ahead_ms = 600_000 ", "max_ahead_ms = 700_000 ").replace("cap = 1_000", "cap = 2", 1)
    + '\n[[rollup]]\nname = "zone"\ndimensions = ["time_zone"]\nmeasures = ["sessions"]\n'
)
LOGS = generated(21, partitions=2, reports=30)


class Died(BaseException):
    """kill -9, as far as one can have it within a process."""


class DyingStore(CellStore):
    """Another store, until its `calls`-th call: that one raises `error`, before or after it was applied."""

    kind = "dying"

    def __init__(self, inner: CellStore, calls: int, *, applied: bool, error: type[BaseException] = Died) -> None:
        self.inner, self.left, self.applied, self.error = inner, calls, applied, error

    @property
    def store_id(self) -> bytes:
        return self.inner.store_id

    def _call(self, apply: Callable[[], T]) -> T:
        self.left -= 1
        if self.left == 0:
            if self.applied:
                apply()
            raise self.error("now")
        return apply()

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        return self._call(lambda: self.inner.read(table, qualifier, rows))

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        self._call(lambda: self.inner.write(table, qualifier, timestamp, rows, values))

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        return self.inner.scan(table, start=start, stop=stop, limit=limit)

    def tables(self) -> list[str]:
        return self.inner.tables()

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        return self._call(lambda: self.inner.get_control(row, qualifier))

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        return self._call(lambda: self.inner.scan_control(row))

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        self._call(lambda: self.inner.put_control(row, qualifier, timestamp, value))

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        return self._call(lambda: self.inner.put_control_if_absent(row, qualifier, timestamp, value))

    def close(self) -> None:
        """The inner one is the test's."""


@dataclass
class Stats:
    """What a source counts."""

    native: bool = True
    commits: int = 0
    commit_failures: int = 0
    librdkafka: dict[str, Any] = field(default_factory=dict)


class LogSource:
    """Logs as consumer.ports.Source; the group is never joined, `log_starts` is what retention left."""

    def __init__(self, logs: Logs, log_starts: Mapping[int, int], clock: ManualClock) -> None:
        self.logs, self.log_starts, self.clock = logs, log_starts, clock
        self.stats = Stats()
        self.next: dict[int, int] = {}
        self.paused: set[int] = set()
        self.closed = False

    def subscribe(self, listener: Listener) -> None:
        raise AssertionError("a bounded consumer joins no group")

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        for partition, start in sorted(self.next.items()):
            end = min(len(self.logs[partition]), start + min(4, max_messages))
            if start < end and partition not in self.paused:
                self.next[partition] = end
                return batch(self.logs[partition], start, end, partition), []
        self.clock.now += 1.0
        return None, []

    def assign(self, offsets: Mapping[int, int]) -> None:
        self.next.update(offsets)

    def unassign(self, partitions: set[int]) -> None:
        for partition in partitions:
            self.next.pop(partition, None)

    def seek(self, partition: int, offset: int) -> None:
        self.next[partition] = offset

    def pause(self, partitions: set[int]) -> None:
        self.paused |= partitions

    def resume(self, partitions: set[int]) -> None:
        self.paused -= partitions

    def watermarks(self, partition: int) -> tuple[int, int]:
        return self.log_starts.get(partition, 0), len(self.logs[partition])

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        times = [time for _, time in self.logs[partition]]
        found = range(self.log_starts.get(partition, 0), len(times))
        return next((offset for offset in found if times[offset] >= timestamp), None)

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        return {}

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        raise AssertionError("a bounded consumer commits nothing")

    def close(self) -> None:
        self.closed = True


class Installation:
    """Two partitions of 30 reports, of which the old plan's consumer took only a part."""

    def __init__(self, logs: Logs = LOGS, taken: int = 3, plan: _core.Plan = OLD, root: Path | None = None) -> None:
        self.root = root
        self.logs = copy.deepcopy(logs)
        self.store = MemoryStore()
        self.plans = {plan.id: plan}
        self.log_starts: dict[int, int] = {}
        self.incarnation = INCARNATION
        self.told: list[str] = []
        self.stop_after: int | None = None
        self.clock_ms = 1_700_000_000_000
        consumer = self.consumer(plan)
        for _ in range(taken):
            for partition in self.logs:
                consumer.read(partition, 4)
            consumer.flush()

    def registry(self, store: CellStore | None = None) -> Registry:
        return Registry(store if store is not None else self.store, TOPIC, lambda: self.incarnation)

    @property
    def state(self) -> State:
        state = self.registry().state()
        assert state is not None
        return state

    def consumer(self, plan: _core.Plan, store: CellStore | None = None) -> Consumer:
        self.plans[plan.id] = plan
        return Consumer(plan, self.logs, store if store is not None else self.store, root=self.root)

    def produce(self, seed: int, reports: int = 9) -> None:
        """More reports into every partition."""
        for partition, more in generated(seed, partitions=len(self.logs), reports=reports).items():
            self.logs[partition] += more

    def seams(self, store: CellStore | None = None) -> Seams:
        store = store if store is not None else self.store
        registry = self.registry(store)

        def run(plan: _core.Plan, registration: Registration, ends: Mapping[int, int]) -> None:
            turns = iter(range(self.stop_after)) if self.stop_after is not None else None
            clock = ManualClock()
            source = LogSource(self.logs, self.log_starts, clock)
            run_to(
                Settings(),
                plan,
                source,
                store,
                registry,
                registration,
                ends,
                clock,
                worker=lambda _: InlineWorker(),
                stop=lambda: turns is not None and next(turns, None) is None,
            )
            assert source.closed

        def now_ms() -> int:
            self.clock_ms += 1000
            return self.clock_ms

        return Seams(
            store,
            registry,
            lambda partition: len(self.logs[partition]),
            run,
            now_ms,
            lambda step, _ends: self.told.append(step),
        )

    def switch(self, plan: _core.Plan, store: CellStore | None = None) -> State:
        self.plans[plan.id] = plan
        return switch(self.seams(store), Target(plan.id, plan.toml))

    def count(self, plan: _core.Plan) -> Count:
        """The independent count of what a plan has to hold."""
        spans = Spans(self.store, self.registry())
        ranges = {number: spans.ranges(plan.id, INCARNATION, number) for number in self.logs}
        count = Count(CountedPlan.parse(plan.toml), ranges=ranges)
        for line in map(json.loads, manifest(self.logs)):
            count.add(line)
        count.finish()
        return count

    def assert_exact(self) -> None:
        """Every cell of every plan is what the independent count says; every record is counted by one of them."""
        self.consumer(self.plans[self.state.plan]).run()
        counted = set()
        for plan in self.plans.values():
            count = self.count(plan)
            compared = compare_store(self.store, count, plan_id=plan.id, incarnation=INCARNATION)
            assert compared.differences == [], [str(difference) for difference in compared.differences[:5]]
            for number, log in self.logs.items():
                mine = {(number, offset) for offset in range(len(log)) if count.counts(number, offset)}
                assert not counted & mine
                counted |= mine
        assert counted == {(number, offset) for number, log in self.logs.items() for offset in range(len(log))}


def positions(installation: Installation, plan: _core.Plan) -> list[int | None]:
    """Where a plan stands in each partition."""
    registry = installation.registry()
    registration = Registration(TOPIC, INCARNATION, 2, 0, plan.id, installation.store.store_id, b"", False)
    table = registry.positions(registration)
    found = [table.get(number) for number in installation.logs]
    return [None if position is None else position.position for position in found]


def calls_of(work: Callable[[DyingStore], object], store: Callable[[], CellStore]) -> int:
    """How many calls on the store some work makes."""
    counting = DyingStore(store(), -1, applied=False)
    work(counting)
    return -1 - counting.left


__all__: Sequence[str] = ("NEW", "OLD", "Died", "DyingStore", "Installation", "LogSource", "StoreUnavailable")
