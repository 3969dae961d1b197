"""Whether a consumer's memory grows: a real process at a steady rate for minutes, sampled every second.

    python -m perf.soak --minutes 5 [--rate 1000] [--stack-dir DIR] [--json FILE] [--chart FILE]

The embedded broker, SQLite and a local archive; with --stack-dir Kafka, HBase and the archive's file system of a stack
that runs. Exits with 1 where the median resident memory of the last third is more than --growth above that of the
middle third: the first third is warm-up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.environment import describe, refuse_debug_build
from bench.ground import ground as on_stack
from bench.processes import Process
from flurry_fast.broker import EmbeddedBroker
from flurry_fast.stack import Stack

PARTITIONS = 8
MIB = 2**20
START_SECONDS = 60.0


class SoakFailed(RuntimeError):
    """It can not be run, or not be judged."""


@dataclass(frozen=True)
class Sample:
    """The consumer at one moment: seconds since the start; bytes resident and in its own buffers; totals; records that
    are not durable yet."""

    seconds: float
    resident: int
    buffers: int
    records: int
    blocks: int
    flushes: int
    archive_files: int
    lag: int
    paused: int


@dataclass(frozen=True)
class Third:
    """Medians over a third of the run; `flushes` and `archive_files` are what was added in it."""

    resident: float
    most_resident: int
    buffers: float
    records: int
    flushes: int
    archive_files: int
    lag: float


def third(samples: Sequence[Sample]) -> Third:
    """What a stretch of samples comes to. They are at least two."""
    first, last = samples[0], samples[-1]
    return Third(
        resident=median(sample.resident for sample in samples),
        most_resident=max(sample.resident for sample in samples),
        buffers=median(sample.buffers for sample in samples),
        records=last.records - first.records,
        flushes=last.flushes - first.flushes,
        archive_files=last.archive_files - first.archive_files,
        lag=median(sample.lag for sample in samples),
    )


def thirds(samples: Sequence[Sample]) -> list[Third]:
    """Of equal counts of samples; what does not divide goes to the first. Raises SoakFailed where there are too few."""
    size = len(samples) // 3
    if size < 2:
        raise SoakFailed(f"{len(samples)} samples are too few to judge: run it for longer.")
    return [third(samples[: -2 * size]), third(samples[-2 * size : -size]), third(samples[-size:])]


def growth(found: Sequence[Third]) -> float:
    """How much more is resident in the last third than in the middle one, as a share of that."""
    return found[2].resident / found[1].resident - 1


# --- running ---------------------------------------------------------------------------------------------------------


@contextmanager
def ground(folder: Path, stack: Path | None) -> Iterator[dict[str, str]]:
    """Where reports, counters and archive are, as settings. On a stack they go afterwards."""
    common = {"consume.status_file": str(folder / "status.json"), "log.format": "json"}
    if stack is None:
        with EmbeddedBroker(folder / "broker.json", {"reports": PARTITIONS}):
            yield common | {
                "kafka.broker_file": str(folder / "broker.json"),
                "counters.store": f"sqlite:{folder / 'counters.sqlite'}",
                "archive.root": str(folder / "archive"),
            }
        return
    here = Stack.at(stack)
    if here.addresses.kafka is None or here.addresses.hbase_thrift is None:
        raise SoakFailed("The stack needs Kafka and HBase.")
    with on_stack(here, folder, PARTITIONS) as found:
        yield common | found.settings


def soak(folder: Path, settings: dict[str, str], seconds: float, rate: int) -> list[Sample]:
    """The consumer at that rate for so long, one sample a second. Raises ProcessFailed; no process outlives it."""
    started: list[Process] = []
    status = folder / "status.json"
    try:
        consumer = Process(folder, "consume", settings)
        started.append(consumer)
        deadline = time.monotonic() + START_SECONDS
        while not status.exists() or len(json.loads(status.read_text())["partitions"]) < PARTITIONS:
            consumer.check()
            if time.monotonic() > deadline:
                raise consumer.failure(f"has no partitions after {START_SECONDS:g} s")
            time.sleep(0.2)
        devices = Process(folder, "simulate", settings, "--rate", str(rate), "--duration", str(seconds + 600))
        started.append(devices)
        samples: list[Sample] = []
        begun = time.monotonic()
        with _bar() as bar:
            task = bar.add_task("soak", total=seconds, said="")
            while (now := time.monotonic() - begun) < seconds:
                devices.check()
                samples.append(sample(now, consumer, json.loads(status.read_text())))
                last = samples[-1]
                said = f"{last.resident / MIB:,.0f} MiB, {last.records:,} reports, lag {last.lag:,}"
                bar.update(task, completed=now, said=said)
                time.sleep(1.0)
        devices.end()
        consumer.end()
        return samples
    finally:
        for process in started:
            process.kill()


def sample(now: float, consumer: Process, status: dict[str, Any]) -> Sample:
    """What is resident, and what the newest status file says."""
    return Sample(
        seconds=round(now, 1),
        resident=consumer.resident(),
        buffers=status["memory"],
        records=status["records"],
        blocks=status["blocks"],
        flushes=status["flushes"],
        archive_files=status["archive_files"],
        lag=status["lag"],
        paused=status["paused"],
    )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[said]}")
    )


# --- telling ---------------------------------------------------------------------------------------------------------


def table(found: Sequence[Third]) -> str:
    """The thirds as Markdown."""
    lines = [
        "| third | resident, MiB | most | buffers, MiB | reports | flushes | archive files | lag |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, part in zip(("first (warm-up)", "middle", "last"), found, strict=True):
        cells = [part.resident / MIB, part.most_resident / MIB, part.buffers / MIB]
        counts = [part.records, part.flushes, part.archive_files, part.lag]
        numbers = [*(f"{value:,.1f}" for value in cells), *(f"{value:,.0f}" for value in counts)]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def chart(samples: Sequence[Sample], path: Path) -> None:
    """Resident memory, buffers and lag over time, as SVG or PNG by the path's ending."""
    mpl.use("Agg")
    seconds = [sample.seconds for sample in samples]
    figure, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True, height_ratios=(2, 1))
    axes[0].plot(seconds, [sample.resident / MIB for sample in samples], label="resident", color="#1f6feb")
    axes[0].plot(seconds, [sample.buffers / MIB for sample in samples], label="its buffers", color="#9aa4b2")
    axes[0].set_ylabel("MiB")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(loc="lower right")
    axes[1].plot(seconds, [sample.lag for sample in samples], color="#1f6feb")
    axes[1].set_ylabel("reports not durable")
    axes[1].set_ylim(bottom=0)
    axes[1].set_xlabel("seconds")
    for part in axes:
        part.grid(alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "soak"}):
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main() -> None:
    """See the module's words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=1000, help="Reports a second.")
    parser.add_argument("--growth", type=float, default=5.0, metavar="PERCENT", help="Most that is no leak.")
    parser.add_argument("--stack-dir", type=Path, metavar="DIR", help="A stack that runs; else all is embedded.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="A setting of the consumer.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write samples and thirds there.")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="Draw them there (.svg or .png).")
    options = parser.parse_args()
    refuse_debug_build()
    environment = describe(["python", "-m", "perf.soak", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="soak-") as name, ground(Path(name), options.stack_dir) as settings:
        own = dict(item.split("=", 1) for item in options.set)
        samples = soak(Path(name), settings | own, options.minutes * 60, options.rate)
    environment["load_after"] = [round(load, 2) for load in os.getloadavg()]
    found = thirds(samples)
    grown = growth(found)
    print(table(found))
    print(f"\nThe last third holds {grown:+.1%} of the middle one; {options.growth:g} % is the most that is no leak.")
    print("\n" + "; ".join(f"{key}: {value}" for key, value in environment.items() if key != "build"))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"environment": environment, "growth": grown, "thirds": list(map(asdict, found))}
        content["samples"] = list(map(asdict, samples))
        options.json.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    if options.chart is not None:
        chart(samples, options.chart)
    if grown > options.growth / 100:
        sys.exit(1)


if __name__ == "__main__":
    main()
