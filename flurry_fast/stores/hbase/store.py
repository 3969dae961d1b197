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

import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.months import was_dropped
from flurry_fast.stores.base import (
    INSTALLATION,
    Cells,
    CellStore,
    Column,
    ControlCell,
    check_table,
    check_write,
    scan_batch,
    to_bytes,
)
from flurry_fast.stores.hbase import canary
from flurry_fast.stores.hbase.control import ControlCells
from flurry_fast.stores.hbase.put import MAX_ROW, put_column
from flurry_fast.stores.hbase.tables import CONTROL, FAMILY, Tables
from flurry_fast.stores.hbase.wire import Client, Gateway, ReplyMismatch, TableMissing, hbase

READ_ROWS = 1000
CALL_ROWS = 5000  # of one mutateRowsTs: fewer, larger calls cost the region server less
CALL_BYTES = 8 * 2**20  # gateways refuse messages above 100 MB
SCAN_CELLS = 2000  # about so many of one call; rows can have hundreds of columns
SCAN_ROWS = 1000
SCAN_COLUMNS = 100  # a wider row comes in parts

_Cell = tuple[bytes, bytes, int, bytes]


class HBaseStore(CellStore):
    """See the module; the contract is base.CellStore."""

    kind: ClassVar[str] = "hbase"
    refuses_conflicts: ClassVar[bool] = False

    def __init__(
        self, address: HBaseAddress, *, timeout: float = 30.0, create: bool = True, compression: str = "NONE"
    ) -> None:
        """Open the store, or make its control table and identity. `timeout`: seconds of one call to the gateway.

        Raises StoreUnavailable (no gateway; no store there and not `create`) or StoreCorrupt (not ours; not fit).
        """
        self.address = address
        self.gateway = Gateway(address, timeout)
        self.admin = Tables(self.gateway, address.prefix, compression)
        self._control_name = self.admin.full_name(CONTROL)
        self._control = ControlCells(_Register(self.gateway, self._control_name))
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
        canary.sing(self.gateway, self._control_name, self._control)

    # --- cells ---------------------------------------------------------------------------------------------------

    def read(self, table: str, qualifier: bytes, rows: Column) -> Cells:
        keys = to_bytes(rows)
        found: dict[bytes, tuple[int, bytes]] = {}
        name, column = self.admin.full_name(table), FAMILY + b":" + qualifier
        if self.admin.fit(table):
            for at in range(0, len(keys), READ_ROWS):
                part = keys[at : at + READ_ROWS]
                try:
                    found |= self.gateway.using(lambda client, part=part: self._rows(client, name, column, part))  # type: ignore[misc]
                except TableMissing:
                    self.admin.gone(table)
                    raise
        hits = [(i, *found[row]) for i, row in enumerate(keys) if row in found]
        return Cells(
            pa.array([hit[0] for hit in hits], pa.int32()),
            pa.array([hit[1] for hit in hits], pa.int64()),
            pa.array([hit[2] for hit in hits], pa.binary()),
        )

    def write(self, table: str, qualifier: bytes, timestamp: int, rows: Column, values: Column) -> None:
        check_write(timestamp, rows, values)
        cells = list(zip(to_bytes(rows), to_bytes(values), strict=True))
        name, column = self.admin.full_name(table), FAMILY + b":" + qualifier
        for row, _ in cells:
            if not 0 < len(row) <= MAX_ROW:
                raise ValueError(f"a row of HBase has 1 to {MAX_ROW} bytes, not {len(row)}")
        self._ensure(table)
        try:
            for part in _calls(cells):
                self.gateway.using(
                    lambda client, part=part: put_column(client, name, column, timestamp, part, self.gateway.timeout)  # type: ignore[misc]
                )
        except StoreUnavailable:
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
                for page in self._pages(table, start if last is None else last[0], stop):
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

    def put_control_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        return self._control.put_if_absent(row, qualifier, timestamp, value)

    def control_rows(self, prefix: bytes) -> list[bytes]:
        """The rows of the control table that begin so, in order."""
        rows = {cell[0] for page in self._pages(CONTROL, prefix, None) for cell in page}
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

    def _rows(self, client: Client, name: bytes, column: bytes, keys: list[bytes]) -> dict[bytes, tuple[int, bytes]]:
        asked = set(keys)
        found = {}
        for result in client.call("getRowsWithColumns", name, keys, [column], {}, timeout=self.gateway.timeout):
            if result.row not in asked or set(result.columns) - {column}:
                raise ReplyMismatch("a row came back that was not asked for")
            cell = result.columns.get(column)
            if cell is not None:
                found[result.row] = (cell.timestamp, cell.value)
        return found

    def _pages(self, table: str, start: bytes, stop: bytes | None) -> Iterator[list[_Cell]]:
        """Cells in order, from one scanner. It is closed, and its connection kept, unless something failed."""
        timeout = self.gateway.timeout
        scan = hbase.TScan(startRow=start or None, stopRow=stop, caching=SCAN_ROWS, batchSize=SCAN_COLUMNS)
        ask = SCAN_CELLS // SCAN_COLUMNS
        with self.gateway.held() as client:
            scanner = client.call("scannerOpenWithScan", self.admin.full_name(table), scan, {}, timeout=timeout)
            try:
                while results := client.call("scannerGetList", scanner, ask, timeout=timeout):
                    page = [cell for result in results for cell in _in_order(result)]
                    yield page
                    ask = max(1, min(SCAN_ROWS, SCAN_CELLS * len(results) // max(1, len(page))))
            except GeneratorExit:
                client.call("scannerClose", scanner, timeout=timeout)
                raise
            client.call("scannerClose", scanner, timeout=timeout)


class _Register:
    """control.Register over a table's rows."""

    def __init__(self, gateway: Gateway, table: bytes) -> None:
        self._gateway = gateway
        self._table = table

    def get(self, row: bytes, qualifier: bytes) -> bytes | None:
        column = FAMILY + b":" + qualifier
        return self._ask(row, column).get(column)

    def get_row(self, row: bytes) -> dict[bytes, bytes]:
        prefix = FAMILY + b":"
        return {column[len(prefix) :]: value for column, value in self._ask(row, FAMILY).items()}

    def replace(self, row: bytes, qualifier: bytes, expected: bytes | None, new: bytes) -> bool:
        column = FAMILY + b":" + qualifier
        put = hbase.Mutation(column=column, value=new, writeToWAL=True)
        done: bool = self._gateway.call("checkAndPut", self._table, row, column, expected, put, {})
        return done

    def _ask(self, row: bytes, wanted: bytes) -> dict[bytes, bytes]:
        """Values by column; `wanted` is one of them, or the family."""

        def ask(client: Client) -> dict[bytes, bytes]:
            timeout = self._gateway.timeout
            results = client.call("getRowWithColumns", self._table, row, [wanted], {}, timeout=timeout)
            cells = {column: cell.value for result in results for column, cell in result.columns.items()}
            other = any(column != wanted and not column.startswith(wanted + b":") for column in cells)
            if len(results) > 1 or any(result.row != row for result in results) or other:
                raise ReplyMismatch("a cell came back that was not asked for")
            return cells

        return self._gateway.using(ask)


def _calls(cells: list[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """Cut where a call would become too large. A write is not atomic over rows, so it may be several."""
    part: list[tuple[bytes, bytes]] = []
    size = 0
    for cell in cells:
        length = len(cell[0]) + len(cell[1])
        if part and (size + length > CALL_BYTES or len(part) >= CALL_ROWS):
            yield part
            part, size = [], 0
        part.append(cell)
        size += length
    if part:
        yield part


def _in_order(result: Any) -> Iterator[_Cell]:
    for column, cell in sorted(result.columns.items()):
        family, _, qualifier = column.partition(b":")
        if family == FAMILY:
            yield result.row, qualifier, cell.timestamp, cell.value
