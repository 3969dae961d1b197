"""What cells of HBase cost the client: ours against happybase and bare thriftpy2, on one real HBase.

    python -m bench.hbase_write [--stack-dir DIR] [--rows N] [--sizes B ...] [--rounds N] [--json FILE]

Without --stack-dir it starts a stack of its own (HDFS and HBase; needs Java and Maven), and takes it down. Every client
has a table of its own; all of them put the same cells. First each one's table is read by its client and by a scan of
happybase, and asserted to hold what was put. Then rounds, in turn: CPU time of this process a row, of which the least
counts. Rows a second are of the round with the least wall time; they say what HBase and the machine could do, rather
than the client. Then positions: 400 control cells put one by one, and at once.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import happybase
import pyarrow as pa

from bench.contenders.hbase_clients import COLUMN, Client, HappyBase, Ours, ThriftPy, Workload
from bench.environment import describe, refuse_debug_build
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stack import Stack, StackOptions, free_base
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL

KEY = 16  # bytes of a row
POSITIONS = 400


@dataclass
class Figures:
    """Of one client doing one thing: CPU and wall seconds of each round."""

    client: str
    what: str
    value_bytes: int
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def time(self, work: Callable[[], Any]) -> Any:
        """Do it once."""
        gc.collect()
        gc.disable()
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            answer = work()
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)
        finally:
            gc.enable()
        return answer

    def row(self, rows: int) -> dict[str, Any]:
        """In microseconds a row."""
        return {
            "client": self.client,
            "what": self.what,
            "value_bytes": self.value_bytes,
            "rounds": len(self.cpu),
            "cpu_us_per_row": min(self.cpu) / rows * 1e6,
            "median_cpu_us_per_row": statistics.median(self.cpu) / rows * 1e6,
            "rows_per_s": rows / min(self.wall),
        }


def workload(rows: int, size: int) -> Workload:
    """Keys in random order, as hashed ones are; values that do not repeat."""
    chance = random.Random(size)
    keys = [b"%0*d" % (KEY, number) for number in chance.sample(range(10**9), rows)]
    values = [chance.randbytes(size) for _ in range(rows)]
    return Workload(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), keys, values)


def clients(address: HBaseAddress, size: int) -> list[Client]:
    """Each with its table, which is there."""
    made: list[Client] = []
    kinds: list[Callable[[str], Client]] = [
        lambda table: Ours(address, table, 1, 1),
        lambda table: Ours(address, table, 2, 2),
        lambda table: HappyBase(address, table),
        lambda table: ThriftPy(address, table),
    ]
    for number, kind in enumerate(kinds):
        table = f"bench{number}_{size}"
        Ours(address, table, 1, 1).close()  # makes it
        made.append(kind(table))
    return made


def check_equal(address: HBaseAddress, size: int, contenders: list[Client], load: Workload) -> None:
    """Everybody's cells are what was put, whoever reads them. Raises AssertionError."""
    expected = {row: (5, value) for row, value in zip(load.row_list, load.value_list, strict=True)}
    connection = happybase.Connection(address.host, address.port, timeout=120_000)
    for number, client in enumerate(contenders):
        client.put(load, 5)
        found = client.as_dict(load, client.get(load))
        assert found == expected, f"{client.name} reads other cells than it put"
        table = connection.table(f"{address.prefix}bench{number}_{size}")
        scanned = {row: cells[COLUMN][::-1] for row, cells in table.scan(include_timestamp=True, batch_size=1000)}
        assert scanned == expected, f"{client.name} put other cells than it should"
    connection.close()


def measure(address: HBaseAddress, rows: int, size: int, rounds: int) -> list[Figures]:
    """Puts and reads of cells of one size."""
    load, contenders = workload(rows, size), clients(address, size)
    check_equal(address, size, contenders, load)
    expected = dict(zip(load.row_list, load.value_list, strict=True))
    figures = {
        (client.name, what): Figures(client.name, what, size) for what in ("put", "get") for client in contenders
    }
    for number in range(rounds):
        for client in contenders:
            figures[client.name, "put"].time(lambda client=client, at=10 + number: client.put(load, at))  # type: ignore[misc]
        for client in contenders:
            answer = figures[client.name, "get"].time(lambda client=client: client.get(load))  # type: ignore[misc]
            found = client.as_dict(load, answer)
            assert found == {row: (10 + number, value) for row, value in expected.items()}, client.name
        print(f"{size} B: round {number + 1} of {rounds}", file=sys.stderr)
    for client in contenders:
        client.close()
    return list(figures.values())


