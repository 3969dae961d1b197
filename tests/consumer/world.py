"""A small world without processes: one log, one store that fails in every way, consumers that die, sleep and come back.

The loop, the frontier, the counters sink and the engine are the product's own; only broker, clock, worker and the
store's manners are simulated, all from one seed. `tests` of issue "Proof of exactness" build on the same seams.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import google_crc32c
import numpy as np
import pyarrow as pa
from simulated import ManualClock, Stats

from flurry_fast import _core, _wire
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import ArchiveFileSystem, Entry, LocalFileSystem
from flurry_fast.archive.verify import Survey, verify
from flurry_fast.config.model import Archive, Consume, Counters
from flurry_fast.consumer.loop import Consumer
from flurry_fast.consumer.ports import Listener
from flurry_fast.errors import FlurryFastError, RegistryMismatch, StoreUnavailable
from flurry_fast.registry import Registry
from flurry_fast.sinks.archive import ArchiveSink
from flurry_fast.sinks.base import Sink
from flurry_fast.sinks.counters import CountersSink
from flurry_fast.stores import MemoryStore
from flurry_fast.stores.base import Cells, CellStore, Column, ControlCell
from flurry_fast.verify.compare import Comparison, compare_store
from flurry_fast.verify.count import Count
from flurry_fast.verify.plan import CountedPlan

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference import decoder, encoder, generate

T = TypeVar("T")
PLAN_TOML = resources.files("flurry_fast").joinpath("plans/default.toml").read_text("utf-8")
PLAN = _core.Plan.parse(PLAN_TOML)
INCARNATION = 77


def make_pool() -> list[tuple[bytes, dict[str, Any]]]:
    """A few dozen small reports of two apps, decoded once by the reference decoder."""
    draw = random.Random(5)
    pool = []
    while len(pool) < 40:
        report = generate.Generator(draw, odd=0.0).report(draw.choice(generate.PROTOCOLS), draw.randint(0, 2))
        report["api_key"] = draw.choice(("A", "B"))
        body = encoder.encode(report) if draw.random() > 0.1 else draw.randbytes(20)
        pool.append((body, decoder.decode(body)))
    return pool


POOL = make_pool()


def batch_of(records: list[tuple[bytes, int]], first: int, partition: int) -> Any:
    """Records at offsets `first`... as the drain would give them."""
    payload = b"".join(body for body, _ in records)
    ends = np.cumsum([0, *(len(body) for body, _ in records)], dtype=np.int64)
    offsets = np.arange(first, first + len(records), dtype=np.int64)
    times = np.array([timestamp for _, timestamp in records], dtype=np.int64)
    return _wire.Batch.from_buffers(payload, ends, offsets, times, partition)


class World:
    """The log of one partition, the store behind everybody, and the writes that have not arrived yet.

    With a `folder` every process archives there, too.
    """

    def __init__(self, seed: int, *, faults: bool = True, folder: Path | None = None) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.faults = faults
        self.log: list[tuple[bytes, int]] = []
        self.lines: list[dict[str, Any]] = []
        self.commits: dict[int, tuple[int, str]] = {}
        self.store = MemoryStore(bytes(16))
        self.late: list[Callable[[], None]] = []
        self.processes: list[Process] = []
        self.now = generate.NOW_MS
        self.deep = False

    def chance(self, share: float) -> bool:
        return self.faults and self.random.random() < share

    def produce(self) -> None:
        body, decoded = self.random.choice(POOL)
        self.now += self.random.choice((0, 1, 60_000, 3_600_000))
        line = {**decoded, "partition": 0, "offset": len(self.log), "timestamp_ms": self.now}
        self.lines.append(line | {"crc32c": google_crc32c.value(body)})
        self.log.append((body, self.now))

    def step(self) -> None:
        """One thing happens."""
        draw = self.random.random()
        if draw < 0.25 or not self.processes:
            self.produce() if draw < 0.22 or self.processes else self.spawn()
        elif draw < 0.88:
            self.random.choice(self.processes).step()
        elif draw < 0.92 and self.late:
            self.late.pop(self.random.randrange(len(self.late)))()
        elif draw < 0.96:
            self.spawn()
        else:
            idle = [process for process in self.processes if not process.busy]
            if idle:
                self.processes.remove(self.random.choice(idle))  # kill -9

    def interleave(self) -> None:
        """Somebody else gets a word in between two calls of a process."""
        if not self.deep and self.chance(0.3):
            self.deep = True
            for _ in range(self.random.randint(1, 3)):
                self.step()
            self.deep = False

    def spawn(self, sink: type[CountersSink] = CountersSink) -> None:
        """A new owner; the old one is told in time, told too late, or not at all."""
        for process in list(self.processes):
            if process.member:
                ways = ("revoked", "lost", "zombie") if self.faults else ("revoked",)
                process.leave("zombie" if process.busy else self.random.choice(ways))
        try:
            self.processes.append(Process(self, sink))
        except StoreUnavailable:
            return  # it died at the start

    def survey(self) -> Survey:
        """The archive, every byte of it."""
        assert self.folder is not None
        return verify(Chain(LocalFileSystem(self.folder), "reports", INCARNATION, 0), deep=True)

    def compare(self) -> Comparison:
        count = Count(CountedPlan.parse(PLAN_TOML))
        for line in self.lines:
            count.add(line)
        count.finish()
        return compare_store(self.store, count, plan_id=PLAN.id, incarnation=INCARNATION)


class Process:
    """One consumer: the product's loop over a simulated log."""

    def __init__(self, world: World, sink: type[CountersSink]) -> None:
        self.world, self.member, self.clock = world, True, ManualClock()
        self.looping = self.working = False
        self.store = UnreliableStore(world)
        registry = Registry(self.store, "reports", lambda: INCARNATION)
        registration = registry.open(PLAN.id, PLAN.toml, 1)
        self.engine = _core.Engine(PLAN, incarnation=INCARNATION, secret=registration.secret)
        self.worker, self.filer = SteppedWorker(world), SteppedWorker(world)
        self.source = LogSource(world, self)
        settings = Counters(flush_age=3.0, chunk_rows=2, retry_wait=0.5)
        self.sink = sink(self.engine, settings, self.store, registry, registration, self.worker, self.clock)
        self.sinks: list[Sink[Any]] = [self.sink]
        if world.folder is not None:
            files = UnreliableFiles(world, world.folder)
            rolls = Archive(root=world.folder, roll_age=5.0, retry_wait=0.5)
            archive = ArchiveSink(self.engine, rolls, "reports", registry, registration, self.filer, self.clock, files)
            self.sinks.insert(0, archive)
        consume = Consume(batch_messages=8, unhealthy_after=20.0)
        self.loop = Consumer(
            consume,
            self.source,
            self.engine,
            self.sinks,
            registration,
            registry.positions(registration),
            self.clock,
            drain_seconds=2.0,
        )
        self.source.subscribe(self.loop.assignment)

    @property
    def busy(self) -> bool:
        """In the midst of a call, on either thread."""
        return self.looping or self.working

    def step(self) -> None:
        """A thread of the process gets on: the loop's, or the worker's while the loop may be waiting."""
        if self.world.random.random() < 0.2:
            self.work()
        elif not self.looping:
            self.looping = True
            try:
                self._turn()
            except (StoreUnavailable, RegistryMismatch):
                self.die()
            finally:
                self.looping = False

    def work(self) -> None:
        if not self.working:
            self.working = True
            try:
                self.world.random.choice((self.worker, self.filer)).run()
            finally:
                self.working = False

    def _turn(self) -> None:
        draw = self.world.random.random()
        if draw < 0.88:
            self.clock.now += self.world.random.choice((0.01, 0.5, 4.0))
            self.loop.turn()
        elif draw < 0.97 or not self.world.faults:
            self.engine.evict(0)
        else:
            self.world.random.choice(self.sinks).shed()

    def leave(self, how: str) -> None:
        self.member = False
        if how == "zombie":
            return  # it goes on reading and writing, until somebody kills it
        with contextlib.suppress(StoreUnavailable, RegistryMismatch):
            self.source.close() if how == "revoked" else self.loop.assignment.lost({0})
        self.die()

    def die(self) -> None:
        if self in self.world.processes:
            self.world.processes.remove(self)

    def finish(self) -> None:
        """Turn until everything is durable."""
        for _ in range(500):
            self.clock.now += 1.0
            self.loop.turn()
            self.work()
            if all(sink.durable(0) == len(self.world.log) for sink in self.sinks):
                return
        states = [sink.status() for sink in self.sinks]
        raise AssertionError(f"no progress: {states} {self.loop.assignment.partitions}")


