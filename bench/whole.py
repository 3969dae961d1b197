"""The whole pipeline on one machine: from an lz4 backlog in Kafka to counters in HBase and an archive, both on HDFS.

    python -m bench.whole [--stack-dir DIR] [--minutes M] [--workers N] [--beside M] [--set KEY=VALUE] [--json FILE]

First a small topic is consumed and every counter held against the independent count in plain Python; the same reports
begin the large one. Then that one is read by `flurry-fast consume`, as a user starts it, for so many minutes after a
warm-up; a sample a second says what each process took. At the end the consumer is asked to leave, and what it wrote of
--audit partitions is audited: every counter block against the archive, no record missing. Figures count after that.
A backlog is as long as a short run before it says that it must be. --beside: then devices send as fast as the consumer
takes their reports, on the same machine, for so many minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.consumer import Consumer
from bench.ground import Ground, ground
from bench.kernels import NotEqual
from bench.part import Part, parser, run
from bench.processes import ROOT
from bench.rounds import progress
from bench.servers import ALL, a_stack
from bench.topic import Backlog, backlog
from bench.visible import devices
from bench.watch import Sample, Watch, series, shares
from flurry_fast.stack import Stack

PATIENCE = 1800.0  # seconds, for what has no measured length
SPARE = 2.2  # a backlog is longer than the short run says, by this: that begins with cold servers


@dataclass(frozen=True)
class Stretch:
    """Between two samples: what was counted, and the consumer's own totals at both ends."""

    first: Sample
    last: Sample
    before: Counter[str]
    after: Counter[str]

    @property
    def seconds(self) -> float:
        """By the clock of the status file that the totals are from."""
        return max(1e-3, self.last.written - self.first.written)

    @property
    def records(self) -> int:
        """Reports that were counted."""
        return max(1, self.last.records - self.first.records)

    @property
    def points(self) -> int:
        """Data points that were."""
        return self.last.points - self.first.points

    def per_report(self, name: str) -> float:
        """One of the consumer's metrics, a report."""
        return (self.after[name] - self.before[name]) / max(1, self.after["records"] - self.before["records"])

    @property
    def million_points_per_s(self) -> float:
        """That were counted and handed to both sinks."""
        return self.points / self.seconds / 1e6

    @property
    def durable_million_points_per_s(self) -> float:
        """That both sinks have, for good: exactly once whatever happens. It comes in lumps, flushes and files: one
        that was counted before the stretch must not make it look faster than it counts."""
        share = (self.last.durable - self.first.durable) / self.records
        return self.million_points_per_s * min(1.0, share)


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    with (
        a_stack(options, *ALL) as stack,
        tempfile.TemporaryDirectory(prefix="bench-whole-") as name,
        progress("whole", 5) as step,
    ):
        folder = Path(name)
        step("equal", f"{options.rehearsal:,} reports")
        counters = rehearse(stack, folder, options)
        step("short run", f"{options.pilot:,} reports")
        seconds = options.minutes * 60
        reports = options.reports or pilot(stack, folder, options, options.warm_up + seconds)
        step("backlog", f"{reports:,} reports")
        bootstrap = stack.addresses.kafka
        assert bootstrap is not None
        with (
            backlog(bootstrap, reports, options.partitions, options.apps) as where,
            ground(stack, folder, options.partitions, where.topic) as here,
        ):
            step("backlog read", f"{options.minutes:g} minutes")
            consumer = Consumer(folder, here, settings_of(options))
            found, watch = drain(consumer, where, options.warm_up, seconds)
            audited = audit(here, folder, options.audit)
        part = _part(options, found, watch)
        if found.last.records >= reports:
            part.notes.append(f"The backlog was at its end after {found.seconds:.0f} s: give more --reports.")
        part.notes.append(
            f"Before: {counters:,} counters of {options.rehearsal:,} reports are those of the independent count."
            f" After: {audited['blocks']:,} blocks of {audited['records']:,} records in {options.audit} of"
            f" {options.partitions} partitions are what the archive folds to, none is missing."
        )
        if options.beside:
            step("beside devices", f"{options.beside:g} minutes")
            other = beside(stack, folder, options)
            part.ratios["whole_million_points_per_s_beside_devices"] = other.million_points_per_s
            part.figures += [row | {"name": f"beside_{row['name']}"} for row in shares(other.first, other.last)]
    return part


