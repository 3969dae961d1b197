"""Months: the tables that counters are kept in, which of them were dropped, and until when a report may still come.

Old counters go by dropping the table of their month, whole; nothing else is ever deleted. That a month was dropped is a
cell of the control table, put before the table goes: whoever would write to it, or miss it, can tell.
"""

from __future__ import annotations

import datetime as dt
import re

from flurry_fast.stores.base import CellStore

TABLE_PREFIX = "counters_"
DROPPED_ROW = b"dropped tables"
_TABLE = re.compile(rf"{TABLE_PREFIX}(\d{{4}})(\d\d)")


def table_of(month: dt.date) -> str:
    """The table of the month that this day lies in."""
    return f"{TABLE_PREFIX}{month:%Y%m}"


def month_of(table: str) -> dt.date | None:
    """The first day of a table's month; None for a table of something else."""
    match = _TABLE.fullmatch(table)
    try:
        return None if match is None else dt.date(int(match[1]), int(match[2]), 1)
    except ValueError:
        return None


def following(month: dt.date, count: int = 1) -> dt.date:
    """The first day of the month `count` months after this day's."""
    months = month.year * 12 + month.month - 1 + count
    return dt.date(months // 12, months % 12 + 1, 1)


def ends_at(month: dt.date) -> int:
    """The first millisecond (since the epoch) that is not in the month any more."""
    after = following(month)
    return round(dt.datetime(after.year, after.month, 1, tzinfo=dt.UTC).timestamp() * 1000)


def dropped(store: CellStore) -> set[str]:
    """Tables that were dropped, or are being dropped."""
    return {name.decode() for name in store.scan_control(DROPPED_ROW)}


def was_dropped(store: CellStore, table: str) -> bool:
    """Whether this one was."""
    return store.get_control(DROPPED_ROW, table.encode()) is not None


def note_dropped(store: CellStore, table: str) -> None:
    """Put it on record, before it goes."""
    store.put_control_if_absent(DROPPED_ROW, table.encode(), 1, b"")