class LogSource:
    """The world's log as a source with one partition, which is ours from the first drain on."""

    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process
        self.stats = Stats()
        self._listener: Listener | None = None
        self._next: int | None = None
        self._paused = self._joined = False

    def subscribe(self, listener: Listener) -> None:
        self._listener = listener

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        assert self._listener is not None
        if not self._joined:
            self._joined = True
            self._listener.assigned({0})
        if self._next is None or self._paused:
            return None, []
        records = self._world.log[self._next :][: self._world.random.randint(1, max_messages)]
        if not records:
            return None, []
        batch = batch_of(records, self._next, 0)
        self._next += len(records)
        return batch, []

    def assign(self, offsets: Mapping[int, int]) -> None:
        self._next = offsets[0]

    def unassign(self, partitions: set[int]) -> None:
        self._next = None

    def seek(self, partition: int, offset: int) -> None:
        self._next = offset

    def pause(self, partitions: set[int]) -> None:
        self._paused = self._paused or 0 in partitions

    def resume(self, partitions: set[int]) -> None:
        self._paused = self._paused and 0 not in partitions

    def watermarks(self, partition: int) -> tuple[int, int]:
        if self._world.chance(0.02):
            raise StoreUnavailable("the broker does not answer")
        return 0, len(self._world.log)

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        return dict(self._world.commits)

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        if self._process.member:
            self._world.commits.update(offsets)

    def close(self) -> None:
        if self._next is not None and self._listener is not None:
            self._listener.revoked({0})


