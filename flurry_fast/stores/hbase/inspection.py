"""All tables of a store held against what exactness and speed need: `tables check`, `config check --cluster`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from flurry_fast.errors import StoreCorrupt
from flurry_fast.months import dropped, following, table_of
from flurry_fast.stores.hbase.store import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL, Attributes


@dataclass
class Inspection:
    """What was found. Tables are named as HBase does; `breaking` and `wasteful` are (table, what is wrong with it)."""

    tables: list[Attributes] = field(default_factory=list)
    breaking: list[tuple[str, str]] = field(default_factory=list)  # counters would not stay exact
    wasteful: list[tuple[str, str]] = field(default_factory=list)  # it costs space or time
    missing: list[str] = field(default_factory=list)  # of this month and the next
    dropped: list[str] = field(default_factory=list)


def inspect(store: HBaseStore) -> Inspection:
    """Looks at every table; if all are fit, writes and reads a cell as counters are. Raises StoreUnavailable."""
    found = Inspection()
    tables = store.tables()
    for table in (CONTROL, *tables):
        name = store.admin.full_name(table).decode()
        try:
            attributes = store.admin.attributes(table, regions=True)
        except StoreCorrupt as error:
            found.breaking.append((name, str(error)))
            continue
        if attributes is not None:
            found.tables.append(attributes)
            found.breaking += [(name, reason) for reason in attributes.breaking()]
            found.wasteful += [(name, reason) for reason in attributes.wasteful()]
    if not found.breaking:
        try:
            store.check()
        except StoreCorrupt as error:
            found.breaking.append((store.admin.full_name(CONTROL).decode(), str(error)))
    today = dt.datetime.now(dt.UTC).date()
    wanted = (table_of(today), table_of(following(today)))
    found.missing = [store.admin.full_name(table).decode() for table in wanted if table not in tables]
    found.dropped = sorted(store.admin.full_name(name).decode() for name in dropped(store))
    return found
