"""How soon counters go on after kill -9 of a consumer, as whoever reads them in HBase sees it.

    python -m bench.recovery [--stack-dir DIR] [--rounds N] [--rate R] [--ways NAME ...] [--json FILE]

Devices keep to a timetable (bench/devices.py), another client reads cells every 20 ms (bench/visible.py). Again and
again a consumer is killed at a random moment; whoever watches over it starts it anew: a service manager, at once
(`static`: with kafka.instance_id; `plain`: without), or flurry-fast's own supervisor (`supervised`: consume.workers =
2, one of the two is killed). Of each kill, in seconds: until the first counter grows again, and until counters of
every partition have, by reports that were sent after it; and until what is seen is as fresh as before, which is when
lag is back: no report is invisible for longer than the slowest one was before the first kill. At the end every counter
of the followed apps must be exactly what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.consumer import Consumer
from bench.devices import watched
from bench.ground import Ground, ground
from bench.latency import CATCH_UP, options_of, visible
from bench.part import Part, run
from bench.processes import ProcessFailed
from bench.rounds import progress
from bench.servers import ALL, a_stack
from bench.visible import Probe, Reader, check_counted, devices, probes_of
from flurry_fast.stack import Stack

WAYS = {
    "static": "one process, static name, started again at once",
    "plain": "one process, no static name, started again at once",
    "supervised": "two workers, one killed, their supervisor starts it",
}
SETTLED = 15.0  # seconds of timetable before the first kill: what is usual is known then
HICCUP = 0.5  # seconds without anything overdue: the outage is over


@dataclass(frozen=True)
class Kill:
    """Seconds from a kill on."""

    first: float
    every: float
    fresh: float


def judge(probes: Sequence[Probe], moments: Sequence[float], kills: Sequence[float], settle: float) -> list[Kill]:
    """What each kill did to what was seen. `probes` in order of time, `moments`: when each was visible.

    The first `settle` seconds say what is usual; half of them are warm-up.
    """
    pairs = list(zip(probes, moments, strict=True))
    settled = probes[0].due + settle / 2
    usual = max(moment - probe.due for probe, moment in pairs if probe.due > settled and moment < kills[0])
    found = []
    for kill, end in zip(kills, [*kills[1:], float("inf")], strict=True):
        first: dict[int, float] = {}
        for probe, moment in pairs:
            # Sent after the kill: what the dead one had on its way can not be taken for the next one's work.
            if kill < probe.due < end:
                first[probe.partition] = min(moment, first.get(probe.partition, moment))
        overdue = [(probe.due + usual, moment) for probe, moment in pairs if kill - usual < probe.due < end - usual]
        fresh = _end_of_outage(kill, usual, [each for each in overdue if each[0] < each[1]])
        found.append(Kill(min(first.values()) - kill, max(first.values()) - kill, fresh - kill))
    return found


def _end_of_outage(kill: float, usual: float, overdue: Sequence[tuple[float, float]]) -> float:
    """When nothing was overdue any more that had become so since the kill; later hiccups are not its doing.

    `overdue`: from when and until when each report was.
    """
    end = kill
    for since, until in sorted(overdue):
        if since > max(end, kill + usual) + HICCUP:
            break
        end = max(end, until)
    return end


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    part = Part(
        "recovery",
        {
            "reports_per_s": options.rate,
            "kills": options.rounds,
            "partitions": options.partitions,
            "apps": options.apps,
            "settings": " ".join(options.set) or "as shipped",
        },
    )
    counted = 0
    with a_stack(options, *ALL) as stack, progress("recovery", len(options.ways)) as step:
        for way in options.ways:
            step(way, f"{options.rounds} kills")
            found, exact = one_way(stack, options, way)
            counted += exact
            part.figures.append(_row(way, found))
            part.series += [{"way": way, **vars(kill)} for kill in found]
            part.ratios[f"recovery_s_{way}"] = statistics.median(kill.fresh for kill in found)
    part.notes.append(f"HBase has exactly the {counted:,} reports that the followed apps sent, over all kills.")
    return part


def one_way(stack: Stack, options: argparse.Namespace, way: str) -> tuple[list[Kill], int]:
    """All kills of one way; how many reports were found exactly. Raises ProcessFailed, NotEqual."""
    chance = random.Random(way)
    with (
        tempfile.TemporaryDirectory(prefix="bench-recovery-") as name,
        ground(stack, Path(name), options.partitions) as here,
    ):
        folder, living = Path(name), Keeper(Path(name), here, options, way)
        seconds = options.settle + options.rounds * options.pause + options.pause
        words = ("--rate", str(options.rate), "--seconds", str(seconds))
        try:
            living.start()
            with (
                devices(here, folder, options.apps, *words) as (child, file),
                Reader(here, watched(options.apps)) as reader,
            ):
                child.tell("go")
                time.sleep(options.settle)
                kills = []
                for _ in range(options.rounds):
                    time.sleep(chance.uniform(0, 1))
                    kills.append(living.kill())
                    time.sleep(options.pause - 1)
                sent = json.loads(child.expect("done"))["watched"]
                probes = probes_of(file)
                moments = visible(reader, probes)
            living.end()
        finally:
            living.destroy()
        counted = check_counted(here, sent)
    return judge(probes, moments, kills, options.settle), counted


class Keeper:
    """The consumer of one way, which is killed and started again."""

    def __init__(self, folder: Path, here: Ground, options: argparse.Namespace, way: str) -> None:
        own = {"static": {"kafka.instance_id": "bench"}, "supervised": {"consume.workers": "2"}, "plain": {}}[way]
        given = dict(item.split("=", 1) for item in options.set)
        self._make: Callable[[], Consumer] = lambda: Consumer(folder, here, own | given)
        self._supervised, self._chance = way == "supervised", random.Random(1)
        self._consumer = self._make()

    def start(self) -> None:
        """Until it reads all partitions. Raises ProcessFailed."""
        self._consumer.until_reading()

    def kill(self) -> float:
        """kill -9, and a new start; the moment of the first. Raises ProcessFailed."""
        self._consumer.check()
        if self._supervised:
            workers = [worker["pid"] for worker in self._consumer.status()["workers"].values() if worker["pid"]]
            if not workers:
                raise self._consumer.failure("has no worker")
            victim = self._chance.choice(workers)
            moment = time.monotonic()
            _kill(victim)
            return moment
        moment = time.monotonic()
        self._consumer.kill()
        self._consumer = self._make()
        return moment

    def end(self) -> None:
        """In order. Raises ProcessFailed."""
        self._consumer.until_counted(CATCH_UP)
        self._consumer.end()

    def destroy(self) -> None:
        """Whatever it is at; workers of a killed supervisor end by themselves."""
        self._consumer.kill()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        raise ProcessFailed(f"worker {pid} has ended by itself") from None


def _row(way: str, kills: Sequence[Kill]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": way, "title": WAYS[way], "kills": len(kills)}
    for what in ("first", "every", "fresh"):
        values = [getattr(kill, what) for kill in kills]
        row |= {f"{what}_median_s": statistics.median(values), f"{what}_worst_s": max(values)}
    return row


def main() -> None:
    """See the module's words."""
    arguments = options_of(__doc__)
    arguments.set_defaults(rounds=7)
    arguments.add_argument("--rate", type=float, default=5_000.0, help="Reports a second.")
    arguments.add_argument("--pause", type=float, default=25.0, metavar="SECONDS", help="From one kill to the next.")
    arguments.add_argument("--settle", type=float, default=SETTLED, metavar="SECONDS", help="Before the first kill.")
    arguments.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="NAME")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
