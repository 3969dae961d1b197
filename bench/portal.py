"""The portal against a bare hyper server and a plain Python collector: rate, CPU a report, latency, overload.

    python -m bench.portal --reports 20000 --rounds 4
    python -m bench.portal --overload

One process a contender, one worker each, the embedded broker behind those that store. Everything shares the machine
with the simulated devices and the broker, so rates are bound by all of them together: compare CPU a report first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.environment import ROOT, describe, refuse_debug_build
from flurry_fast._core import HttpFleet, Simulator
from flurry_fast.broker import EmbeddedBroker

TOPIC = "reports"
PARTITIONS = 16
TICKS = os.sysconf("SC_CLK_TCK")
BARE, PORTAL, AIOHTTP = "bare hyper", "portal", "aiohttp"
OFFERED = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Measured:
    """One contender in one mode."""

    rate: float  # acknowledged reports a second
    cpu: float  # microseconds of its process a report
    latency: tuple[float, float, float]  # p50, p99, p99.9 in milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--devices", type=int, default=64, help="posts at the same time")
    parser.add_argument("--overload", action="store_true", help="offer 50 to 300 percent of what the portal can take")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    refuse_debug_build()
    bodies = Simulator(1).next_batch(options.reports).payloads()
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedBroker(Path(folder) / "broker.json", {TOPIC: PARTITIONS})
        try:
            found = overload(broker, bodies, options) if options.overload else compare(broker, bodies, options)
        finally:
            broker.stop()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        about = describe([sys.executable, "-m", "bench.portal", *sys.argv[1:]])
        options.json.write_text(json.dumps({**about, "results": found}, indent=1))


def compare(broker: EmbeddedBroker, bodies: list[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """Interleaved rounds; the least CPU and the best rate of each, and the median latency."""
    runs: dict[tuple[str, bool], list[Measured]] = {}
    for _ in range(options.rounds):
        for name in (BARE, PORTAL, AIOHTTP):
            for keep in (False, True):
                with contender(name, broker) as (address, process):
                    measure(address, process, bodies[: len(bodies) // 10], options.devices, keep=keep)  # warm
                    measured = measure(address, process, bodies, options.devices, keep=keep)
                runs.setdefault((name, keep), []).append(measured)
    found = {}
    print(f"{'':>12} {'connections':>14} {'reports/s':>10} {'CPU us/report':>14} {'p50 ms':>8} {'p99':>8} {'p99.9':>8}")
    for (name, keep), each in runs.items():
        mode = "kept" if keep else "one a report"
        latency = [median(run.latency[index] for run in each) for index in range(3)]
        rate, cpu = max(run.rate for run in each), min(run.cpu for run in each)
        found[f"{name}, {mode}"] = {"rate": rate, "cpu_us": cpu, "latency_ms": latency}
        print(f"{name:>12} {mode:>14} {rate:10,.0f} {cpu:14.1f} " + " ".join(f"{value:8.1f}" for value in latency))
    return found


def overload(broker: EmbeddedBroker, bodies: list[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """Goodput at rates around what the portal takes flat out."""
    found = {}
    with contender(PORTAL, broker) as (address, process):
        most = measure(address, process, bodies, options.devices, keep=False).rate
        print(f"flat out: {most:,.0f} reports/s\n{'offered':>10} {'stored/s':>10} {'p99 ms':>8}  not stored")
        for share in OFFERED:
            fleet = HttpFleet(address, host="bench", devices=2000, timeout=15)
            started, posted, rate = time.monotonic(), 0, most * share
            while time.monotonic() - started < 5:
                due = int((time.monotonic() - started) * rate) - posted
                start = posted % len(bodies)
                posted += fleet.post(bodies[start : start + min(due, 1000)]) if due > 0 else 0
                time.sleep(0.01)
            offering = time.monotonic() - started
            fleet.finish()
            counts, seconds = fleet.counts(), time.monotonic() - started
            goodput = counts["stored"] / seconds
            found[f"{share:.0%}"] = {"offered": posted / offering, "goodput": goodput, **counts}
            rest = {name: count for name, count in counts.items() if count and name != "stored"}
            print(f"{share:>10.0%} {goodput:10,.0f} {fleet.quantile(0.99) * 1000:8.0f}  {rest}")
    return found


def measure(address: str, process: subprocess.Popen[str], bodies: list[bytes], devices: int, *, keep: bool) -> Measured:
    """All bodies once. Raises AssertionError where not all are acknowledged."""
    fleet = HttpFleet(address, host="bench", devices=devices, keep_alive=keep)
    cpu, started = cpu_seconds(process.pid), time.monotonic()
    fleet.post(bodies)
    fleet.finish()
    seconds, cpu = time.monotonic() - started, cpu_seconds(process.pid) - cpu
    assert fleet.counts()["stored"] == len(bodies), fleet.counts()
    latency = (fleet.quantile(0.5) * 1e3, fleet.quantile(0.99) * 1e3, fleet.quantile(0.999) * 1e3)
    return Measured(len(bodies) / seconds, cpu / len(bodies) * 1e6, latency)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def contender(name: str, broker: EmbeddedBroker) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address and process."""
    with tempfile.TemporaryDirectory() as folder:
        status = Path(folder) / "status.json"
        process = subprocess.Popen(command(name, broker, status), stdout=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            yield address_of(name, process, status), process
        finally:
            process.kill()
            process.communicate()


def command(name: str, broker: EmbeddedBroker, status: Path) -> list[str]:
    if name == BARE:
        manifest = ["--manifest-path", str(ROOT / "rust" / "Cargo.toml"), "--package", "flurry-portal"]
        built = subprocess.run(
            ["cargo", "build", "--release", "--locked", "--message-format=json", *manifest, "--example", "bare"],
            check=True,
            capture_output=True,
            text=True,
        )
        lines = [json.loads(line) for line in built.stdout.splitlines()]
        return [next(line["executable"] for line in reversed(lines) if line.get("executable")), "127.0.0.1:0"]
    if name == AIOHTTP:
        return [sys.executable, "-m", "bench.contenders.aiohttp_collector", broker.file.bootstrap, TOPIC]
    given = {"kafka.broker_file": broker.path, "portal.port": 0, "portal.status_file": status, "log.level": "error"}
    flags = [item for key, value in given.items() for item in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "flurry_fast", "portal", *flags]


def address_of(name: str, process: subprocess.Popen[str], status: Path) -> str:
    if name != PORTAL:
        assert process.stdout is not None
        return process.stdout.readline().strip()
    while not status.exists():
        assert process.poll() is None, "the portal ended"
        time.sleep(0.05)
    found: str = json.loads(status.read_text())["address"]
    return found


if __name__ == "__main__":
    main()
