"""What a row that is written again and again costs each server of HBase on HDFS, in CPU.

    python -m perf.rows --stack-dir DIR [--stack-dir OTHER ...] [--rows N] [--warm N] [--passes N] [--threads]

Stacks that run already, of different settings: each gets the same rows in turn, so they can be compared; leave Kafka
out of them (`--no-kafka`), it would only take memory. A pass writes every row of a working set once, in flushes of
50,000 sorted rows, as the counters' sink does, with a timestamp above that of the pass before; it ends when the servers
have come to rest, so that memstore flushes and compactions are in the figures. One pass may compact and the next may
not: only means over several compare. Values are counter blocks of the default plan, made as long as those of the whole
pipeline.
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from bench.ground import drop_tables
from bench.hbase_write import make_load
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stack import Stack, processes
from flurry_fast.stores.base import CellColumn
from flurry_fast.stores.hbase import HBaseStore

TABLE, QUALIFIER = "counters_201311", b"q123456789"
FLUSH = 50_000  # rows
KEY = 18  # bytes of a row
MORE = 180  # bytes that a value is longer than the block that it begins with
REPORTS = 60_000  # that the blocks are made of
REST = 20.0  # seconds at most that servers are given to come to rest
PATIENCE = 120.0  # seconds of a call
_IDLE = 0.06  # seconds of CPU in half a second

Cells = tuple[pa.BinaryArray, pa.BinaryArray]
Spent = dict[str, float]  # seconds of CPU by name


def working_set(count: int) -> tuple[list[bytes], list[bytes]]:
    """Rows in order, and values of some 500 bytes."""
    chance = random.Random(count)
    blocks: list[bytes] = make_load("blocks", REPORTS).values.to_pylist()
    rows = sorted(b"\0\x14" + chance.randbytes(KEY - 2) for _ in range(count))
    return rows, [chance.choice(blocks) + chance.choice(blocks)[:MORE] for _ in rows]


def flushes(rows: list[bytes], values: list[bytes], number: int) -> Iterator[Cells]:
    """Every row once, shared out at random over flushes."""
    order = list(range(len(rows)))
    random.Random(number).shuffle(order)
    for at in range(0, len(order), FLUSH):
        part = sorted(order[at : at + FLUSH])
        yield pa.array([rows[i] for i in part], pa.binary()), pa.array([values[i] for i in part], pa.binary())


class Subject:
    """One stack, and what its servers took so far."""

    def __init__(self, stack: Stack) -> None:
        gateway = stack.addresses.hbase_thrift
        assert gateway is not None
        self.name = str(stack.folder.root)
        self.address = HBaseAddress(*gateway, f"rows_{secrets.token_hex(3)}_")
        found = [processes.find(stack.folder, name) for name in stack.names]
        self._servers = [server for server in found if server is not None]
        self._store = HBaseStore(self.address, timeout=PATIENCE)
        self._timestamp = 0

    def write(self, cells: Iterable[Cells]) -> None:
        """A pass, until nothing is left to do."""
        for rows, values in cells:
            self._timestamp += 1
            self._store.write_columns([CellColumn(TABLE, QUALIFIER, self._timestamp, rows, values)])
        until = time.monotonic() + REST
        before = sum(self.cpu().values())
        while time.monotonic() < until:
            time.sleep(0.5)
            now = sum(self.cpu().values())
            if now - before < _IDLE * len(self._servers):
                return
            before = now

    def cpu(self) -> Spent:
        """Seconds by server."""
        usages = {server.name: processes.usage(server) for server in self._servers}
        return {name: usage.cpu for name, usage in usages.items() if usage is not None}

    def threads(self) -> Spent:
        """Seconds by server and kind of thread; of threads that have ended nothing is known."""
        found: Spent = {}
        for server in self._servers:
            for task in Path(f"/proc/{server.pid}/task").iterdir():
                try:
                    name, ran = (task / "comm").read_text(), (task / "schedstat").read_text()
                except OSError:  # it has just ended
                    continue
                kind = re.sub("(?<!^C)[0-9]+", "", name.strip())  # C1 and C2 are two compilers
                name = f"{server.name}: {kind}"
                found[name] = found.get(name, 0.0) + int(ran.split()[0]) / 1e9
        return found

    def end(self) -> None:
        """Its tables are gone."""
        self._store.close()
        drop_tables(self.address)


def main(words: list[str] | None = None) -> None:
    """See the module's words."""
    options = arguments(words)
    rows, values = working_set(options.rows)
    with ExitStack() as ending:
        subjects = [Subject(Stack.at(folder)) for folder in options.stack_dir]
        for subject in subjects:
            ending.callback(subject.end)
        for number in range(options.warm):
            for subject in subjects:
                subject.write(flushes(rows, values, -1 - number))
        spent: list[Spent] = [{} for _ in subjects]
        for number in range(options.passes):
            for subject, total in zip(subjects, spent, strict=True):
                before = subject.cpu() | subject.threads()
                subject.write(flushes(rows, values, number))
                after = subject.cpu() | subject.threads()
                took = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
                total.update({name: total.get(name, 0.0) + seconds for name, seconds in took.items()})
                print(f"pass {number + 1}  {_line(subject, took, options.rows)}", flush=True)
        for subject, total in zip(subjects, spent, strict=True):
            print(f"mean    {_line(subject, total, options.rows * options.passes)}")
            kinds = sorted((name for name in total if ": " in name), key=total.__getitem__, reverse=True)
            for name in kinds[: options.threads]:
                print(f"  {total[name] / options.rows / options.passes * 1e6:6.2f}  {name}")


def arguments(words: list[str] | None) -> argparse.Namespace:
    """As given. Exits where they are wrong."""
    parser = argparse.ArgumentParser("perf.rows", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stack-dir", type=Path, action="append", required=True, metavar="DIR", help="may be repeated")
    parser.add_argument("--rows", type=int, default=400_000, help="of the working set (400,000)")
    parser.add_argument("--warm", type=int, default=2, help="passes before (2)")
    parser.add_argument("--passes", type=int, default=6, help="passes that count (6)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="the N kinds of threads that took most")
    return parser.parse_args(words)


def _line(subject: Subject, took: Spent, rows: int) -> str:
    servers = {name: seconds / rows * 1e6 for name, seconds in took.items() if ": " not in name}
    each = "  ".join(f"{name} {us:.1f}" for name, us in servers.items())
    return f"{subject.name}: {sum(servers.values()):.1f} us CPU a row: {each}"


if __name__ == "__main__":
    main()
