"""How large counters and archive get: rows and bytes per million sessions, in a real HBase and on a real HDFS.

    flurry-fast stack up
    python -m bench.sizes [--stack-dir DIR] [--reports N] [--apps N ...] [--json FILE]

Simulated devices send N reports into a topic of its own; one consumer counts and archives all of them; then everything
is looked at: cells as a scan sees them, and bytes as HDFS holds them after HBase wrote its files (one replica).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import hdfs_native

from bench.consumer import Consumer
from bench.environment import describe, refuse_debug_build
from bench.ground import Ground, ground
from bench.processes import Process
from flurry_fast.stack import Stack

PARTITIONS = 8
PATIENCE = 600.0  # seconds until a consumer that does not get on is given up


@dataclass(frozen=True)
class Sizes:
    """Of one run. `cell_bytes`: rows, qualifiers and values; `hbase_bytes`, `archive_bytes`: of files, one replica."""

    apps: int
    partitions: int
    reports: int
    sessions: int
    wire_bytes: int
    cells: int
    cell_bytes: int
    hbase_bytes: int
    archive_files: int
    archive_bytes: int

    def per_million(self, value: int) -> float:
        """Of a million sessions."""
        return value * 1e6 / max(1, self.sessions)


def main() -> None:
    """Runs, prints a Markdown table, and says where it was made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--stack-dir", type=Path, default=Path("data/stack"), help="A stack with Kafka, HDFS and HBase."
    )
    parser.add_argument("--reports", type=int, default=200_000)
    parser.add_argument("--apps", type=int, nargs="+", default=[200, 2_000, 20_000])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    refuse_debug_build()
    where = describe([sys.executable.rsplit("/", 1)[-1], "-m", "bench.sizes", *sys.argv[1:]])
    stack = Stack.at(options.stack_dir)
    found = [measure(stack, options.reports, apps) for apps in options.apps]
    print(table(found))
    print(json.dumps(where))
    if options.json is not None:
        options.json.write_text(json.dumps({"where": where, "runs": [asdict(sizes) for sizes in found]}, indent=1))


def measure(stack: Stack, reports: int, apps: int) -> Sizes:
    """One run, whose topic, tables and files go afterwards. Raises ProcessFailed."""
    with tempfile.TemporaryDirectory() as name, ground(stack, Path(name), PARTITIONS) as here:
        folder = Path(name)
        words = ("--reports", str(reports), "--apps", str(apps), "--no-throttle")
        Process(folder, "simulate", here.settings, *words).wait(PATIENCE)
        consumer = Consumer(folder, here)
        try:
            seen = consumer.until(lambda status: status.get("records", 0) >= reports, f"{reports:,} reports", PATIENCE)
            consumer.end()
        finally:
            consumer.kill()
        return _look(here, apps, seen)


def _look(here: Ground, apps: int, seen: dict[str, Any]) -> Sizes:
    hdfs = hdfs_native.Client(here.stack.addresses.hdfs)
    store = here.store()
    try:
        cells = cell_bytes = hbase_bytes = 0
        for table in store.tables():
            for batch in store.scan(table):
                cells += batch.num_rows
                columns = (batch.column(column).to_pylist() for column in ("row", "qualifier", "value"))
                cell_bytes += sum(len(value) for column in columns for value in column)
            full = store.admin.full_name(table)
            store.gateway.call("disableTable", full)  # its cells are in files then
            hbase_bytes += hdfs.get_content_summary(f"/hbase/data/default/{full.decode()}").length
            store.gateway.call("enableTable", full)
    finally:
        store.close()
    archive = hdfs.get_content_summary(f"/{here.name}")
    return Sizes(
        apps, PARTITIONS, seen["records"], seen["sessions"], seen["bytes"], cells, cell_bytes, hbase_bytes,
        archive.file_count, archive.length,
    )  # fmt: skip


def table(found: list[Sizes]) -> str:
    """Markdown: everything for a million sessions."""
    lines = [
        "| apps | sessions a report | wire | cells | bytes of cells | in HBase's files | archive |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for sizes in found:
        mb = [
            sizes.per_million(n) / 1e6
            for n in (sizes.wire_bytes, sizes.cell_bytes, sizes.hbase_bytes, sizes.archive_bytes)
        ]
        lines.append(
            f"| {sizes.apps:,} | {sizes.sessions / sizes.reports:.2f} | {mb[0]:,.0f} MB |"
            f" {sizes.per_million(sizes.cells):,.0f} | {mb[1]:,.0f} MB | {mb[2]:,.0f} MB | {mb[3]:,.0f} MB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
