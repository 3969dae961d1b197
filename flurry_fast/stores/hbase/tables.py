"""What a store's tables are called, what they must be like, and making them.

Counters stay exact in a table whose cells never expire: HBase measures age by the cell's timestamp, and an offset looks
like January 1970, so any finite TTL hides cells at once. That is refused. Everything else that Thrift1 shows (versions,
Bloom filter, block cache, compression) costs space or time, and is said. It does not show all: docs/hbase.md names the
rest, with the line of the HBase shell that does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.stores.base import TABLE_NAME, check_table
from flurry_fast.stores.hbase.wire import Gateway, TableExists, TableMissing, hbase

CONTROL = "control"
FAMILY = b"d"
FOREVER = 2**31 - 1
COMPRESSIONS = ("NONE", "GZ", "SNAPPY", "LZ4", "ZSTD", "LZO")


@dataclass(frozen=True)
class Attributes:
    """What the gateway says of a table's family. `ttl` in seconds; `regions` as of now."""

    table: str
    versions: int
    ttl: int
    bloom: str
    cache: bool
    compression: str
    regions: int

    def breaking(self) -> list[str]:
        """What would make counters wrong, each with the shell's line that mends it."""
        if self.ttl != FOREVER:
            mend = self._alter("TTL => 'FOREVER'")
            return [f"its cells expire after {self.ttl} s of their timestamp, which is an offset: {mend}"]
        return []

    def wasteful(self) -> list[str]:
        """What only costs."""
        found = []
        if self.versions != 1:
            found.append(f"it keeps {self.versions} versions, one is ever read: {self._alter('VERSIONS => 1')}")
        if self.bloom != "ROW":
            mend = self._alter("BLOOMFILTER => 'ROW'")
            found.append(f"without a row Bloom filter absent rows are slow: {mend}")
        if not self.cache:
            mend = self._alter("BLOCKCACHE => 'true'")
            found.append(f"its blocks are not cached: {mend}")
        return found

    def _alter(self, change: str) -> str:
        return f"alter '{self.table}', {{NAME => '{FAMILY.decode()}', {change}}}"


class Tables:
    """The tables of one store. Any thread; each method is one or few calls, and raises StoreError."""

    def __init__(self, gateway: Gateway, prefix: str, compression: str = "NONE") -> None:
        """`compression`: of tables that are made here."""
        self._gateway = gateway
        self._prefix = prefix
        self._compression = compression
        self._lock = threading.Lock()
        self._fit: set[str] = set()
        self._seen: set[str] = set()  # were fit once: their absence is no absence of cells

    def full_name(self, table: str) -> bytes:
        """The name that HBase knows."""
        return f"{self._prefix}{check_table(table)}".encode()

    def names(self) -> list[str]:
        """Every table with the store's prefix, in order, without it and without the control table."""
        prefix = self._prefix.encode()
        names = [name.removeprefix(b"default:") for name in self._gateway.call("getTableNames")]
        ours = [name[len(prefix) :].decode("utf-8", "replace") for name in names if name.startswith(prefix)]
        return sorted(name for name in ours if name != CONTROL and TABLE_NAME.fullmatch(name))

    def fit(self, table: str) -> bool:
        """Whether the table is there; it was looked at then, once. Raises StoreCorrupt where it would break counters.

        Also StoreCorrupt when it was there before: its cells were, too.
        """
        if table in self._fit:
            return True
        attributes = self.attributes(table)
        if attributes is None:
            return False
        for reason in attributes.breaking():
            raise StoreCorrupt(f"Counters would not stay exact in HBase table {attributes.table}: {reason}.")
        with self._lock:
            self._fit.add(table)
            self._seen.add(table)
        return True

    def doubt(self, table: str) -> None:
        """A write failed: whether the table is still there, and fit, is looked at again before the next one."""
        with self._lock:
            self._fit.discard(table)

    def gone(self, table: str) -> bool:
        """After a TableMissing: True if there never was one. Raises StoreCorrupt if this process has seen it.

        The master is asked, not the region list that the gateway read: an absence must be beyond doubt, because what is
        taken to be absent is counted from zero.
        """
        name = self.full_name(table)
        if self._listed(name):
            raise StoreUnavailable(f"HBase table {name.decode()} can not be found now, but is there.")
        if table in self._seen:
            raise StoreCorrupt(
                f"HBase table {name.decode()} was dropped while this process used it.",
                way_out="Restore it (docs/hbase.md), or start again if nothing in it matters any more.",
            )
        return True

    def attributes(self, table: str, *, regions: bool = False) -> Attributes | None:
        """What the table is like; None: there is none. `regions`: also count them (else 0)."""
        name = self.full_name(table)
        try:
            families = self._gateway.call("getColumnDescriptors", name)
            count = len(self._gateway.call("getTableRegions", name)) if regions else 0
        except TableMissing:
            self.gone(table)
            return None
        found = families.get(FAMILY + b":")
        if found is None:
            raise StoreCorrupt(
                f"HBase table {name.decode()} has no family {FAMILY.decode()}: it is not one of flurry_fast.",
                way_out="Choose another prefix in counters.store.",
            )
        return _attributes(name.decode(), found, count)

    def create(self, table: str) -> bool:
        """Make the table unless there is one; whether it was made here. Safe beside others who do the same."""
        family = hbase.ColumnDescriptor(
            name=FAMILY + b":",
            maxVersions=1,
            compression=self._compression,
            inMemory=False,
            bloomFilterType="ROW",
            blockCacheEnabled=True,
            timeToLive=FOREVER,
        )
        try:
            self._gateway.call("createTable", self.full_name(table), [family])
        except TableExists:
            return False
        return True

    def ensure(self, table: str) -> None:
        """Afterwards the table is there, and fit. Raises as `fit`."""
        if not self.fit(table):
            self.create(table)
            if not self.fit(table):
                raise StoreUnavailable(f"HBase table {self.full_name(table).decode()} was made, but is not there yet.")

    def drop(self, table: str) -> None:
        """Disable and delete the table, with its cells. A second try after a failure goes on where it was."""
        name = self.full_name(table)
        if self._listed(name):
            if self._gateway.call("isTableEnabled", name):
                self._gateway.call("disableTable", name)
            self._gateway.call("deleteTable", name)
        with self._lock:
            self._fit.discard(table)
            self._seen.discard(table)

    def _listed(self, name: bytes) -> bool:
        names: Sequence[bytes] = self._gateway.call("getTableNames")
        return name.removeprefix(b"default:") in (known.removeprefix(b"default:") for known in names)


def _attributes(table: str, family: Any, regions: int) -> Attributes:
    return Attributes(
        table=table,
        versions=family.maxVersions,
        ttl=family.timeToLive if family.timeToLive > 0 else FOREVER,
        bloom=_text(family.bloomFilterType),
        cache=bool(family.blockCacheEnabled),
        compression=_text(family.compression),
        regions=regions,
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
