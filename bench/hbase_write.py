"""Cells to a real HBase and back: client CPU a row of our store, happybase, thriftpy2 and HBase's own Java client.

    python -m bench.hbase_write [--stack-dir DIR] [--loads NAME ...] [--rows N] [--rounds N] [--json FILE]

Three loads: `blocks`, the counter blocks of a flush of the default plan; cells of 80 and of 600 bytes. Every client has
a table of its own and puts the same cells; what it reads back, and what a scan of its table finds, must be the very
cells of all others before anything is timed. happybase, thriftpy2 and ours speak Thrift to a gateway, which then takes
a share of the work; the Java client speaks to the region server itself. So what servers take a row stands beside.
Then positions: 400 control cells put one by one, and at once.
"""

from __future__ import annotations

import argparse
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from bench import java, native
from bench.child import Child
from bench.contenders.hbase_client import Load
from bench.corpus import make_corpus
from bench.ground import drop_tables
from bench.kernels import NotEqual
from bench.part import Part, parser, run
from bench.rounds import Samples, interleave
from bench.servers import a_stack
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.positions import POSITIONS_ROW
from flurry_fast.stack import Stack, processes
from flurry_fast.stack.jvm import OPEN
from flurry_fast.stores.hbase import HBaseStore

KEY = 16  # bytes of a row
POSITIONS = 400
WARM = 2  # untimed rounds beyond the one that is compared: just-in-time compilers
What = Literal["put", "get"]
READS_ALIKE = {"java_mutator"}  # as another contender does
READS = {"java_put": "Java, Table.get with lists of 1,000", "happybase": "happybase, Table.rows of 1,000"}
CONTENDERS = {
    "ours": "flurry_fast, 2 connections with 2 calls each",
    "ours_1": "flurry_fast, 1 connection, 1 call",
    "happybase": "happybase, batches of 5,000",
    "thriftpy2": "thriftpy2 alone",
    "java_mutator": "Java, BufferedMutator",
    "java_put": "Java, Table.put with lists of 5,000",
}
LOADS = ("blocks", "80", "600")


def make_load(name: str, rows: int) -> Load:
    """One of `LOADS`: the largest part of a flush of so many reports, or cells of random bytes in random order."""
    if name == "blocks":
        engine = native.new_engine(native.load_plan("default"))
        native.absorb(engine, make_corpus(rows))
        part = max(native.frozen(engine).parts, key=lambda part: part.count)
        return Load(part.qualifier, pa.array(part.rows), pa.array(part.values))
    chance = random.Random(name)
    keys = [b"%0*d" % (KEY, number) for number in chance.sample(range(10**9), rows)]
    values = [chance.randbytes(int(name)) for _ in range(rows)]
    return Load(b"bench", pa.array(keys, pa.binary()), pa.array(values, pa.binary()))


def launch(name: str, stack: Stack, address: HBaseAddress, table: str, file: Path) -> Child:
    """Its process, loading. Raises JavaMissing."""
    if name.startswith("java_"):
        jars = [java.hbase_jars() / "*"]
        folder = java.compiled(["HBaseClient"], jars)
        zookeeper = stack.addresses.zookeeper
        assert zookeeper is not None
        words = (name.removeprefix("java_"), *zookeeper.split(":"), address.prefix + table, str(file))
        flags = (*OPEN, "-Dlog4j2.level=OFF")
        return Child(name, java.command("HBaseClient", folder, *words, class_path=jars, flags=flags))
    words = (name, address.host, str(address.port), address.prefix, table, str(file))
    return Child.python(name, "bench.contenders.hbase_client", *words)


@dataclass
class Servers:
    """CPU seconds that a stack's HBase took, by contender: the least of its rounds."""

    stack: Stack
    least: dict[str, float]

    def around(self, name: str, work: Callable[[], tuple[float, float]]) -> tuple[float, float]:
        """One round of a contender."""
        before = self._cpu()
        found = work()
        self.least[name] = min(self.least.get(name, float("inf")), self._cpu() - before)
        return found

    def _cpu(self) -> float:
        servers = [processes.find(self.stack.folder, name) for name in ("hmaster", "thrift")]
        usages = [processes.usage(server) for server in servers if server is not None]
        return sum(usage.cpu for usage in usages if usage is not None)


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    rows = {name: title for name, title in CONTENDERS.items() if not options.only or name in options.only}
    with a_stack(options, "hbase") as stack, tempfile.TemporaryDirectory() as folder:
        gateway = stack.addresses.hbase_thrift
        assert gateway is not None
        address = HBaseAddress(*gateway, f"bench_{secrets.token_hex(3)}_")
        part = Part("hbase_write", {"key_bytes": KEY})
        try:
            for name in options.loads:
                count = options.reports if name == "blocks" else options.rows
                load, file = make_load(name, count), Path(folder) / name
                load.save(file)
                part.workload[f"rows_{name}"] = len(load.rows)
                _one_load(options, part, stack, address, rows, name, load, file)
            part.ratios |= positions(address, options.rounds)
        finally:
            drop_tables(address)
    return part


