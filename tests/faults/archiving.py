"""One consumer process without Kafka: engine, archive sink, real worker, real clock, and a log in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

from rows import batch_of

from flurry_fast._core import Engine, Plan
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.files import open_files
from flurry_fast.archive.verify import verify
from flurry_fast.config.model import Archive
from flurry_fast.ports import SystemClock, ThreadCrew, ThreadWorker
from flurry_fast.registry import Registry
from flurry_fast.sinks.archive import ArchiveSink
from flurry_fast.sinks.base import FlushReport, Rewind
from flurry_fast.stores.memory import MemoryStore

PLAN = (resources.files("flurry_fast") / "plans" / "default.toml").read_text()
IDENTITY = 0xBEEF
PATIENCE = 180.0  # seconds until a test that waits for servers gives up


def wait_for(condition: Callable[[], object], what: str, step: Callable[[], object] = lambda: None) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"no {what} within {PATIENCE:g} s"
        step()
        time.sleep(0.02)


class Archiver:
    """Reads the partitions it is given from `log` (all have the same records), and archives them."""

    def __init__(self, root: str, store: MemoryStore, log: list[bytes], partitions: Iterable[int], **more: Any) -> None:
        settings = {"roll_age": 0.05, "retry_wait": 0.1, "retry_wait_max": 1.0, "call_timeout": 15.0} | more
        self.settings = Archive(root=root, **settings)
        self.log, self.partitions = log, sorted(partitions)
        plan = Plan.parse(PLAN)
        registry = Registry(store, "reports", lambda: IDENTITY)
        registration = registry.open(plan.id, PLAN, 64)
        self.engine = Engine(plan, incarnation=IDENTITY, secret=registration.secret, counters=False, archive=True)
        self.files = open_files(self.settings)
        self.sink = ArchiveSink(
            self.engine, self.settings, "reports", registry, registration, ThreadWorker("archive"), SystemClock(),
            self.files, crew=ThreadCrew("archive", self.settings.parallel_files),
        )  # fmt: skip
        self.reports: list[FlushReport] = []
        self.sink.observe = self.reports.append
        self.read_to: dict[int, int] = {}
        for partition in self.partitions:
            position = self.sink.locate(partition) or self.sink.begin(partition, 0)
            self.engine.assign(partition, log_start=0, counters=None, archive=position, read_from=position.position)
            self.sink.assign(partition, position)
            self.read_to[partition] = position.position

    def chain(self, partition: int) -> Chain:
        return Chain(self.files, "reports", IDENTITY, partition)

    def read(self, count: int) -> None:
        """The next records of every partition, up to the end of the log."""
        for partition in self.partitions:
            start = self.read_to[partition]
            end = min(start + count, len(self.log))
            if end > start:
                assert self.engine.absorb(batch_of(self.log[start:end], start, partition)) is None
                self.read_to[partition] = end

    def turn(self) -> None:
        for event in self.sink.poll():
            assert isinstance(event, Rewind), event
            self.engine.rewind(event.partition, event.offset)
            self.read_to[event.partition] = event.offset

    @property
    def done(self) -> bool:
        """Everything that was read is durable; another process may be further than we have read."""
        return all((self.sink.durable(partition) or 0) >= self.read_to[partition] for partition in self.partitions)

    def go_on(self, count: int) -> None:
        """Read and archive to the end of the log, `count` records at a time."""

        def step() -> None:
            self.turn()
            if self.done:
                self.read(count)

        wait_for(lambda: self.done and set(self.read_to.values()) == {len(self.log)}, "end of the log", step)

    def fail(self) -> str:
        """Turn until writing fails; what the sink says then."""
        wait_for(lambda: self.sink.status().failing_since is not None, "failure", self.turn)
        return self.sink.status().last_error or ""

    def check(self) -> None:
        """Every record of every partition is there once, byte for byte; nothing is failing."""
        assert self.sink.status().failing_since is None
        for partition in self.partitions:
            found = verify(self.chain(partition), deep=True)
            assert found.ok, found.findings
            assert (found.rows, found.start, found.end) == (len(self.log), 0, len(self.log))
            assert found.gaps == 0
