"""Cells in HBase, through a plain Thrift1 gateway. What an operator must know of it: docs/hbase.md.

`wire.py` is one connection to the gateway and the rules under which its word is taken; `cells.py` the one place where
cells are put and read, as columns, many calls at once; `control.py` the control table's cells; `tables.py` what tables
must be like; `canary.py` a try of the whole at the start; `store.py` puts them together as a `CellStore`.
"""

from __future__ import annotations

from flurry_fast.stores.hbase.store import HBaseStore

__all__ = ["HBaseStore"]
