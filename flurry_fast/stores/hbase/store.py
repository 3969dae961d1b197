"""A cell store in HBase.

Blocks are cells as HBase knows them: timestamp E, VERSIONS 1, so "the highest timestamp wins" is HBase's own rule, for
any number of writers and whatever arrives last. A put of an equal timestamp replaces the one before it: HBase does not
see other bytes there, and nothing is read on the way of a write, so this store does not refuse them
(`refuses_conflicts`). That would take two writers that disagree on what a partition's records below E add up to; each
block that is read is held against its own end, plan and checksums, and the audit compares every byte with a count of
the archive.

Control cells, few and precious, are compared and put (`control.py`), and do refuse.

Tables of months come into being when first written, or before (`flurry-fast tables create`). Each is looked at once by
every process before it is used. One that is not there is empty; one that was there and is not any more is corruption.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pyarrow as pa

from flurry_fast._wire import BinaryColumn
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.months import was_dropped
from flurry_fast.stores.base import (
    INSTALLATION,
    CellColumn,
    Cells,
    CellStore,
    Column,
    ControlCell,
    check_table,
    check_write,
    scan_batch,
)
from flurry_fast.stores.hbase import canary
from flurry_fast.stores.hbase.cells import MAX_ROW, CellCalls, Put
from flurry_fast.stores.hbase.control import ControlCells
from flurry_fast.stores.hbase.register import ControlRegister
from flurry_fast.stores.hbase.scans import pages
from flurry_fast.stores.hbase.tables import CONTROL, FAMILY, Tables
from flurry_fast.stores.hbase.wire import Gateway, TableMissing


class HBaseStore(CellStore):
    """See the module; the contract is base.CellStore."""

    kind: ClassVar[str] = "hbase"
    refuses_conflicts: ClassVar[bool] = False

    def __init__(
        self,
        address: HBaseAddress,
        *,
        timeout: float = 30.0,
        create: bool = True,
        compression: str = "NONE",
        sockets: int = 2,
        calls: int = 2,
    ) -> None:
        """Open the store, or make its control table and identity. `timeout`: seconds of one call to the gateway;
        `sockets`, `calls`: over how many connections cells go at once, and how many calls are unanswered on each.

        Raises StoreUnavailable (no gateway; no store there and not `create`) or StoreCorrupt (not ours; not fit).
        """
        self.address = address
        self.gateway = Gateway(address, timeout)
        self.admin = Tables(self.gateway, address.prefix, compression)
        self._control_name = self.admin.full_name(CONTROL)
        self._cells = CellCalls(self.gateway, sockets=sockets, depth=calls)
        self._control = ControlCells(ControlRegister(self.gateway, self._cells, self._control_name))
        try:
            self._id = self._identity(create=create)
        except BaseException:
            self.gateway.close()
            raise

    @property
    def store_id(self) -> bytes:
        return self._id

    def check(self) -> None:
        for table in (CONTROL, *self.tables()):
            self.admin.fit(table)
        canary.sing(self.gateway, self._cells, self._control_name, self._control)

    # --- cells ---------------------------------------------------------------------------------------------------

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        return self.read_columns([(table, qualifier, rows)])[0]

    def read_columns(self, asked: Sequence[tuple[str, bytes, Column]]) -> list[Cells]:
        there = {table for table in {table for table, _, _ in asked} if self.admin.fit(table)}
        questions = [
            (self.admin.full_name(table), FAMILY + b":" + qualifier, rows)
            for table, qualifier, rows in asked
            if table in there
        ]
        try:
            found = iter(self._cells.get(questions))
        except TableMissing:
            for table in there:
                with contextlib.suppress(StoreUnavailable):  # it is another one
                    self.admin.gone(table)
            raise
        return [next(found) if table in there else _no_cells() for table, _, _ in asked]

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        self.write_columns([CellColumn(table, qualifier, timestamp, rows, values)])

    def write_columns(self, columns: Sequence[CellColumn]) -> None:
        puts = [self._put(column) for column in columns]
        tables = {column.table for column in columns}
        for table in sorted(tables):
            self._ensure(table)
        try:
            self._cells.put(puts)
        except StoreUnavailable:
            for table in tables:
                self.admin.doubt(table)
            raise

    def scan(
        self, table: str, *, start: bytes = b"", stop: bytes | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As the contract says. A scanner that the gateway lost (its restart; a reader that was slow) is opened anew
        behind the last cell."""
        check_table(table)
        left = limit
        if (stop is not None and stop <= start) or not self.admin.fit(table):
            return
        last: tuple[bytes, bytes] | None = None
        while left is None or left > 0:
            moved = False
            try:
                for page in pages(self.gateway, self.admin.full_name(table), start if last is None else last[0], stop):
                    cells = [cell for cell in page if last is None or cell[:2] > last][:left]
                    if not cells:
                        continue
                    yield scan_batch(cells)
                    moved, last = True, cells[-1][:2]
                    left = None if left is None else left - len(cells)
                    if left == 0:
                        return
            except TableMissing:
                self.admin.gone(table)
                raise
            except StoreUnavailable:
                if not moved:
                    raise
            else:
                return

    def tables(self) -> list[str]:
        return self.admin.names()

    # --- control -------------------------------------------------------------------------------------------------

    def get_control(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        return self._control.get(row, qualifier)

    def scan_control(self, row: bytes) -> dict[bytes, ControlCell]:
        return self._control.scan(row)

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        self._control.put(row, qualifier, timestamp, value)

    def put_controls(self, row: bytes, cells: Sequence[tuple[bytes, int, bytes]]) -> None:
        self._control.put_all(row, cells)

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        return self._control.put_if_absent(row, qualifier, timestamp, value)

    def control_rows(self, prefix: bytes) -> list[bytes]:
        """The rows of the control table that begin so, in order."""
        rows = {cell[0] for page in pages(self.gateway, self._control_name, prefix, None) for cell in page}
        return sorted(row for row in rows if row.startswith(prefix))

    def close(self) -> None:
        self.gateway.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _identity(self, *, create: bool) -> bytes:
        if create:
            self.admin.ensure(CONTROL)
            cell: ControlCell | None = self.put_control_if_absent(INSTALLATION, b"store_id", 1, os.urandom(16))
        else:
            cell = self.get_control(INSTALLATION, b"store_id") if self.admin.fit(CONTROL) else None
        if cell is None:
            raise StoreUnavailable(
                f"There is no store at {self.address}.",
                way_out="Start `flurry-fast consume` or `flurry-fast tables create` first, or set counters.store.",
            )
        return cell.value

    def _put(self, column: CellColumn) -> Put:
        check_write(column.timestamp, column.rows, column.values)
        rows, values = BinaryColumn(column.rows), BinaryColumn(column.values)
        for length in (rows.shortest, rows.longest):
            if len(rows) and not 0 < length <= MAX_ROW:
                raise ValueError(f"a row of HBase has 1 to {MAX_ROW} bytes, not {length}")
        name = self.admin.full_name(column.table)
        return Put(name, FAMILY + b":" + column.qualifier, column.timestamp, rows, values)

    def _ensure(self, table: str) -> None:
        """The table, made if it never was there."""
        if self.admin.fit(table):
            return
        if was_dropped(self, table):
            raise StoreCorrupt(
                f"Cells are to be written to {self.admin.full_name(table).decode()}, which was dropped.",
                way_out="Reports of a dropped month came up again: restore the table, or see docs/hbase.md.",
            )
        self.admin.ensure(table)


def _no_cells() -> Cells:
    return Cells(pa.array([], pa.int32()), pa.array([], pa.int64()), pa.array([], pa.binary()))
