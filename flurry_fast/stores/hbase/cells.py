"""The one place where cells are put, read and swapped: columns in, columns out, several calls at once.

`mutateRowsTs` takes one timestamp for all rows of a call; it is not atomic over rows, and says nothing of which were
applied when it fails. So everything is sent again, whole, until all replies are clean, and clean means to the byte: a
reply without a result, with the right name and sequence id, and nothing after it. Puts carry `writeToWAL`, which the
gateway turns into SYNC_WAL: the reply comes after the write-ahead log took them, whatever durability the table asks
for.

A gateway answers the calls of one socket one after the other: a second call on a socket keeps it from waiting for us, a
second socket has it work on two at once. No call depends on another, so the order in which they are done is nobody's
concern: different cells, or the highest timestamp wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flurry_fast._wire import BinaryColumn, Calls, WireFailure
from flurry_fast.errors import StoreUnavailable
from flurry_fast.stores.base import Cells, Column
from flurry_fast.stores.hbase.wire import Gateway

MAX_ROW = 32_000  # bytes: 32,767 less the table's name, with which HBase looks up the region
PUT_ROWS = 5000  # of one mutateRowsTs: fewer, larger calls cost the region server less
PUT_BYTES = 8 * 2**20  # gateways refuse messages above 100 MB
GET_ROWS = 1000
SWAP_SOCKETS = 8  # a swap is one cell and waits for the log: HBase syncs its log once for all that wait together
SWAPS_A_SOCKET = 8  # fewer do not pay for a connection


@dataclass(frozen=True)
class Put:
    """Cells of one column (`family:qualifier`) of a table as HBase names it, all at one timestamp."""

    table: bytes
    column: bytes
    timestamp: int
    rows: BinaryColumn
    values: BinaryColumn


class CellCalls:
    """Puts, gets and swaps of one gateway. Any thread; each method raises StoreError as `Gateway.make`."""

    def __init__(self, gateway: Gateway, *, sockets: int = 2, depth: int = 2) -> None:
        """`sockets`: most of one `put` or `get`, a large `swap` takes more; `depth`: calls of HBase that are unanswered
        on each, at most."""
        self._gateway = gateway
        self._sockets = sockets
        self._depth = depth

    def put(self, puts: Sequence[Put]) -> None:
        """A return means that all of them are in the write-ahead log."""
        columns = [(put.table, put.column, put.timestamp, put.rows, put.values) for put in puts]
        self._make(Calls.put(columns, PUT_ROWS, PUT_BYTES))

    def get(self, asked: Sequence[tuple[bytes, bytes, Column]]) -> list[Cells]:
        """The newest cells of rows, for each (table, column, rows). A gateway must answer in the order of the rows."""
        columns = [(table, column, BinaryColumn(rows)) for table, column, rows in asked]
        calls = Calls.get(columns, GET_ROWS, PUT_BYTES)
        self._make(calls)
        try:
            return [_cells(*found) for found in calls.found()]
        except WireFailure as failure:
            raise StoreUnavailable(f"HBase's answer can not be held: {failure.text}.") from None

    def swap(self, table: bytes, cells: Sequence[tuple[bytes, bytes, bytes | None, bytes]]) -> list[bool]:
        """Put `new` where `expected` is (None: nothing), for each (row, column, expected, new), one atomically; whether
        it was there. In any order: cells are distinct."""
        calls = Calls.swap(table, cells)
        self._make(calls, sockets=max(self._sockets, min(SWAP_SOCKETS, len(cells) // SWAPS_A_SOCKET)))
        return calls.swapped()

    def _make(self, calls: Calls, *, sockets: int | None = None) -> None:
        self._gateway.make(calls, sockets=sockets or self._sockets, depth=self._depth)


def put_one(calls: CellCalls, table: bytes, column: bytes, timestamp: int, row: bytes, value: bytes) -> None:
    """One cell."""
    rows, values = (BinaryColumn(pa.array([item], pa.binary())) for item in (row, value))
    calls.put([Put(table, column, timestamp, rows, values)])


def _cells(indices: bytes, timestamps: bytes, offsets: bytes, values: bytes) -> Cells:
    def column(kind: pa.DataType, *buffers: bytes) -> Any:
        return pa.Array.from_buffers(kind, len(indices) // 4, [None, *map(pa.py_buffer, buffers)])

    return Cells(column(pa.int32(), indices), column(pa.int64(), timestamps), column(pa.binary(), offsets, values))
