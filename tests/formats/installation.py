"""The product around the files of one folder: its loop, its sinks, its operations, over a log that is only a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import google_crc32c
import numpy as np

from flurry_fast._core import Plan
from flurry_fast._wire import Batch
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.config.model import Archive, Counters, Kafka, Settings
from flurry_fast.consumer.ports import Listener
from flurry_fast.consumer.start import assemble, make_engine, make_sinks
from flurry_fast.operations import gap
from flurry_fast.operations.ports import Bounds
from flurry_fast.operations.ports import Record as RecordSeen
from flurry_fast.ports import InlineWorker, SystemClock
from flurry_fast.registry import Registry, State
from flurry_fast.stores.sqlite import SqliteStore

from ..golden.corpus import Record

TOPIC = "reports"
INCARNATION = 0xF1F1


@dataclass
class Log:
    """A topic's log, from `starts` up to `end`: a source for the loop, and what operations look at."""

    records: dict[int, list[Record]]
    end: int
    starts: dict[int, int]
    stats: Any = field(
        default_factory=lambda: SimpleNamespace(native=True, commits=0, commit_failures=0, librdkafka={})
    )

    def __post_init__(self) -> None:
        self._next: dict[int, int] = {}
        self._paused: set[int] = set()
        self._listener: Listener | None = None

    # --- operations.ports.LogView

    def bounds(self, partition: int) -> Bounds:
        return Bounds(*self.watermarks(partition))

    def record(self, partition: int, offset: int) -> RecordSeen:
        record = self.records[partition][offset]
        return RecordSeen(google_crc32c.value(record.payload), record.timestamp)

    def max_timestamp(self, partition: int, start: int, end: int) -> int:
        return max((record.timestamp for record in self.records[partition][start:end]), default=-1)

    def offset_at(self, partition: int, timestamp: int) -> int | None:
        log = self.records[partition][self.starts[partition] : self.end]
        return next((record.offset for record in log if record.timestamp >= timestamp), None)

    # --- consumer.ports.Source

    def subscribe(self, listener: Listener) -> None:
        self._listener = listener

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        if self._listener is not None and not self._next:
            self._listener.assigned(set(self.records))
        for partition, start in self._next.items():
            records = self.records[partition][start : min(start + 7, self.end)]
            if records and partition not in self._paused:
                self._next[partition] += len(records)
                return batch(records), []
        return None, []

    def assign(self, offsets: Mapping[int, int]) -> None:
        self._next |= offsets

    def unassign(self, partitions: set[int]) -> None:
        for partition in partitions:
            del self._next[partition]

    def seek(self, partition: int, offset: int) -> None:
        self._next[partition] = offset

    def pause(self, partitions: set[int]) -> None:
        self._paused |= partitions

    def resume(self, partitions: set[int]) -> None:
        self._paused -= partitions

    def watermarks(self, partition: int) -> tuple[int, int]:
        return self.starts[partition], self.end

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        return {}

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        """A commit is only a hint."""

    def close(self) -> None:
        if self._listener is not None:
            self._listener.revoked(set(self._next))


def batch(records: list[Record]) -> Batch:
    """Records of one partition, as the drain gives them."""
    return Batch.from_buffers(
        b"".join(record.payload for record in records),
        np.cumsum([0, *(len(record.payload) for record in records)]).astype(np.int64),
        np.array([record.offset for record in records], np.int64),
        np.array([record.timestamp for record in records], np.int64),
        records[0].partition,
    )


class Installation:
    """Store and archive of a folder; close it before the folder is copied."""

    def __init__(self, folder: Path, toml: str, *, create: bool = False) -> None:
        self.plan = Plan.parse(toml)
        self.store = SqliteStore(folder / "store.sqlite", create=create)
        self.files = LocalFileSystem(folder / "archive")
        self.registry = Registry(self.store, TOPIC, lambda: INCARNATION)
        self.settings = Settings(
            kafka=Kafka(topic=TOPIC),
            counters=Counters(store=f"sqlite:{folder / 'store.sqlite'}"),
            archive=Archive(root=folder / "archive"),
        )

    def chain(self, incarnation: int, partition: int) -> Chain:
        return Chain(self.files, TOPIC, incarnation, partition)

    def consume(self, log: Log) -> None:
        """A process that reads the log to its end, writes everything and leaves."""
        registration = self.registry.open(self.plan.id, self.plan.toml, len(log.records))
        engine, clock = make_engine(self.settings, self.plan, registration), SystemClock()
        sinks = make_sinks(
            self.settings, engine, self.store, self.registry, registration, clock, lambda _: InlineWorker()
        )
        consumer = assemble(self.settings, log, engine, sinks, self.registry, registration, clock)
        turns = iter(range(100))
        consumer.run(lambda: next(turns, None) is None)
        stopped = {number: part.stopped for number, part in consumer.assignment.partitions.items() if part.stopped}
        assert not stopped, stopped

    def record_gap(self, log: Log, reason: str) -> State:
        """What `flurry-fast gap record` does."""
        losses = gap.prepare(self.store, self.registry, self.chain, log, lambda: 0)
        return gap.record(self.store, self.registry, self.chain, losses, reason)

    def close(self) -> None:
        self.store.close()
