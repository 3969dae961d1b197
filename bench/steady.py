"""What 400,000 apps take of a consumer and of HBase at a 60 s flush, in steady state.

    python -m bench.steady [--stack-dir DIR] [--minutes M] [--replaced M] [--rate R] [--flush S] [--json FILE]

Devices send at Flurry's rate of 2013 (20,000 reports a second, bench/devices.py) to `flurry-fast consume` with both
sinks on a real stack. A round of flushes (of all partitions, one after the other) after the other: blocks that were
read before they could be counted, rows and bytes that were written, reports, resident memory. Steady state are all
rounds but the first, which ends with the first flush. Then the consumer is replaced in order, as an upgrade does it:
the new one knows no block, and must read what is stored of each that comes again, until it has them. Every followed
app's `reports` must be exactly what was sent, and an audit must find nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.consumer import Consumer
from bench.ground import ground
from bench.latency import options_of
from bench.part import Part, run
from bench.rounds import progress
from bench.servers import ALL, a_stack
from bench.visible import check_counted, devices
from bench.whole import PATIENCE, audit

GIB = 2**30


@dataclass(frozen=True)
class Moment:
    """The consumer when a flush had become durable: its metrics, resident bytes, seconds since it started."""

    seconds: float
    resident: int
    metrics: Counter[str]

    def since(self, before: Moment) -> dict[str, Any]:
        """What lies between, a report."""
        grown = self.metrics - before.metrics
        reports = max(1, grown["records"])
        return {
            "reports": reports,
            "reports_per_s": reports / (self.seconds - before.seconds),
            "base_reads_per_report": grown["base_reads"] / reports,
            "rows_per_report": grown["written_rows counters"] / reports,
            "row_bytes_per_report": grown["written_bytes counters"] / reports,
            "rss_mb": self.resident / 1e6,
            "buffers_mb": self.metrics["memory_bytes"] / 1e6,
        }


def rounds(consumer: Consumer, seconds: float, flush: float, every: float = 0.5) -> list[Moment]:
    """One moment at the start, and one after the first flush of the counters in every `flush` seconds.

    Raises ProcessFailed.
    """
    started, resident = time.monotonic(), consumer.resident()
    found = [Moment(0.0, resident, consumer.metrics())]
    while (now := time.monotonic() - started) < seconds:
        time.sleep(every)
        resident = max(resident, consumer.resident())
        metrics = consumer.metrics()
        flushed = metrics["flushes counters"] > found[-1].metrics["flushes counters"]
        if flushed and now - found[-1].seconds >= flush - every:
            found.append(Moment(now, resident, metrics))
            resident = 0
    return found


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    given = {
        "counters.flush_age": str(options.flush),
        "counters.flush_age_min": str(options.flush),
        "counters.flush_rows": "10000000",
        "counters.flush_bytes": str(GIB),
        "consume.drain_timeout": "120",
    } | dict(item.split("=", 1) for item in options.set)
    seconds, replaced = options.minutes * 60, options.replaced * 60
    with (
        a_stack(options, *ALL) as stack,
        tempfile.TemporaryDirectory(prefix="bench-steady-") as name,
        ground(stack, Path(name), options.partitions) as here,
        progress("steady", 3) as step,
    ):
        folder = Path(name)
        consumer = Consumer(folder, here, given)
        words = ("--rate", str(options.rate), "--seconds", str(seconds + replaced + options.flush))
        try:
            consumer.until_reading()
            with devices(here, folder, options.apps, *words) as (child, _):
                child.tell("go")
                step("steady", f"{options.minutes:g} minutes")
                same = rounds(consumer, seconds, options.flush)
                step("replaced", f"{options.replaced:g} minutes")
                consumer.end()
                consumer = Consumer(folder, here, given)
                consumer.until_reading()
                new = rounds(consumer, replaced, options.flush)
                if len(same) < 3 or len(new) < 2:
                    raise RuntimeError("Too few flushes: give more --minutes and --replaced, or less --flush.")
                answer = json.loads(child.expect("done"))
            step("compared", f"{answer['sent']:,} reports")
            consumer.until_counted(PATIENCE)  # a machine that is too slow for the rate is told by the rounds
            consumer.end()
        finally:
            consumer.kill()
        counted = check_counted(here, answer["watched"])
        audited = audit(here, folder, options.audit)
    steady, last = same[-1].since(same[1]), new[-1].since(new[-2])
    ratios = {
        "steady_rss_gb": max(moment.resident for moment in same) / 1e9,
        "steady_base_reads_per_report": steady["base_reads_per_report"],
        "steady_rows_per_report": steady["rows_per_report"],
        "steady_row_bytes_per_report": steady["row_bytes_per_report"],
        "replaced_rss_gb": max(moment.resident for moment in new) / 1e9,
        "replaced_reports_per_s": new[1].since(new[0])["reports_per_s"],
        "replaced_base_reads_per_report": last["base_reads_per_report"],
        "replaced_rows_per_report": last["rows_per_report"],
    }
    workload = {
        "reports_per_s": options.rate,
        "flush_s": options.flush,
        "apps": options.apps,
        "partitions": options.partitions,
        "settings": " ".join(options.set) or "consume.memory as shipped",
    }
    notes = [
        f"HBase has exactly the {counted:,} reports that the followed apps sent; {audited['blocks']:,} blocks of"
        f" {audited['records']:,} records were audited."
    ]
    rows = _rows("steady", "the same process", same) + _rows("replaced", "a new one", new)
    return Part("steady", workload, rows, ratios, notes)


def _rows(name: str, title: str, found: list[Moment]) -> list[dict[str, Any]]:
    each = enumerate(pairwise(found), 1)
    return [{"name": f"{name} {n}", "title": f"{title}, round {n}", **now.since(before)} for n, (before, now) in each]


def main() -> None:
    """See the module's words."""
    arguments = options_of(__doc__)
    arguments.add_argument("--minutes", type=float, default=4.5, help="Of the first process.")
    arguments.add_argument("--replaced", type=float, default=4.5, metavar="MINUTES", help="Of the one that takes over.")
    arguments.add_argument("--rate", type=float, default=20_000.0, help="Reports a second.")
    arguments.add_argument("--flush", type=float, default=60.0, metavar="SECONDS")
    arguments.add_argument("--audit", type=int, default=1, metavar="PARTITIONS", help="That are audited at the end.")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()
