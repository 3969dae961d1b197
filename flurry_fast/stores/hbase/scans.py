"""One scanner of the gateway: cells in order, in pages of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from flurry_fast.stores.hbase.tables import FAMILY
from flurry_fast.stores.hbase.wire import Gateway, hbase

SCAN_CELLS = 2000  # about so many of one call; rows can have hundreds of columns
SCAN_ROWS = 1000
SCAN_COLUMNS = 100  # a wider row comes in parts

Cell: TypeAlias = tuple[bytes, bytes, int, bytes]
"""Row, qualifier, timestamp, value."""


def pages(gateway: Gateway, table: bytes, start: bytes, stop: bytes | None) -> Iterator[list[Cell]]:
    """Cells with start <= row < stop of a table as HBase names it, in order, from one scanner.

    It is closed, and its connection kept, unless something failed; raises StoreError then.
    """
    timeout = gateway.timeout
    scan = hbase.TScan(startRow=start or None, stopRow=stop, caching=SCAN_ROWS, batchSize=SCAN_COLUMNS)
    ask = SCAN_CELLS // SCAN_COLUMNS
    with gateway.held() as client:
        scanner = client.call("scannerOpenWithScan", table, scan, {}, timeout=timeout)
        try:
            while results := client.call("scannerGetList", scanner, ask, timeout=timeout):
                page = [cell for result in results for cell in _in_order(result)]
                yield page
                ask = max(1, min(SCAN_ROWS, SCAN_CELLS * len(results) // max(1, len(page))))
        except GeneratorExit:
            client.call("scannerClose", scanner, timeout=timeout)
            raise
        client.call("scannerClose", scanner, timeout=timeout)


def _in_order(result: Any) -> Iterator[Cell]:
    for column, cell in sorted(result.columns.items()):
        family, _, qualifier = column.partition(b":")
        if family == FAMILY:
            yield result.row, qualifier, cell.timestamp, cell.value