def settings_of(options: argparse.Namespace) -> dict[str, str]:
    """What the consumer is told beside where everything is. The end is no part of the figures: it may take its time."""
    own = {"consume.workers": str(options.workers), "consume.drain_timeout": "120"}
    return own | dict(item.split("=", 1) for item in options.set)


def rehearse(stack: Stack, folder: Path, options: argparse.Namespace) -> int:
    """Counts a small topic with the same processes; how many counters were compared. Raises NotEqual."""
    bootstrap, manifest = stack.addresses.kafka, folder / "manifest"
    assert bootstrap is not None
    with (
        backlog(bootstrap, options.rehearsal, options.partitions, options.apps, manifest) as where,
        ground(stack, folder, options.partitions, where.topic) as here,
    ):
        consumer = Consumer(folder, here, settings_of(options) | {"archive.roll_age": "2"})
        try:
            consumer.until_reading()
            consumer.until_durable(where.records, PATIENCE)
            consumer.end()
        finally:
            consumer.kill()
        found = audit(here, folder, options.partitions, "--manifest", str(manifest))
    if found["records"] != where.records or not found["counters"]:
        raise NotEqual(f"{found['records']} of {where.records} records were audited.")
    return int(found["counters"])


def audit(here: Ground, folder: Path, partitions: int, *words: str) -> dict[str, Any]:
    """`flurry-fast audit`, with every partition or the first ones; what it found. Raises NotEqual."""
    some = [] if partitions >= here.partitions else [f"--partition={number}" for number in range(partitions)]
    settings = [item for key, value in here.settings.items() for item in ("--set", f"{key}={value}")]
    argv = [sys.executable, "-P", "-m", "flurry_fast", "audit", "--complete", "--json", *some, *words, *settings]
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotEqual(f"The audit found something:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pilot(stack: Stack, folder: Path, options: argparse.Namespace, seconds: float) -> int:
    """How many reports last for so many seconds, by a short run. It also warms the servers up."""
    bootstrap = stack.addresses.kafka
    assert bootstrap is not None
    with (
        backlog(bootstrap, options.pilot, options.partitions, options.apps) as where,
        ground(stack, folder, options.partitions, where.topic) as here,
    ):
        found, _ = drain(Consumer(folder, here, settings_of(options)), where, 0.0, 60.0)
    return max(options.pilot, round(found.records / found.seconds * seconds * SPARE))


def drain(consumer: Consumer, where: Backlog, warm_up: float, seconds: float) -> tuple[Stretch, Watch]:
    """Lets it read a backlog for so long after the warm-up, or to its end; then it leaves in order.

    Raises ProcessFailed.
    """
    watch = Watch(consumer, lambda: where.records)
    try:
        consumer.until_reading()
        stretch = _stretch(consumer, watch, warm_up, seconds, lambda sample: sample.records >= where.records)
        consumer.end()
    finally:
        consumer.kill()
    return stretch, watch


def _stretch(consumer: Consumer, watch: Watch, warm_up: float, seconds: float, over: Any) -> Stretch:
    begun = watch.until(lambda _: True, PATIENCE, 0.1)
    warm = watch.until(lambda sample: sample.seconds - begun.seconds >= warm_up or over(sample), PATIENCE)
    first, before = (warm, consumer.metrics()) if not over(warm) else (begun, Counter[str]())
    last = watch.until(lambda sample: sample.seconds - first.seconds >= seconds or over(sample), PATIENCE)
    return Stretch(first, last, before, consumer.metrics())


def beside(stack: Stack, folder: Path, options: argparse.Namespace) -> Stretch:
    """Devices send on the same machine, as fast as their reports are taken. Raises ProcessFailed, ChildFailed."""
    seconds = options.beside * 60
    with ground(stack, folder, options.partitions) as here:
        consumer = Consumer(folder, here, settings_of(options))
        words = ("--beside", str(consumer.status_file), "--seconds", str(options.warm_up + seconds + 10))
        try:
            consumer.until_reading()
            with devices(here, folder, options.apps, *words) as (child, _):
                watch = Watch(consumer, lambda: 0, child.cpu_seconds)
                child.tell("go")
                stretch = _stretch(consumer, watch, options.warm_up, seconds, lambda _: False)
                child.expect("done")
            consumer.until_counted(PATIENCE)
            consumer.end()
        finally:
            consumer.kill()
        audit(here, folder, options.audit)
    return stretch


def _part(options: argparse.Namespace, found: Stretch, watch: Watch) -> Part:
    figures = shares(found.first, found.last)
    peaks = watch.resident_of_servers() | {"consumer": max(sample.resident for sample in watch.samples)}
    for row in figures:
        row["peak_mb"] = peaks[row["name"]] / 1e6 if row["name"] in peaks else None
    ratios = {
        "whole_million_points_per_s": found.durable_million_points_per_s,
        "whole_million_points_per_s_counted": found.million_points_per_s,
        "whole_us_per_report_consumer": next(row["us_per_report"] for row in figures if row["name"] == "consumer"),
        "whole_us_per_report_all": sum(row["us_per_report"] for row in figures),
        "whole_base_reads_per_report": found.per_report("base_reads"),
        "whole_rows_per_report": found.per_report("written_rows counters"),
        "whole_row_bytes_per_report": found.per_report("written_bytes counters"),
        "whole_rss_gb": peaks["consumer"] / 1e9,
    }
    cores = os.cpu_count() or 1
    busy = (found.last.busy - found.first.busy) / (found.last.seconds - found.first.seconds)
    top = ", ".join(f"{row['title']} {row['cores']:.2f}" for row in figures[:4])
    bound = "the processor" if busy > 0.9 * cores else "waiting, not the processor"
    others = next(row["cores"] for row in figures if row["name"] == "others")
    note = f"{busy:.2f} of {cores} cores were busy ({top}; everybody else {others:.2f}): what bounds it is {bound}."
    workload = {
        "minutes": round(found.seconds / 60, 2),
        "reports": found.records,
        "data_points": found.points,
        "partitions": options.partitions,
        "apps": options.apps,
        "workers": options.workers,
        "settings": " ".join(options.set) or "as shipped",
    }
    return Part("whole", workload, figures, ratios, [note], series(watch.samples))


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.add_argument("--stack-dir", type=Path, help="A stack that runs; else one is started for this.")
    arguments.add_argument("--minutes", type=float, default=3.0)
    arguments.add_argument("--warm-up", type=float, default=20.0, metavar="SECONDS", help="That do not count.")
    arguments.add_argument("--reports", type=int, help="Of the backlog; unset: as many as are needed.")
    arguments.add_argument("--pilot", type=int, default=500_000, metavar="REPORTS", help="Of the short run.")
    arguments.add_argument("--rehearsal", type=int, default=20_000, metavar="REPORTS", help="Counted independently.")
    arguments.add_argument("--audit", type=int, default=1, metavar="PARTITIONS", help="That are audited at the end.")
    arguments.add_argument("--beside", type=float, default=0.0, metavar="MINUTES", help="Devices beside it. 0: not.")
    arguments.add_argument("--apps", type=int, default=400_000)
    arguments.add_argument("--partitions", type=int, default=8)
    arguments.add_argument(
        "--workers", type=int, default=2, help="Processes of the consumer. Default: one a core here."
    )
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="A setting of the consumer.")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
