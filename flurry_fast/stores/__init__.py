"""Cell stores: where counters live. One contract (base.py), several homes."""

from __future__ import annotations

from pathlib import Path

from flurry_fast.config.hbase import parse_hbase
from flurry_fast.config.model import Counters
from flurry_fast.stores.base import Cells, CellStore, ControlCell
from flurry_fast.stores.memory import MemoryStore
from flurry_fast.stores.sqlite import SqliteStore

__all__ = ["CellStore", "Cells", "ControlCell", "MemoryStore", "SqliteStore", "open_store"]


def open_store(settings: Counters, *, create: bool = True) -> CellStore:
    """The store that `counters.store` names; `create=False` for tools that only read. Raises StoreError."""
    kind, _, rest = settings.store.partition(":")
    if kind == "memory":
        return MemoryStore()
    if kind == "hbase":
        from flurry_fast.stores.hbase import HBaseStore  # compiles an IDL: only for those who use it

        return HBaseStore(
            parse_hbase(settings.store),
            timeout=settings.write_timeout,
            create=create,
            sockets=settings.gateway_sockets,
            calls=settings.gateway_calls,
        )
    return SqliteStore(Path(rest), timeout=settings.write_timeout, create=create)