def positions(address: HBaseAddress, rounds: int) -> dict[str, float]:
    """Milliseconds for each of 400 control cells."""
    store = HBaseStore(address, timeout=120)
    names = [b"%03d" % number for number in range(POSITIONS)]
    alone, at_once = Figures("", "", 0), Figures("", "", 0)
    store.put_controls(b"bench", [(name, 1, name) for name in names])
    for number in range(rounds):
        at = 2 + 2 * number
        alone.time(lambda at=at: [store.put_control(b"bench", name, at, name) for name in names])  # type: ignore[misc]
        at_once.time(lambda at=at: store.put_controls(b"bench", [(name, at + 1, name) for name in names]))  # type: ignore[misc]
        assert {cell.timestamp for cell in store.scan_control(b"bench").values()} == {at + 1}
    store.close()
    return {
        "one_by_one_ms": min(alone.wall) / POSITIONS * 1e3,
        "at_once_ms": min(at_once.wall) / POSITIONS * 1e3,
    }


def ratios(found: list[dict[str, Any]]) -> dict[str, float]:
    """Others' CPU through ours (2 x 2)."""
    ours = {
        (row["what"], row["value_bytes"]): row["cpu_us_per_row"] for row in found if row["client"].endswith("2 x 2")
    }
    return {
        f"{row['what']}_{row['value_bytes']}_{row['client']}": row["cpu_us_per_row"]
        / ours[row["what"], row["value_bytes"]]
        for row in found
        if not row["client"].startswith("flurry_fast")
    }


def table(found: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| value | what | client | CPU µs/row | median | rows/s |", "|--:|---|---|--:|--:|--:|"]
    for row in found:
        figures = f"{row['cpu_us_per_row']:.2f} | {row['median_cpu_us_per_row']:.2f} | {row['rows_per_s']:,.0f}"
        lines.append(f"| {row['value_bytes']} B | {row['what']} | {row['client']} | {figures} |")
    return "\n".join(lines)


@contextmanager
def gateway(folder: Path | None) -> Iterator[HBaseAddress]:
    """A prefix of one's own on a stack, whose tables go afterwards."""
    with tempfile.TemporaryDirectory() as made:
        if folder is not None:
            stack = Stack.at(folder)
        else:
            stack = Stack.up(Path(made) / "stack", StackOptions(kafka=False, base_port=free_base()))
        try:
            if stack.addresses.hbase_thrift is None:
                raise SystemExit(f"The stack in {folder} has no HBase: start one with it, or leave out --stack-dir.")
            address = HBaseAddress(*stack.addresses.hbase_thrift, f"bench_{secrets.token_hex(3)}_")
            try:
                yield address
            finally:
                _clear(address)
        finally:
            if folder is None:
                stack.down(wipe=True)


def _clear(address: HBaseAddress) -> None:
    store = HBaseStore(address, timeout=300)
    try:
        for name in (*store.tables(), CONTROL):
            store.admin.drop(name)
    finally:
        store.close()


def main() -> None:
    """Runs, prints tables, and says where they were made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack-dir", type=Path, help="A stack with HBase that is up. Unset: one of its own.")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[80, 600], help="Bytes of a value.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    refuse_debug_build()
    where = describe(["python", "-m", "bench.hbase_write", *sys.argv[1:]])
    with gateway(options.stack_dir) as address:
        figures = [each for size in options.sizes for each in measure(address, options.rows, size, options.rounds)]
        control = positions(address, options.rounds)
    found = [each.row(options.rows) for each in figures]
    content = {"environment": where, "rows": options.rows, "figures": found, "ratios": ratios(found)}
    content["positions"] = control
    print(f"{options.rows:,} rows of {KEY} bytes, {options.rounds} rounds, {os.cpu_count()} cores.\n\n{table(found)}\n")
    for name, ratio in ratios(found).items():
        print(f"{name}: {ratio:.1f} x ours")
    print(f"A position: {control['one_by_one_ms']:.2f} ms one by one, {control['at_once_ms']:.2f} ms of {POSITIONS}.")
    print("\n" + "; ".join(f"{name}: {value}" for name, value in where.items() if name != "build"))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
