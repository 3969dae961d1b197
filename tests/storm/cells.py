"""A backup of a store's tables in HBase, taken region by region while it is written to, and put back later.

HBase's own snapshots need its Java API, which a test does not have; what they give is the same: every cell with its
timestamp, each table as of some moment of its own.
"""

from __future__ import annotations

from itertools import groupby

import happybase

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL

Cell = tuple[bytes, bytes, bytes, int]  # row, column, value, timestamp
Backup = dict[str, list[Cell]]


def take(address: HBaseAddress) -> Backup:
    """The control table first, as docs/hbase.md says."""
    store = HBaseStore(address, timeout=60, create=False)
    try:
        tables = [CONTROL, *store.tables()]
    finally:
        store.close()
    return {table: _cells(address, table) for table in tables}


def put_back(address: HBaseAddress, backup: Backup) -> None:
    """Every table becomes what it was, and those that were made since go. Nobody may be writing."""
    store = HBaseStore(address, timeout=60, create=False)
    try:
        for table in {*store.tables(), CONTROL} - {CONTROL}:
            store.admin.drop(table)
        store.admin.drop(CONTROL)
        for table in backup:
            store.admin.ensure(table)
    finally:
        store.close()
    connection = happybase.Connection(address.host, address.port, timeout=60_000)
    try:
        for table, cells in backup.items():
            target = connection.table(f"{address.prefix}{table}")
            by_time = sorted(cells, key=lambda cell: cell[3])
            for timestamp, some in groupby(by_time, key=lambda cell: cell[3]):
                with target.batch(timestamp=timestamp, batch_size=1000) as batch:
                    for row, column, value, _ in some:
                        batch.put(row, {column: value})
    finally:
        connection.close()


def _cells(address: HBaseAddress, table: str) -> list[Cell]:
    connection = happybase.Connection(address.host, address.port, timeout=60_000)
    try:
        return [
            (row, column, value, timestamp)
            for row, columns in connection.table(f"{address.prefix}{table}").scan(include_timestamp=True)
            for column, (value, timestamp) in columns.items()
        ]
    finally:
        connection.close()
