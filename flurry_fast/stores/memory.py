"""A cell store that is forgotten with its process: for tests, and for a try without a disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.stores.base import (
    Cells,
    CellStore,
    Column,
    ControlCell,
    check_table,
    check_write,
    scan_batch,
    to_bytes,
)

SCAN_BATCH = 1000
_Key = tuple[bytes, bytes]  # row, qualifier


class MemoryStore(CellStore):
    """Dictionaries behind one lock."""

    kind: ClassVar[str] = "memory"

    def __init__(self, store_id: bytes | None = None) -> None:
        self._id = store_id if store_id is not None else os.urandom(16)
        self._lock = threading.Lock()
        self._tables: dict[str, dict[_Key, ControlCell]] = {}
        self._control: dict[_Key, ControlCell] = {}
        self._closed = False

    @property
    def store_id(self) -> bytes:
        return self._id

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        with self._open():
            cells = self._tables.get(check_table(table), {})
            found = [(i, cells.get((row, qualifier))) for i, row in enumerate(to_bytes(rows))]
        hits = [(i, cell) for i, cell in found if cell is not None]
        return Cells(
            pa.array([i for i, _ in hits], pa.int32()),
            pa.array([cell.timestamp for _, cell in hits], pa.int64()),
            pa.array([cell.value for _, cell in hits], pa.binary()),
        )

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        check_write(timestamp, rows, values)
        with self._open():
            cells = self._tables.setdefault(check_table(table), {})
            for row, value in zip(to_bytes(rows), to_bytes(values), strict=True):
                _put(cells, (row, qualifier), ControlCell(timestamp, value))

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        with self._open():
            cells = self._tables.get(check_table(table), {})
            keys = sorted(key for key in cells if start <= key[0] and (stop is None or key[0] < stop))[:limit]
            found = [(*key, cells[key].timestamp, cells[key].value) for key in keys]
        for at in range(0, len(found), SCAN_BATCH):
            yield scan_batch(found[at : at + SCAN_BATCH])

    def tables(self) -> list[str]:
        with self._open():
            return sorted(name for name, cells in self._tables.items() if cells)

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        with self._open():
            return self._control.get((row, qualifier))

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        with self._open():
            return {key[1]: cell for key, cell in sorted(self._control.items()) if key[0] == row}

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        with self._open():
            _put(self._control, (row, qualifier), ControlCell(timestamp, value))

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        with self._open():
            return self._control.setdefault((row, qualifier), ControlCell(timestamp, value))

    def close(self) -> None:
        self._closed = True

    def _open(self) -> threading.Lock:
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        return self._lock


def _put(cells: dict[_Key, ControlCell], key: _Key, cell: ControlCell) -> None:
    old = cells.get(key)
    if old is not None and old.timestamp == cell.timestamp and old.value != cell.value:
        raise StoreCorrupt(f"Row {key[0].hex()} was written twice at {cell.timestamp} with different values.")
    if old is None or cell.timestamp > old.timestamp:
        cells[key] = cell
