"""The counters' tables, where they are in HBase."""

from __future__ import annotations

from flurry_fast.cluster.findings import Finding
from flurry_fast.config.hbase import SCHEME, parse_hbase
from flurry_fast.config.model import Settings


def tables(settings: Settings) -> list[Finding]:
    """Whether they are as exactness and speed need them, and made ahead; writes and reads a cell. Raises StoreError."""
    if "counters" not in settings.consume.sinks or not settings.counters.store.startswith(SCHEME):
        return []
    from flurry_fast.stores.hbase import HBaseStore  # only who has HBase waits for its client
    from flurry_fast.stores.hbase.inspection import inspect

    store = HBaseStore(parse_hbase(settings.counters.store), timeout=settings.counters.write_timeout, create=False)
    try:
        found = inspect(store)
    finally:
        store.close()
    said = 'docs/hbase.md, "What HBase must promise"'
    findings = [
        Finding("exactness", f"table {table}", "", reason, "as `tables create` makes it", said)
        for table, reason in found.breaking
    ]
    findings += [
        Finding("advice", f"table {table}", "", reason, "as `tables create` makes it", "it costs space or time")
        for table, reason in found.wasteful
    ]
    why = "a consumer makes what it misses, but waits for it"
    findings += [
        Finding("advice", f"table {table}", "", "not there", "made ahead of need", why, "flurry-fast tables create")
        for table in found.missing
    ]
    return findings
