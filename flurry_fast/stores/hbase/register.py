"""control.Register over the control table's rows.

A row's cells share a lock, which a compared put holds until the log has it: 400 positions in one row are written one
after the other, over however many connections. So each cell of a scattered row has a row of its own,

    row | 0x00 | qualifier

and HBase syncs its log once for all that wait together. All other control rows are one row of HBase each, read at one
instant.
"""

from __future__ import annotations

from collections.abc import Sequence

from flurry_fast.stores.base import SCATTERED
from flurry_fast.stores.hbase.cells import CellCalls
from flurry_fast.stores.hbase.scans import pages
from flurry_fast.stores.hbase.tables import FAMILY
from flurry_fast.stores.hbase.wire import Client, Gateway, ReplyMismatch


class ControlRegister:
    """See the module, and control.Register. Any thread."""

    def __init__(self, gateway: Gateway, cells: CellCalls, table: bytes) -> None:
        self._gateway = gateway
        self._cells = cells
        self._table = table

    def get(self, row: bytes, qualifier: bytes) -> bytes | None:
        column = FAMILY + b":" + qualifier
        return self._ask(_place(row, qualifier), column).get(column)

    def get_row(self, row: bytes) -> dict[bytes, bytes]:
        if row.startswith(SCATTERED):
            found = pages(self._gateway, self._table, row + b"\0", row + b"\1")
            return {qualifier: value for page in found for _, qualifier, _, value in page}
        prefix = FAMILY + b":"
        return {column[len(prefix) :]: value for column, value in self._ask(row, FAMILY).items()}

    def replace(self, row: bytes, qualifier: bytes, expected: bytes | None, new: bytes) -> bool:
        return self.replace_all(row, [(qualifier, expected, new)])[0]

    def replace_all(self, row: bytes, cells: Sequence[tuple[bytes, bytes | None, bytes]]) -> list[bool]:
        steps = [
            (_place(row, qualifier), FAMILY + b":" + qualifier, expected, new) for qualifier, expected, new in cells
        ]
        return self._cells.swap(self._table, steps)

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


def _place(row: bytes, qualifier: bytes) -> bytes:
    return row + b"\0" + qualifier if row.startswith(SCATTERED) else row
