"""A small world without processes and without faults: one log, one store, the product's loop over both.

For tests of single rules. Whatever goes wrong at random goes wrong in `tests/model/`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import google_crc32c
import numpy as np
from clocks import ManualClock
from simulated import Stats

from flurry_fast import _core, _wire
from flurry_fast.config.model import Consume, Counters
from flurry_fast.consumer.loop import Consumer
from flurry_fast.consumer.ports import Listener
from flurry_fast.registry import Registry
from flurry_fast.sinks.counters import CountersSink
from flurry_fast.stores import MemoryStore
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
    """The log of one partition, the store behind it, and the process that reads it."""

    def __init__(self, records: int) -> None:
        self.random = random.Random(3)
        self.log: list[tuple[bytes, int]] = []
        self.lines: list[dict[str, Any]] = []
        self.commits: dict[int, tuple[int, str]] = {}
        self.store = MemoryStore(bytes(16))
        self.now = generate.NOW_MS
        for _ in range(records):
            self.produce()
        self.process = Process(self)

    def produce(self) -> None:
        body, decoded = self.random.choice(POOL)
        self.now += self.random.choice((0, 1, 60_000, 3_600_000))
        line = {**decoded, "partition": 0, "offset": len(self.log), "timestamp_ms": self.now}
        self.lines.append(line | {"crc32c": google_crc32c.value(body)})
        self.log.append((body, self.now))

    def restart(self) -> Process:
        """Another process takes over; the one before has left in good order."""
        self.process.source.close()
        self.process = Process(self)
        return self.process

    def compare(self) -> Comparison:
        count = Count(CountedPlan.parse(PLAN_TOML))
        for line in self.lines:
            count.add(line)
        count.finish()
        return compare_store(self.store, count, plan_id=PLAN.id, incarnation=INCARNATION)


class Process:
    """One consumer: the product's loop over a simulated log."""

    def __init__(self, world: World) -> None:
        self.world, self.clock, self.store = world, ManualClock(), world.store
        self.incarnation = INCARNATION
        registry = Registry(self.store, "reports", lambda: self.incarnation)
        registration = registry.open(PLAN.id, PLAN.toml, 1)
        self.engine = _core.Engine(PLAN, incarnation=INCARNATION, secret=registration.secret)
        self.worker = SteppedWorker()
        self.source = LogSource(world)
        settings = Counters(flush_age=3.0, flush_age_min=3.0, chunk_rows=2, retry_wait=0.5)
        self.sink = CountersSink(self.engine, settings, self.store, registry, registration, self.worker, self.clock)
        self.loop = Consumer(
            Consume(batch_messages=8, unhealthy_after=20.0),
            self.source,
            self.engine,
            [self.sink],
            registration,
            registry.positions(registration),
            self.clock,
            drain_seconds=2.0,
            verify=lambda: registry.verify(registration),
        )
        self.source.subscribe(self.loop.assignment)

    def finish(self) -> None:
        """Turn until everything is durable."""
        for _ in range(500):
            self.clock.now += 1.0
            self.loop.turn()
            self.worker.run()
            if self.sink.durable(0) == len(self.world.log):
                return
        raise AssertionError(f"no progress: {self.sink.status()} {self.loop.assignment.partitions}")


class LogSource:
    """The world's log as a source with one partition, which is ours from the first drain on."""

    def __init__(self, world: World) -> None:
        self._world = world
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
        return 0, len(self._world.log)

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        times = (time for _, time in self._world.log)
        return next((offset for offset, time in enumerate(times) if time >= timestamp), None)

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        return dict(self._world.commits)

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        self._world.commits.update(offsets)

    def close(self) -> None:
        if self._next is not None and self._listener is not None:
            self._listener.revoked({0})


class SteppedWorker:
    """Jobs run when the test says so, or when somebody waits for them."""

    def __init__(self) -> None:
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
            except Exception as error:
                job.set_exception(error)

    def close(self) -> None:
        """Nothing to close."""


class SteppedJob(Future[Any]):
    """Waiting for it lets the worker work."""

    def __init__(self, worker: SteppedWorker) -> None:
        super().__init__()
        self._worker = worker

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self._worker.run()
        return super().result(timeout=0)
