"""A log that can be read at random, and a store and a file system whose user dies at a chosen call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import google_crc32c
import pyarrow as pa

from flurry_fast.archive.filesystem import ArchiveFileSystem, Entry, LocalFileSystem
from flurry_fast.errors import FlurryFastError
from flurry_fast.operations.ports import Bounds, Record
from flurry_fast.stores.base import Cells, CellStore, Column, ControlCell

from ..verify.logs import Logs

T = TypeVar("T")


class MemoryLog:
    """operations.ports.LogView over lists."""

    def __init__(self, logs: Logs) -> None:
        self.logs = logs
        self.starts = dict.fromkeys(logs, 0)
        self.looked = 0  # records whose time was asked for

    def bounds(self, partition: int) -> Bounds:
        return Bounds(self.starts[partition], len(self.logs[partition]))

    def record(self, partition: int, offset: int) -> Record:
        assert self.starts[partition] <= offset
        payload, timestamp = self.logs[partition][offset]
        return Record(google_crc32c.value(payload), timestamp)

    def max_timestamp(self, partition: int, start: int, end: int) -> int:
        assert self.starts[partition] <= start
        self.looked += end - start
        return max((timestamp for _, timestamp in self.logs[partition][start:end]), default=-1)

    def offset_at(self, partition: int, timestamp: int) -> int | None:
        found = (at for at, (_, time) in enumerate(self.logs[partition]) if time >= timestamp)
        return next((at for at in found if at >= self.starts[partition]), None)


class Death(FlurryFastError):
    """kill -9, as far as the caller can tell."""


class Reaper:
    """Lets so many calls through, then the next one dies, before or after its effect; and every later one."""

    def __init__(self, calls: int | None = None, *, after: bool = False) -> None:
        self.calls, self.after, self.seen = calls, after, 0

    def __call__(self, call: Callable[[], T]) -> T:
        if self.calls is not None and self.seen >= self.calls:
            if self.seen == self.calls and self.after:
                call()
            self.seen += 1
            raise Death("killed")
        self.seen += 1
        return call()


class MortalStore(CellStore):
    """A store as it is seen by a process that dies."""

    kind = "mortal"

    def __init__(self, inner: CellStore, reaper: Reaper) -> None:
        self.inner, self._reap = inner, reaper

    @property
    def store_id(self) -> bytes:
        return self.inner.store_id

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        return self._reap(lambda: self.inner.read(table, qualifier, rows))

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        self._reap(lambda: self.inner.write(table, qualifier, timestamp, rows, values))

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        return self._reap(lambda: self.inner.scan(table, start=start, stop=stop, limit=limit))

    def tables(self) -> list[str]:
        return self._reap(self.inner.tables)

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        return self._reap(lambda: self.inner.get_control(row, qualifier))

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        return self._reap(lambda: self.inner.scan_control(row))

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        self._reap(lambda: self.inner.put_control(row, qualifier, timestamp, value))

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        return self._reap(lambda: self.inner.put_control_if_absent(row, qualifier, timestamp, value))

    def close(self) -> None:
        """The process is gone anyway."""


class MortalFiles(ArchiveFileSystem):
    """The local file system as it is seen by a process that dies."""

    def __init__(self, inner: LocalFileSystem, reaper: Reaper) -> None:
        self.inner, self._reap = inner, reaper

    def check(self) -> None:
        self._reap(self.inner.check)

    def create(self, path: str) -> Any:
        return self._reap(lambda: self.inner.create(path))

    def make_durable(self, path: str) -> None:
        self._reap(lambda: self.inner.make_durable(path))

    def claim(self, temporary: str, path: str) -> bool:
        return self._reap(lambda: self.inner.claim(temporary, path))

    def list(self, folder: str) -> list[Entry]:
        return self._reap(lambda: self.inner.list(folder))

    def open(self, path: str) -> Any:
        return self._reap(lambda: self.inner.open(path))

    def remove(self, path: str) -> None:
        self._reap(lambda: self.inner.remove(path))

    def describe(self, path: str) -> str:
        return self.inner.describe(path)