class SteppedWorker:
    """Jobs run when the world says so, or when somebody waits for them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._jobs: list[tuple[Callable[[], Any], SteppedJob]] = []

    def submit(self, work: Callable[[], T]) -> SteppedJob:
        job = SteppedJob(self)
        self._jobs.append((work, job))
        return job

    def run(self) -> None:
        while self._jobs:
            work, job = self._jobs.pop(0)
            try:
                job.set_result(work())
            except FlurryFastError as error:
                job.set_exception(error)
            if self.world.chance(0.5):
                return

    def close(self) -> None:
        """The process is gone; what it started may still be under way."""


class SteppedJob(Future[Any]):
    """Waiting for it lets the worker work, or time run out."""

    def __init__(self, worker: SteppedWorker) -> None:
        super().__init__()
        self._worker = worker

    def result(self, timeout: float | None = None) -> Any:
        if not self.done() and not self._worker.world.chance(0.3):
            self._worker.run()
        return super().result(timeout=0)


class UnreliableStore(CellStore):
    """The world's store as one process meets it: calls fail before, after, or half; some arrive much later."""

    kind = "unreliable"

    def __init__(self, world: World) -> None:
        self._world, self._inner = world, world.store

    @property
    def store_id(self) -> bytes:
        return self._inner.store_id

    def _call(self, apply: Callable[[], T]) -> T:
        self._world.interleave()
        if self._world.chance(0.04):
            raise StoreUnavailable("not sent")
        answer = apply()
        if self._world.chance(0.04):
            raise StoreUnavailable("applied, but no answer")
        self._world.interleave()
        return answer

    def _put(self, apply: Callable[[], None]) -> None:
        if self._world.chance(0.04):
            self._world.late.append(apply)
            raise StoreUnavailable("on its way")
        self._call(apply)
        if self._world.chance(0.03):
            self._world.late.append(apply)  # and once more, later

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        return self._call(lambda: self._inner.read(table, qualifier, rows))

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        def put(part: slice) -> None:
            self._inner.write(table, qualifier, timestamp, _cut(rows, part), _cut(values, part))

        if len(rows) > 1 and self._world.chance(0.05):
            put(slice(1, None))
            raise StoreUnavailable("half of it was applied")
        self._put(lambda: put(slice(0, None)))

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        return self._inner.scan(table, start=start, stop=stop, limit=limit)

    def tables(self) -> list[str]:
        return self._inner.tables()

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        return self._call(lambda: self._inner.get_control(row, qualifier))

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        return self._call(lambda: self._inner.scan_control(row))

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        self._put(lambda: self._inner.put_control(row, qualifier, timestamp, value))

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        return self._call(lambda: self._inner.put_control_if_absent(row, qualifier, timestamp, value))

    def close(self) -> None:
        """It is the world's."""


class UnreliableFiles(ArchiveFileSystem):
    """A folder on a file system whose calls fail before they do anything, or after they did it."""

    def __init__(self, world: World, root: Path) -> None:
        self._world, self._inner = world, LocalFileSystem(root)

    def _call(self, apply: Callable[[], T]) -> T:
        self._world.interleave()
        if self._world.chance(0.03):
            raise StoreUnavailable("not done")
        answer = apply()
        if self._world.chance(0.03):
            raise StoreUnavailable("done, but no answer")
        self._world.interleave()
        return answer

    def check(self) -> None:
        self._call(lambda: None)

    def create(self, path: str) -> pa.NativeFile:
        return self._call(lambda: self._inner.create(path))

    def make_durable(self, path: str) -> None:
        self._call(lambda: None)  # nobody pulls the plug here

    def claim(self, temporary: str, path: str) -> bool:
        return self._call(lambda: self._inner.claim(temporary, path))

    def list(self, folder: str) -> list[Entry]:
        return self._call(lambda: self._inner.list(folder))

    def open(self, path: str) -> pa.NativeFile:
        return self._call(lambda: self._inner.open(path))

    def remove(self, path: str) -> None:
        self._call(lambda: self._inner.remove(path))

    def describe(self, path: str) -> str:
        return self._inner.describe(path)


def _cut(column: Column, part: slice) -> Column:
    start, stop, _ = part.indices(len(column))
    return column.slice(start, stop - start)
