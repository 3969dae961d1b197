"""The first figures: one process, one core, contenders interleaved, results asserted equal before anything is timed.

    python -m bench.first_figures [--reports N] [--rounds N] [--json FILE]

Prints a Markdown table; what each row means is in README.md beside this file. Times are CPU time of this process, so
that other work on the machine disturbs caches and memory only; minimum and median over the rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import native
from bench.contenders.python_decode import PythonDecode
from bench.contenders.python_struct import PythonStruct
from bench.corpus import Corpus, make_corpus
from bench.environment import describe, refuse_debug_build
from flurry_fast._core import Plan, crc32_batch, decode_batch
from flurry_fast.archive.format import Format, Parquet, PyArrowParquet


@dataclass
class Contender:
    """One row. `prepare` is not timed and gives what is: a call that does the whole corpus once."""

    name: str
    prepare: Callable[[], Callable[[], Any]]
    slow: bool = False  # run in every third round only
    seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """One round."""
        work = self.prepare()
        gc.collect()
        gc.disable()
        try:
            start = time.process_time()
            kept = work()
            self.seconds.append(time.process_time() - start)
        finally:
            gc.enable()
        del kept


@dataclass(frozen=True)
class Workload:
    """What the corpus holds, counted once."""

    reports: int
    size: int
    data_points: int
    updates: int  # counter groups touched by the five rollups, once per touch
    updates_default: int


def contenders(corpus: Corpus, scratch: Path) -> list[Contender]:
    """Every row, in the order of the table."""
    five, default = native.load_plan("five"), native.load_plan("default")

    def each(kernel: Callable[[Any], Any]) -> Callable[[], Callable[[], Any]]:
        return lambda: lambda: [kernel(batch) for batch in corpus.batches]

    def counting(plan: Plan) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            engine = native.new_engine(plan)
            return lambda: native.absorb(engine, corpus)

        return prepare

    def freezing(plan: Plan) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            engine = native.new_engine(plan)
            native.absorb(engine, corpus)
            return lambda: engine.freeze(None)

        return prepare

    def python(kind: type[PythonStruct]) -> Callable[[], Callable[[], Any]]:
        return lambda: lambda: kind().absorb(corpus.payloads, corpus.times)

    def archiving(writer: Format | None) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            engine = native.new_engine(five, counters=False, archive=True)

            def work() -> Any:
                native.absorb(engine, corpus)
                chunk = native.take_archive(engine)
                return native.write_parquet(chunk, scratch / "archive.parquet", writer) if writer else chunk

            return work

        return prepare

    return [
        Contender("CRC-32 of the same bytes", each(crc32_batch)),
        Contender("decode and validate", each(decode_batch)),
        Contender("decode + five rollups", counting(five)),
        Contender("decode + default plan", counting(default)),
        Contender("freeze a flush, five rollups", freezing(five)),
        Contender("freeze a flush, default plan", freezing(default)),
        Contender("decode + archive columns", archiving(None)),
        Contender("decode + archive columns + Parquet by pyarrow", archiving(PyArrowParquet()), slow=True),
        Contender("decode + archive columns + Parquet", archiving(Parquet())),
        Contender("Python struct, only what is needed", python(PythonStruct), slow=True),
        Contender("Python struct, whole reports", python(PythonDecode), slow=True),
    ]


def check_equal(corpus: Corpus) -> Workload:
    """Asserts that everybody comes to the same counters, and counts what there is to count."""
    plan = native.load_plan("five")
    engine = native.new_engine(plan)
    native.absorb(engine, corpus)
    stats = engine.stats()
    ours = native.lines(plan, native.frozen(engine))
    for kind in (PythonStruct, PythonDecode):
        theirs = kind()
        theirs.absorb(corpus.payloads, corpus.times)
        assert theirs.unreadable == 0, f"{kind.__name__} could not read {theirs.unreadable} reports"
        assert theirs.lines() == ours, f"{kind.__name__} counts otherwise than the engine"
    readable, points = (sum(values) for values in zip(*map(decode_batch, corpus.batches), strict=True))
    assert readable == len(corpus)
    default = native.new_engine(native.load_plan("default"))
    native.absorb(default, corpus)
    return Workload(len(corpus), corpus.size, points, stats["updates"], default.stats()["updates"])


def measure(rows: list[Contender], rounds: int) -> None:
    """Every contender once a round, in turn, so that a busy moment hits all of them."""
    for number in range(rounds):
        for row in rows:
            if not row.slow or number % 3 == 0:
                row.run()
        print(f"round {number + 1} of {rounds}", file=sys.stderr)


def results(rows: list[Contender], load: Workload) -> list[dict[str, Any]]:
    """The figures of each row, by the minimum; `median_ns_per_report` beside it."""
    least = {row.name: min(row.seconds) for row in rows}
    crc = least["CRC-32 of the same bytes"]
    python = {name: seconds for name, seconds in least.items() if name.startswith("Python")}
    found = []
    for row in rows:
        seconds = least[row.name]
        updates = {"decode + five rollups": load.updates, "decode + default plan": load.updates_default}.get(row.name)
        found.append(
            {
                "name": row.name,
                "rounds": len(row.seconds),
                "ns_per_report": seconds / load.reports * 1e9,
                "median_ns_per_report": statistics.median(row.seconds) / load.reports * 1e9,
                "ns_per_data_point": seconds / load.data_points * 1e9,
                "mb_per_s": load.size / seconds / 1e6,
                "million_data_points_per_s": load.data_points / seconds / 1e6,
                "ns_per_update": seconds / updates * 1e9 if updates else None,
                "times_crc": seconds / crc,
                "python_is_slower_by": {name: their / seconds for name, their in python.items()},
            }
        )
    return found


def table(figures: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    head = ["", "ns/report", "median", "ns/data point", "MB/s", "M data points/s", "ns/update", "× CRC-32"]
    head += ["Python needed", "Python whole"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for figure in figures:
        update = figure["ns_per_update"]
        cells = [figure["name"], f"{figure['ns_per_report']:,.0f}", f"{figure['median_ns_per_report']:,.0f}"]
        cells += [f"{figure['ns_per_data_point']:,.1f}", f"{figure['mb_per_s']:,.0f}"]
        cells += [f"{figure['million_data_points_per_s']:,.2f}", f"{update:.1f}" if update else ""]
        cells += [f"{figure['times_crc']:,.1f}"]
        cells += [f"{ratio:,.1f} ×" for ratio in figure["python_is_slower_by"].values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """See the module's words."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    refuse_debug_build()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    environment = describe(["python", "-m", "bench.first_figures", *sys.argv[1:]])
    corpus = make_corpus(options.reports)
    load = check_equal(corpus)
    with tempfile.TemporaryDirectory() as scratch:
        rows = contenders(corpus, Path(scratch))
        measure(rows, options.rounds)
        archived = (Path(scratch) / "archive.parquet").stat().st_size
    figures = results(rows, load)
    points = load.data_points / load.reports
    print(f"{load.reports:,} reports, {load.size / load.reports:,.0f} B and {points:.2f} data points each; ", end="")
    print(f"{load.updates / load.reports:.1f} counter updates a report (five rollups), ", end="")
    print(f"{load.updates_default / load.reports:.1f} (default plan).")
    print(f"Archive: {archived / load.reports:.0f} bytes a report.\n")
    print(table(figures))
    build = environment.pop("build")
    print("\n" + "; ".join(f"{name}: {value}" for name, value in environment.items()))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "environment": environment | {"build": build},
            "workload": vars(load),
            "figures": figures,
        }
        content["archive_bytes_per_report"] = archived / load.reports
        options.json.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
