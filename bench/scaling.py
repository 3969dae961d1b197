"""What a million data points cost as apps, partitions and processes grow.

    python -m bench.scaling [--stack-dir DIR] [--reports N] [--rounds N] [--json FILE]

Apps: the default plan over reports in memory, with what the counters take (rows a report, bytes a block and in memory).
Partitions and processes: from a real topic to counters in memory (five rollups), client CPU of all processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from bench import native
from bench.child import ROOT, Child
from bench.corpus import make_corpus
from bench.part import Part, parser, run
from bench.processes import memory_bytes
from bench.rounds import progress
from bench.servers import servers
from bench.topic import Backlog, backlog
from flurry_fast._core import Simulator, decode_batch
from flurry_fast._wire import Batch

APPS = [1_000, 10_000, 100_000, 400_000]
PARTITIONS = [1, 8, 64, 400]
PROCESSES = [1, 2, 4]


def measure(options: argparse.Namespace) -> Part:
    """The part. Figures have a `kind`: apps, partitions or processes."""
    part = Part("scaling", {"reports": options.reports})
    points = sum(points for _, points in map(decode_batch, make_corpus(options.reports).batches))
    steps = len(APPS) + len(PARTITIONS) + len(PROCESSES)
    with servers(options, "kafka") as addresses, progress("scaling", steps) as step:
        assert addresses.kafka is not None
        for apps in APPS:
            step("apps", f"{apps:,}")
            part.figures.append(_least([_apps(apps, options.reports) for _ in range(options.rounds)]))
        for partitions in PARTITIONS:
            step("partitions", str(partitions))
            with backlog(addresses.kafka, options.reports, partitions) as where:
                found = _least([_consume(where, 1, points) for _ in range(options.rounds)])
            part.figures.append({"kind": "partitions", "at": partitions} | found)
        with backlog(addresses.kafka, options.reports) as where:
            for processes in PROCESSES:
                step("processes", str(processes))
                found = _least([_consume(where, processes, points) for _ in range(options.rounds)])
                part.figures.append({"kind": "processes", "at": processes} | found)
    for row in part.figures:
        row["name"] = f"{row['kind']} {row['at']:,}"
    for kind in ("apps", "partitions", "processes"):
        costs = [row["cpu_s_per_million_points"] for row in part.figures if row["kind"] == kind]
        part.ratios[f"cost_growth_{kind}"] = costs[-1] / costs[0]
    return part


def _least(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The round that cost least, with the median beside it."""
    least = min(rows, key=lambda row: row["cpu_s_per_million_points"])
    return least | {"median": statistics.median(row["cpu_s_per_million_points"] for row in rows)}


def _apps(apps: int, reports: int) -> dict[str, Any]:
    """One process of its own (`main` with --apps): its memory is its own, too."""
    words = [sys.executable, "-m", "bench.scaling", "--apps", str(apps), "--reports", str(reports)]
    found = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(found.stdout)
    return row


def one_fleet(apps: int, reports: int) -> dict[str, Any]:
    """Counts a fleet's reports with the default plan and freezes them, as one flush. In this process."""
    simulator = Simulator(20131120, apps=apps)
    engine = native.new_engine(native.load_plan("default"))
    before = memory_bytes(os.getpid(), "VmRSS")
    cpu, points, place = 0.0, 0, 0
    while place < reports:
        made = simulator.next_batch(min(10_000, reports - place))
        n = len(made)
        offsets = np.arange(place, place + n, dtype=np.int64)
        batch = Batch.from_buffers(made.payload, made.payload_offsets, offsets, made.times_ms, 0)
        points += decode_batch(batch)[1]
        start = time.process_time()
        assert engine.absorb(batch) is None
        cpu += time.process_time() - start
        place += n
    grown = memory_bytes(os.getpid(), "VmRSS") - before
    groups = engine.stats()["groups"]
    start = time.process_time()
    flush = native.frozen(engine)
    cpu += time.process_time() - start
    rows, size = (sum(values) for values in zip(*((part.count, part.bytes) for part in flush.parts), strict=True))
    return {
        "kind": "apps",
        "at": apps,
        "cpu_s_per_million_points": cpu / points * 1e6,
        "million_points_per_s": points / cpu / 1e6,
        "rows_per_report": rows / reports,
        "block_bytes_per_report": size / reports,
        "groups": groups,
        "memory_mb": grown / 1e6,
    }


def _consume(where: Backlog, processes: int, points: int) -> dict[str, Any]:
    """All of a topic by so many processes at once; not pinned, so they share what cores there are."""
    with ExitStack() as stack:
        children = []
        for number in range(processes):
            words = ("ours", *where.words, f"{number}/{processes}")
            argv = [sys.executable, "-m", "bench.contenders.python_pipeline", *words]
            child = stack.enter_context(Child(f"ours {number}", argv, pinned=False))
            child.expect("ready")
            children.append(child)
        for child in children:
            child.ask("prepare", "prepared")
        spent: list[float] = []
        started = time.monotonic()
        threads = [Thread(target=lambda c=child: spent.append(c.timed("round", "done")[0])) for child in children]  # type: ignore[misc]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - started
        assert len(spent) == processes, "a process failed"
        resident = sum(child.peak_bytes() for child in children)
    return {
        "cpu_s_per_million_points": sum(spent) / points * 1e6,
        "million_points_per_s": points / seconds / 1e6,
        "memory_mb": resident / 1e6,
    }


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.add_argument("--reports", type=int, default=200_000)
    arguments.add_argument("--stack-dir", type=Path, help="A stack that runs; else one is started for this.")
    arguments.add_argument("--apps", type=int, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.apps is not None:
        print(json.dumps(one_fleet(options.apps, options.reports)))
    else:
        run(options, measure)


if __name__ == "__main__":
    main()
