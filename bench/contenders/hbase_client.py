"""A client that writes counter blocks to HBase: its name, HOST, PORT, PREFIX of the tables, REPORTS.

Rows are a flush of the default plan. Answers the lines of bench/child.py; ``prepare`` connects, ``round`` writes all
rows and returns when the gateway has acknowledged them, ``digest`` is of what a scan finds.
"""

from __future__ import annotations

import gc
import hashlib
import sys
from typing import Any

import happybase
import pyarrow as pa

from bench import native
from bench.corpus import make_corpus
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import FAMILY

TABLE = "counters_201311"
TIMESTAMP = 1_000_000
BATCH = 5_000  # rows a call: what flurry_fast sends, too
Columns = tuple[bytes, pa.Array, pa.Array]  # qualifier, rows, values


def flush(reports: int) -> Columns:
    """The largest part of a flush."""
    engine = native.new_engine(native.load_plan("default"))
    native.absorb(engine, make_corpus(reports))
    part = max(native.frozen(engine).parts, key=lambda part: part.count)
    return part.qualifier, pa.array(part.rows), pa.array(part.values)


class Ours:
    """flurry_fast's store, as the counters' sink uses it."""

    def __init__(self, address: HBaseAddress, cells: Columns) -> None:
        self._store = HBaseStore(address, timeout=120)
        self._cells = cells

    def round(self) -> None:
        qualifier, rows, values = self._cells
        self._store.write(TABLE, qualifier, TIMESTAMP, rows, values)

    def scan(self) -> Any:
        for batch in self._store.scan(TABLE):
            yield from zip(*(batch.column(name).to_pylist() for name in ("row", "qualifier", "value")), strict=True)


class Happybase:
    """happybase's batch over its own connection: a dict a row, as its user guide has it."""

    def __init__(self, address: HBaseAddress, cells: Columns) -> None:
        HBaseStore(address, timeout=120).write(TABLE, cells[0], 1, cells[1].slice(0, 1), cells[2].slice(0, 1))
        self._table = happybase.Connection(address.host, address.port, timeout=120_000).table(address.prefix + TABLE)
        self._column = FAMILY + b":" + cells[0]
        self._cells = list(zip(cells[1].to_pylist(), cells[2].to_pylist(), strict=True))

    def round(self) -> None:
        column = self._column
        with self._table.batch(timestamp=TIMESTAMP, batch_size=BATCH) as batch:
            for row, value in self._cells:
                batch.put(row, {column: value})

    def scan(self) -> Any:
        for row, columns in self._table.scan(batch_size=1000):
            for column, value in columns.items():
                yield row, column.removeprefix(FAMILY + b":"), value


def main() -> None:
    """See the module's words."""
    name, host, port, prefix, reports = sys.argv[1:]
    cells = flush(int(reports))
    kind = {"ours": Ours, "happybase": Happybase}[name]
    client = kind(HBaseAddress(host, int(port), prefix), cells)
    print(f"ready {len(cells[1])}", flush=True)
    for line in map(str.strip, sys.stdin):
        if line == "prepare":
            gc.collect()
            gc.freeze()
            print("prepared", flush=True)
        elif line == "round":
            client.round()
            print("done", flush=True)
        elif line == "digest":
            sha, count = hashlib.sha256(), 0
            for row, qualifier, value in sorted(client.scan()):
                sha.update(b"%d %d %d " % (len(row), len(qualifier), len(value)) + row + qualifier + value)
                count += 1
            print("digest", sha.hexdigest(), count, flush=True)
        else:
            raise ValueError(line)


if __name__ == "__main__":
    main()
