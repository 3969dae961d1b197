"""How long a report takes from a device to a counter in HBase, at 20, 50 and 80 % of what the machine takes.

    python -m bench.latency [--stack-dir DIR] [--seconds S] [--levels PERCENT ...] [--set KEY=VALUE] [--json FILE]

Real Kafka, HBase and an archive on HDFS, `flurry-fast consume` as a user starts it. First devices send as fast as the
consumer takes their reports: the capacity of this machine with the devices on it. Then they keep to a timetable of so
many percent of that, whatever happens to their reports (bench/devices.py), and another client reads the cells in HBase
every 20 ms (bench/visible.py). A report's time is from when it was due at its device until a reader has it. Probes
that are not visible a minute after the end, and a counter that is not exactly what was sent, fail the run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.consumer import Consumer
from bench.devices import watched
from bench.ground import ground
from bench.kernels import NotEqual
from bench.part import Part, parser, run
from bench.rounds import progress
from bench.servers import ALL, a_stack
from bench.visible import Latency, Probe, Reader, check_counted, devices, probes_of
from bench.watch import Watch

CATCH_UP = 300.0  # seconds
LAST = 60.0  # seconds until the last probe must be visible
HALF = 50


@dataclass(frozen=True)
class Level:
    """One timetable. `late_p99_ms`: how late the devices themselves were with a tick."""

    percent: int
    rate: float
    latency: Latency
    late_p99_ms: float
    busy: float
    curve: list[float]

    def row(self) -> dict[str, Any]:
        """For the table, in milliseconds."""
        found = self.latency
        return {
            "name": f"{self.percent} %",
            "title": f"{self.percent} % of capacity",
            "reports_per_s": self.rate,
            "probes": found.probes,
            "p50_ms": found.p50 * 1e3,
            "p99_ms": found.p99 * 1e3,
            "p999_ms": found.p999 * 1e3,
            "most_ms": found.most * 1e3,
            "devices_late_p99_ms": self.late_p99_ms,
            "cores_busy": self.busy,
        }


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    with (
        a_stack(options, *ALL) as stack,
        tempfile.TemporaryDirectory(prefix="bench-latency-") as name,
        ground(stack, Path(name), options.partitions) as here,
        progress("latency", len(options.levels) + 1) as step,
    ):
        folder = Path(name)
        consumer = Consumer(folder, here, dict(item.split("=", 1) for item in options.set))
        sent: Counter[str] = Counter()
        try:
            consumer.until_reading()
            step("capacity", "devices beside the consumer")
            capacity = options.capacity or capacity_of(consumer, folder, options, sent)
            levels = []
            for percent in options.levels:
                step(f"{percent} %", f"{capacity * percent / 100:,.0f} reports/s")
                consumer.until_counted(CATCH_UP)
                levels.append(level(consumer, folder, options, percent, capacity * percent / 100, sent))
            consumer.until_counted(CATCH_UP)
            consumer.end()
        finally:
            consumer.kill()
        counted = check_counted(here, sent)
    return _part(options, capacity, levels, counted)


def capacity_of(consumer: Consumer, folder: Path, options: argparse.Namespace, sent: Counter[str]) -> float:
    """Reports a second that are counted while devices send as fast as they are. Raises ProcessFailed, ChildFailed."""
    here, seconds = consumer.ground, options.capacity_seconds
    words = ("--beside", str(consumer.status_file), "--ahead", str(options.ahead), "--seconds", str(2 * seconds))
    with devices(here, folder, options.apps, *words, "--seed", "1") as (child, _):
        watch = Watch(consumer, lambda: 0)
        begun = watch.until(lambda _: True, 60.0)
        child.tell("go")
        first = watch.until(lambda sample: sample.seconds - begun.seconds >= seconds, CATCH_UP)
        last = watch.until(lambda sample: sample.seconds - first.seconds >= seconds - 1, CATCH_UP, 0.2)
        sent.update(json.loads(child.expect("done"))["watched"])
    return (last.records - first.records) / (last.written - first.written)


def level(
    consumer: Consumer, folder: Path, options: argparse.Namespace, percent: int, rate: float, sent: Counter[str]
) -> Level:
    """One timetable, from its first report until its last probe is visible. Raises NotEqual where one never is."""
    here = consumer.ground
    words = ("--rate", str(rate), "--seconds", str(options.seconds), "--seed", str(1 + percent))
    with devices(here, folder, options.apps, *words) as (child, file), Reader(here, watched(options.apps)) as reader:
        watch = Watch(consumer, lambda: 0)
        first = watch.until(lambda _: True, 60.0)
        answer = json.loads(child.ask("go", "done"))
        last = watch.until(lambda _: True, 60.0)
        sent.update(answer["watched"])
        followed = probes_of(file)
        moments = visible(reader, followed)
    seconds = [moment - probe.due for probe, moment in zip(followed, moments, strict=True)]
    busy = (last.busy - first.busy) / (last.seconds - first.seconds)
    return Level(percent, rate, Latency.of(seconds), answer["late_p99_ms"], busy, _curve(seconds))


def visible(reader: Reader, followed: Sequence[Probe]) -> list[float]:
    """The moment of each probe. Raises NotEqual where one is not visible in time."""
    deadline = time.monotonic() + LAST
    while True:
        reader.check()
        moments = [reader.seen(probe) for probe in followed]
        known = [moment for moment in moments if moment is not None]
        if len(known) == len(followed):
            return known
        if time.monotonic() > deadline:
            raise NotEqual(f"{len(followed) - len(known)} of {len(followed)} reports are not visible in HBase.")
        time.sleep(0.2)


def _curve(seconds: Iterable[float]) -> list[float]:
    """A hundred quantiles, and three beyond the last of them."""
    found = sorted(seconds)
    shares = [*(number / 100 for number in range(100)), 0.995, 0.999, 1.0]
    return [found[min(len(found) - 1, int(share * len(found)))] for share in shares]


def _part(options: argparse.Namespace, capacity: float, levels: list[Level], counted: int) -> Part:
    ratios = {f"latency_p99_s_at_{each.percent}": each.latency.p99 for each in levels}
    half = [each.latency.p99 for each in levels if each.percent == HALF]
    if half:
        ratios["latency_p99_s_at_half_load"] = half[0]
    workload = {
        "capacity_reports_per_s": capacity,
        "seconds": options.seconds,
        "partitions": options.partitions,
        "apps": options.apps,
        "settings": " ".join(options.set) or "as shipped",
    }
    notes = [
        f"HBase has exactly the {counted:,} reports that the followed apps sent. The devices run on the same machine,"
        " and are part of its load."
    ]
    series = [{"percent": each.percent, "quantiles": each.curve} for each in levels]
    return Part("latency", workload, [each.row() for each in levels], ratios, notes, series)


def options_of(words: str | None) -> argparse.ArgumentParser:
    """What latency and recovery both take."""
    arguments = parser(words)
    arguments.add_argument("--stack-dir", type=Path, help="A stack that runs; else one is started for this.")
    arguments.add_argument("--apps", type=int, default=400_000)
    arguments.add_argument("--partitions", type=int, default=8)
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="A setting of the consumer.")
    return arguments


def main() -> None:
    """See the module's words."""
    arguments = options_of(__doc__)
    arguments.add_argument("--seconds", type=float, default=90.0, help="Of each level.")
    arguments.add_argument("--levels", type=int, nargs="+", default=[20, HALF, 80], metavar="PERCENT")
    arguments.add_argument("--capacity", type=float, metavar="REPORTS", help="A second; unset: it is measured.")
    arguments.add_argument("--capacity-seconds", type=float, default=30.0, help="Warm-up of it, and then its time.")
    arguments.add_argument("--ahead", type=int, default=200_000, help="Most reports that wait while it is measured.")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
