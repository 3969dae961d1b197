"""The cell store contract: the least a store must promise for counters to be exact over it.

A cell is (table, row, qualifier) -> (timestamp, value), all bytes but the timestamp, an i64 >= 0. A store

- keeps the value with the **highest timestamp, whatever the order of arrival**: a late, repeated or stale write never
  wins. A cell's timestamp is the offset that its value was counted up to (docs/exactness.md);
- takes an equal timestamp with equal bytes as done already, and with **other bytes as proof that the scheme is
  broken**: StoreCorrupt, never retried. For control cells every store does; for cells of counters one that can not see
  it without a read says so (`refuses_conflicts`). There such bytes replace each other, and are found by whoever reads
  the block next (a block carries its end, plan, a CRC of the record before its end and one of itself), or by the audit,
  which compares bytes;
- never deletes, never expires, never invents a timestamp.

**A clean return is an acknowledgement**: what was written survives the death of the process and of the machine, and
every later read, from any process, sees it or something higher. An exception says nothing about the effect: all, some
or none of it may have been applied, or may yet be. Whoever wrote sends the same again until the return is clean, on a
connection that had no error since its last clean reply (an implementation drops its connection on any exception).

Every call may block, up to the store's deadline, then raises StoreUnavailable. Every method may be called from any
thread; several processes may use one store.

Columns are pyarrow BinaryArray or LargeBinaryArray, without nulls. Tables come into being when first written; one that
was never written reads as empty.

The control table has the same cells, one at a time, for positions and the registry.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias, cast

import pyarrow as pa

Column: TypeAlias = "pa.Array[Any]"

_SCAN_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("row", pa.binary()),
    ("qualifier", pa.binary()),
    ("timestamp", pa.int64()),
    ("value", pa.binary()),
]
SCAN_SCHEMA = pa.schema(_SCAN_COLUMNS)
TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
INSTALLATION = b"installation"
SCATTERED = b"position|"
"""How control rows begin whose cells have nothing to do with one another: what a scan shows of them need be no one
instant's, so a store may keep them apart."""


@dataclass(frozen=True)
class Cells:
    """What a read found. `indices` (int32) point into the rows that were asked for, in increasing order; a row that is
    not listed has no cell. `timestamps` are int64, `values` binary; all three have one length."""

    indices: pa.Int32Array
    timestamps: pa.Int64Array
    values: pa.BinaryArray


@dataclass(frozen=True)
class ControlCell:
    """One cell of the control table."""

    timestamp: int
    value: bytes


@dataclass(frozen=True)
class CellColumn:
    """Cells of one column, all at `timestamp`. Rows are distinct; `values` is as long as `rows`."""

    table: str
    qualifier: bytes
    timestamp: int
    rows: Column
    values: Column

    def slice(self, start: int, count: int) -> CellColumn:
        """So many of its cells, without a copy."""
        return replace(self, rows=self.rows.slice(start, count), values=self.values.slice(start, count))


class CellStore(abc.ABC):
    """See the module's words; each method adds what is its own."""

    kind: ClassVar[str]
    refuses_conflicts: ClassVar[bool] = True
    """Whether `write` notices other bytes at an equal timestamp. `put_control` does in every store."""

    def check(self) -> None:  # noqa: B027 - most stores have nothing that could be set up wrongly
        """Tries, before a consumer starts, whether counters would stay exact in the store as it is set up.

        Blocks as a few calls do. Raises StoreError.
        """

    @property
    @abc.abstractmethod
    def store_id(self) -> bytes:
        """16 random bytes, minted when the store was created; a copy of the store has the same."""

    @abc.abstractmethod
    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        """The newest cell of each row in one column. An answer is the store's truth, never a replica's or a cache's."""

    @abc.abstractmethod
    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        """Put one column of cells, all at `timestamp`. Rows are distinct; `values` is as long as `rows`."""

    def read_columns(self, asked: Sequence[tuple[str, bytes, Column]]) -> list[Cells]:
        """`read` for each (table, qualifier, rows): at once, where the store can."""
        return [self.read(table, qualifier, rows) for table, qualifier, rows in asked]

    def write_columns(self, columns: Sequence[CellColumn]) -> None:
        """`write` for each, in any order or at once. Only a clean return acknowledges, and then all of them."""
        for column in columns:
            self.write(column.table, column.qualifier, column.timestamp, column.rows, column.values)

    @abc.abstractmethod
    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Cells with start <= row < stop by (row, qualifier), in batches of SCAN_SCHEMA; at most `limit` cells.

        Not a snapshot: cells written meanwhile may or may not be seen.
        """

    @abc.abstractmethod
    def tables(self) -> list[str]:
        """Names of the tables that may hold cells, in order, without the control table."""

    @abc.abstractmethod
    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        """The newest cell there."""

    @abc.abstractmethod
    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        """Every column of one control row, by qualifier, in order."""

    @abc.abstractmethod
    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        """Put one control cell; the rules of `write`."""

    def put_controls(self, row: bytes, cells: Sequence[tuple[bytes, int, bytes]]) -> None:
        """`put_control` for each (qualifier, timestamp, value), in any order or at once. Qualifiers are distinct."""
        for qualifier, timestamp, value in cells:
            self.put_control(row, qualifier, timestamp, value)

    @abc.abstractmethod
    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        """Put a control cell unless there is one, atomically over all processes; the cell that is there now."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release what is held; further calls raise StoreUnavailable."""


def check_table(table: str) -> str:
    """The name, if it is one a store accepts. Raises ValueError."""
    if not TABLE_NAME.fullmatch(table):
        raise ValueError(f"{table!r} is not a table name")
    return table


def check_write(timestamp: int, rows: Column, values: Column) -> None:
    """What every implementation asks of a write. Raises ValueError."""
    if not 0 <= timestamp < 2**63:
        raise ValueError(f"a cell needs an explicit timestamp, not {timestamp}")
    if len(rows) != len(values):
        raise ValueError(f"{len(rows)} rows with {len(values)} values")
    if rows.null_count or values.null_count:
        raise ValueError("a cell has neither a null row nor a null value")


def as_column(exported: Any) -> Column:
    """An engine's column (anything with ``__arrow_c_array__``) as pyarrow's, without a copy."""
    column: Column = pa.array(exported)
    return column


def to_bytes(column: Column) -> list[bytes]:
    """A column's values, for stores that take them one by one."""
    return cast("list[bytes]", column.to_pylist())


def scan_batch(cells: Sequence[tuple[bytes, bytes, int, bytes]]) -> pa.RecordBatch:
    """(row, qualifier, timestamp, value) tuples as one batch of SCAN_SCHEMA."""
    arrays: list[Column] = [
        pa.array([cell[0] for cell in cells], pa.binary()),
        pa.array([cell[1] for cell in cells], pa.binary()),
        pa.array([cell[2] for cell in cells], pa.int64()),
        pa.array([cell[3] for cell in cells], pa.binary()),
    ]
    return pa.record_batch(arrays, schema=SCAN_SCHEMA)


def prefix_end(prefix: bytes) -> bytes | None:
    """The least row above every row with this prefix; None if there is none. For `scan(start=prefix, stop=...)`."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None
