"""A clock that is moved by hand, a source without a broker, a sink without a store, an engine that only remembers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

from flurry_fast.consumer.ports import Listener
from flurry_fast.positions import ArchivePosition, CountersPosition
from flurry_fast.registry import Registration
from flurry_fast.sinks.base import Sink, SinkEvent, SinkStatus

STORE_ID = bytes(16)
REGISTRATION = Registration("reports", 7, 4, 0, 5, STORE_ID, bytes(16), new_incarnation=True)


@dataclass
class Stats:
    """What a source counts."""

    native: bool = True
    commits: int = 0
    commit_failures: int = 0
    librdkafka: dict[str, Any] = field(default_factory=dict)


class SimulatedSource:
    """A log is (start, end) per partition; what the consumer does to it is written down."""

    def __init__(self, logs: dict[int, tuple[int, int]]) -> None:
        self.logs = logs
        self.stats = Stats()
        self.listener: Listener | None = None
        self.times: dict[int, int] = {}
        self.fail_seek: Exception | None = None
        self.reading: dict[int, int] = {}
        self.paused: set[int] = set()
        self.commits: dict[int, tuple[int, str]] = {}
        self.unassigned: list[set[int]] = []
        self.fail: Exception | None = None

    def subscribe(self, listener: Listener) -> None:
        self.listener = listener

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        return None, []

    def assign(self, offsets: Mapping[int, int]) -> None:
        self.reading.update(offsets)

    def unassign(self, partitions: set[int]) -> None:
        self.unassigned.append(set(partitions))
        for number in partitions:
            self.reading.pop(number, None)

    def seek(self, partition: int, offset: int) -> None:
        assert partition in self.reading
        if self.fail_seek is not None:
            raise self.fail_seek
        self.reading[partition] = offset

    def pause(self, partitions: set[int]) -> None:
        assert partitions <= set(self.reading)
        self.paused |= partitions

    def resume(self, partitions: set[int]) -> None:
        self.paused -= partitions

    def watermarks(self, partition: int) -> tuple[int, int]:
        if self.fail is not None:
            raise self.fail
        return self.logs[partition]

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        return self.times.get(timestamp)

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        return {number: self.commits[number] for number in partitions if number in self.commits}

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        self.commits.update(offsets)

    def close(self) -> None:
        if self.listener is not None and self.reading:
            self.listener.revoked(set(self.reading))


class RecordingEngine:
    """Remembers what it was told; its memory is what a test says."""

    def __init__(self) -> None:
        self.assigned: dict[int, dict[str, Any]] = {}
        self.rewound: list[tuple[int, int]] = []
        self.window: int | None = None
        self.recalled: list[tuple[int, int]] = []
        self.woken: list[tuple[int, int, int | None]] = []
        self.blocks = self.archive = 0
        self.evictions: list[int] = []

    def assign(self, partition: int, **arguments: Any) -> None:
        self.assigned[partition] = arguments

    def drop(self, partition: int) -> None:
        self.assigned.pop(partition, None)

    def recall_since(self, max_timestamp: int) -> int | None:
        return None if self.window is None or max_timestamp < 0 else max_timestamp - self.window

    def recall(self, partition: int, rows: Any) -> int:
        self.recalled.extend((partition, offset) for offset in rows.column("offset").to_pylist())
        return self.recalled[-1][1] + 1

    def counters_shed(self, partition: int, position: Any, *, recall_from: int | None = None) -> None:
        self.woken.append((partition, position.position, recall_from))

    def partitions(self) -> list[Any]:
        """Nothing was read since they were assigned."""
        return [SimpleNamespace(partition=n, next_offset=given["read_from"]) for n, given in self.assigned.items()]

    def rewind(self, partition: int, offset: int) -> None:
        self.rewound.append((partition, offset))

    def memory(self) -> dict[str, int]:
        return {"blocks": self.blocks, "archive": self.archive, "dedup": 0, "passed": 0, "gone": 0, "scratch": 0}

    def evict(self, target: int) -> int:
        self.evictions.append(target)
        freed = self.blocks - min(self.blocks, target)
        self.blocks -= freed
        return freed


class StubSink(Sink[Any]):
    """Stands where a test puts it; a partition it was never put in has no position."""

    name: ClassVar[str] = "counters"

    def __init__(self, stands: Mapping[int, int], make: Callable[[int], Any] = CountersPosition) -> None:
        self.stands = {number: make(offset) for number, offset in stands.items()}
        self.make = make
        self.assigned: dict[int, Any] = {}
        self.dropped: list[int] = []
        self.drains: list[set[int]] = []
        self.begun: list[tuple[int, int]] = []
        self.fail: Exception | None = None
        self.drain_result = True
        self.unwritten = self.held = self.flushed = self.shed_bytes = 0
        self.failing: float | None = None
        self.in_flight = False

    def locate(self, partition: int) -> Any:
        if self.fail is not None:
            raise self.fail
        return self.stands.get(partition)

    def origin(self, partition: int) -> int | None:
        return None

    def begin(self, partition: int, offset: int) -> Any:
        self.begun.append((partition, offset))
        return self.stands.setdefault(partition, self.make(offset))

    def assign(self, partition: int, position: Any) -> None:
        self.assigned[partition] = position

    def poll(self) -> list[SinkEvent]:
        return []

    def flush(self) -> None:
        self.flushed += 1

    def durable(self, partition: int) -> int | None:
        position = self.assigned.get(partition)
        return None if position is None else int(position.position)

    def drain(self, partitions: Collection[int], deadline: float) -> bool:
        self.drains.append(set(partitions))
        return self.drain_result

    def drop(self, partitions: Collection[int]) -> None:
        for number in partitions:
            self.assigned.pop(number, None)
            self.dropped.append(number)

    def shed(self) -> int:
        size, self.shed_bytes = self.shed_bytes, 0
        return size

    def held_bytes(self) -> int:
        return self.held

    def status(self) -> SinkStatus:
        error = None if self.failing is None else "StoreUnavailable: no"
        return SinkStatus(self.name, self.in_flight, self.unwritten, None, self.failing, error, 0, 0)

    def close(self) -> None:
        """Nothing to close."""


class StubArchive(StubSink):
    """The same under the archive's name, with an origin."""

    name: ClassVar[str] = "archive"
    share: ClassVar[float] = 0.2

    def __init__(self, stands: Mapping[int, int], origins: Mapping[int, int] | None = None) -> None:
        super().__init__(stands, ArchivePosition)
        self.origins = dict(origins or {})

    def origin(self, partition: int) -> int | None:
        return self.origins.get(partition)

    def begin(self, partition: int, offset: int) -> Any:
        self.origins.setdefault(partition, offset)
        return super().begin(partition, offset)
