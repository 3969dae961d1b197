"""Clients of one HBase Thrift gateway that put and read the same cells: ours, happybase, and thriftpy2 without it.

Ours and thriftpy2 begin with Arrow columns, as a flush gives them; happybase with ready lists of bytes.
All put cells in one column with one timestamp, 5,000 rows a call, and read 1,000 rows a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import happybase
import pyarrow as pa

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stores.base import CellColumn
from flurry_fast.stores.hbase import HBaseStore

PUT_ROWS, GET_ROWS = 5000, 1000
QUALIFIER = b"bench"
COLUMN = b"d:" + QUALIFIER
TIMEOUT = 120.0
Found = dict[bytes, tuple[int, bytes]]


@dataclass(frozen=True)
class Workload:
    """The cells: as columns and as lists."""

    rows: pa.BinaryArray
    values: pa.BinaryArray
    row_list: list[bytes]
    value_list: list[bytes]


class Client(Protocol):
    """Writes to the table that it was made for, and reads from it."""

    name: str

    def put(self, load: Workload, timestamp: int) -> None:
        """All cells, acknowledged."""

    def get(self, load: Workload) -> Any:
        """All cells, as the client gives them."""

    def as_dict(self, load: Workload, answer: Any) -> Found:
        """What `get` gave, by row: to compare."""

    def close(self) -> None:
        """End its connections."""


class Ours:
    """The store, over `sockets` with `calls` unanswered on each."""

    def __init__(self, address: HBaseAddress, table: str, sockets: int, calls: int) -> None:
        self.name = f"flurry_fast, {sockets} x {calls}"
        self._table = table
        self._store = HBaseStore(address, timeout=TIMEOUT, sockets=sockets, calls=calls)
        self._store.admin.ensure(table)

    def put(self, load: Workload, timestamp: int) -> None:
        self._store.write_columns([CellColumn(self._table, QUALIFIER, timestamp, load.rows, load.values)])

    def get(self, load: Workload) -> Any:
        return self._store.read(self._table, QUALIFIER, load.rows)

    def as_dict(self, load: Workload, answer: Any) -> Found:
        columns = (answer.indices, answer.timestamps, answer.values)
        found = zip(*(column.to_pylist() for column in columns), strict=True)
        return {load.row_list[index]: (timestamp, value) for index, timestamp, value in found}

    def close(self) -> None:
        self._store.close()


class HappyBase:
    """As its documentation has it: a batch with a timestamp, sent every 5,000 rows; `Table.rows` with timestamps."""

    name = "happybase"

    def __init__(self, address: HBaseAddress, table: str) -> None:
        self._connection = happybase.Connection(address.host, address.port, timeout=int(TIMEOUT * 1000))
        self._table = self._connection.table(f"{address.prefix}{table}")

    def put(self, load: Workload, timestamp: int) -> None:
        with self._table.batch(timestamp=timestamp, batch_size=PUT_ROWS) as batch:
            for row, value in zip(load.row_list, load.value_list, strict=True):
                batch.put(row, {COLUMN: value})

    def get(self, load: Workload) -> Any:
        found = []
        for at in range(0, len(load.row_list), GET_ROWS):
            keys = load.row_list[at : at + GET_ROWS]
            found += self._table.rows(keys, columns=[COLUMN], include_timestamp=True)
        return found

    def as_dict(self, load: Workload, answer: Any) -> Found:  # noqa: ARG002 - it has the rows
        return {row: (cells[COLUMN][1], cells[COLUMN][0]) for row, cells in answer}

    def close(self) -> None:
        self._connection.close()


class ThriftPy:
    """Its compiled protocol under calls that are put together by hand: what flurry_fast did before csrc/thrift.h."""

    name = "thriftpy2"

    def __init__(self, address: HBaseAddress, table: str) -> None:
        self._connection = happybase.Connection(
            address.host, address.port, timeout=int(TIMEOUT * 1000), transport="buffered", protocol="binary"
        )
        self._client = self._connection.client
        self._name = f"{address.prefix}{table}".encode()
        self._idl = import_module("Hbase_thrift")

    def put(self, load: Workload, timestamp: int) -> None:
        mutation, batch = self._idl.Mutation, self._idl.BatchMutation
        cells = list(zip(load.rows.to_pylist(), load.values.to_pylist(), strict=True))
        for at in range(0, len(cells), PUT_ROWS):
            call = [
                batch(row=row, mutations=[mutation(column=COLUMN, value=value, writeToWAL=True)])
                for row, value in cells[at : at + PUT_ROWS]
            ]
            self._client.mutateRowsTs(self._name, call, timestamp, {})

    def get(self, load: Workload) -> Any:
        keys, found = load.rows.to_pylist(), {}
        for at in range(0, len(keys), GET_ROWS):
            for result in self._client.getRowsWithColumns(self._name, keys[at : at + GET_ROWS], [COLUMN], {}):
                cell = result.columns[COLUMN]
                found[result.row] = (cell.timestamp, cell.value)
        hits = [(i, *found[row]) for i, row in enumerate(keys) if row in found]
        kinds = (pa.int32(), pa.int64(), pa.binary())
        return [pa.array([hit[n] for hit in hits], kind) for n, kind in enumerate(kinds)]

    def as_dict(self, load: Workload, answer: Any) -> Found:
        found = zip(*(column.to_pylist() for column in answer), strict=True)
        return {load.row_list[index]: (timestamp, value) for index, timestamp, value in found}

    def close(self) -> None:
        self._connection.close()