def _one_load(
    options: argparse.Namespace, part: Part, stack: Stack, address: HBaseAddress, titles: dict[str, str], name: str,
    load: Load, file: Path,
) -> None:  # fmt: skip
    tables = {contender: f"{contender}_{name}" for contender in titles}
    _make(address, list(tables.values()))
    with ExitStack() as running:
        children = {
            contender: running.enter_context(launch(contender, stack, address, table, file))
            for contender, table in tables.items()
        }
        for child in children.values():
            child.expect("ready")
        _check_equal(children, len(load.rows))
        stamp = 100

        def once(child: Child, what: What) -> tuple[float, float]:
            nonlocal stamp
            stamp += 1
            child.ask("prepare", "prepared")
            return child.timed(f"put {stamp}" if what == "put" else "get", "done")[:2]

        for what in ("put", "get"):
            servers = Servers(stack, {})
            there = titles if what == "put" else {n: READS.get(n, t) for n, t in titles.items() if n not in READS_ALIKE}
            ways = {
                contender: lambda c=contender, w=what: servers.around(c, lambda: once(children[c], w))  # type: ignore[misc] # noqa: B023
                for contender in there
            }
            samples = interleave(f"hbase_write, {what} {name}", ways, options.rounds)
            _tell(part, name, what, there, samples, servers.least, len(load.rows))  # type: ignore[arg-type]


def _make(address: HBaseAddress, tables: Sequence[str]) -> None:
    store = HBaseStore(address, timeout=120)
    for table in tables:
        store.admin.ensure(table)
    store.close()


def _check_equal(children: dict[str, Child], rows: int) -> None:
    """A round of puts and gets, and some more to warm up. Raises NotEqual."""
    digests: dict[str, str] = {}
    for name, child in children.items():
        child.ask("put 1", "done")
        child.ask("get", "done")
        digests[f"{name} read"] = child.ask("got", "digest")
        digests[f"{name} scanned"] = child.ask("scan", "digest")
        for number in range(WARM):
            child.ask(f"put {2 + number}", "done")
            child.ask("get", "done")
    if len(set(digests.values())) > 1 or int(next(iter(digests.values())).split()[1]) != rows:
        raise NotEqual(f"Not the same {rows} cells were found: {digests}.")


def _tell(
    part: Part, load: str, what: What, titles: dict[str, str], samples: dict[str, Samples], servers: dict[str, float],
    rows: int,
) -> None:  # fmt: skip
    kind = "blocks" if load == "blocks" else f"{load} B"
    for name, title in titles.items():
        found = samples[name]
        figures = found.figures(rows)
        part.figures.append(
            {
                "name": f"{name}_{what}_{load}",
                "title": f"{what} {kind}: {title}",
                "rounds": figures["rounds"],
                "us_per_row": figures["ns_per_report"] / 1e3,
                "median_us_per_row": figures["median_ns_per_report"] / 1e3,
                "rows_per_s": rows / figures["seconds"],
                "servers_us_per_row": servers[name] / rows * 1e6,
            }
        )
    if "ours" not in samples:
        return
    suffix = "" if load == "blocks" else f"_{load}"
    verb = "write" if what == "put" else "read"
    for other, names in {"happybase": ("happybase",), "java": ("java_put", "java_mutator")}.items():
        theirs = [samples[name].least for name in names if name in samples]
        if theirs:
            part.ratios[f"hbase_{verb}_vs_{other}{suffix}"] = min(theirs) / samples["ours"].least


def positions(address: HBaseAddress, rounds: int) -> dict[str, float]:
    """Milliseconds for each of 400 control cells, the least of the rounds."""
    store = HBaseStore(address, timeout=120)
    names = [b"%03d" % number for number in range(POSITIONS)]
    store.put_controls(POSITIONS_ROW, [(name, 1, name) for name in names])
    alone, at_once = [], []
    for number in range(rounds):
        at = 2 + 2 * number
        started = time.perf_counter()
        for name in names:
            store.put_control(POSITIONS_ROW, name, at, name)
        between = time.perf_counter()
        store.put_controls(POSITIONS_ROW, [(name, at + 1, name) for name in names])
        alone.append(between - started)
        at_once.append(time.perf_counter() - between)
        found = {cell.timestamp for cell in store.scan_control(POSITIONS_ROW).values()}
        if found != {at + 1}:
            raise NotEqual(f"Control cells are at {found}, not at {at + 1}.")
    store.close()
    times = {"position_ms_one_by_one": min(alone), "position_ms_at_once": min(at_once)}
    return {name: seconds / POSITIONS * 1e3 for name, seconds in times.items()}


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS), metavar="NAME")
    arguments.add_argument("--reports", type=int, default=50_000, help="Whose blocks are written.")
    arguments.add_argument("--rows", type=int, default=20_000, help="Of the other loads.")
    arguments.add_argument("--stack-dir", type=Path, help="A stack that runs; else one is started for this.")
    arguments.add_argument("--only", nargs="+", choices=list(CONTENDERS), metavar="NAME")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
