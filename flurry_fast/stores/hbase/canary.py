"""A try of everything that counters rest on, before a consumer starts: cheap, and safe beside others who do the same.

Attributes can be looked at only as far as the gateway shows them. So cells are written and read as counters are, with
timestamps as small as offsets: they must be there at once (a TTL would hide them), a lower timestamp must not win, and
what is put must come back as it was put. The value is a function of the timestamp, so that any number of processes may
write the same cell at once.
"""

from __future__ import annotations

from flurry_fast.errors import StoreCorrupt
from flurry_fast.stores.hbase.cells import CellCalls, put_one
from flurry_fast.stores.hbase.control import ControlCells
from flurry_fast.stores.hbase.tables import FAMILY
from flurry_fast.stores.hbase.wire import Gateway

ROW = b"canary"
_COLUMN = FAMILY + b":timestamps"
_WAY_OUT = 'See docs/hbase.md, "What HBase must promise".'


def sing(gateway: Gateway, calls: CellCalls, table: bytes, control: ControlCells) -> None:
    """Write and read in the control table `table`. Raises StoreCorrupt when the answer is not what was written."""
    before = _read(gateway, table)
    for timestamp in (before + 2, before + 1):  # the second one comes late, and must lose
        put_one(calls, table, _COLUMN, timestamp, ROW, _value(timestamp))
        found = _read(gateway, table)
        if found < before + 2:
            raise StoreCorrupt(
                f"HBase table {table.decode()} had the newest cell at {before + 2}, and shows the one at {found}.",
                way_out=_WAY_OUT,
            )
    there = control.get(ROW, b"order")
    first = 0 if there is None else there.timestamp
    for timestamp in (first + 2, first + 1):
        control.put(ROW, b"order", timestamp, b"")
        now = control.get(ROW, b"order")
        if now is None or now.timestamp < first + 2:
            raise StoreCorrupt(f"HBase table {table.decode()} lost a compared put at {first + 2}.", way_out=_WAY_OUT)


def _read(gateway: Gateway, table: bytes) -> int:
    """The timestamp of the newest cell; 0 if there is none."""
    cells = gateway.call("get", table, ROW, _COLUMN, {})
    if not cells:
        return 0
    timestamp: int = cells[0].timestamp
    if cells[0].value != _value(timestamp):
        raise StoreCorrupt(f"HBase table {table.decode()} gives back other bytes than were put.", way_out=_WAY_OUT)
    return timestamp


def _value(timestamp: int) -> bytes:
    return b"canary %d" % timestamp
