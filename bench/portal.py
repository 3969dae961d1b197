"""The portal against a bare hyper server and plain Python collectors: rate, CPU a report, latency; and its simulator.

    python -m bench.portal [--reports N] [--rounds N] [--json FILE]
    python -m bench.portal --silence
    python -m bench.portal --simulator [--reports N]

One process a contender, one worker each, the embedded broker behind those that store. Everything shares the machine
with the simulated devices and the broker, so rates are bound by all of them together: compare CPU a report first.
`python -m bench.overload` offers more than the portal can take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from bench.child import ROOT
from bench.environment import describe, refuse_debug_build
from bench.front_ends import (
    AIOHTTP,
    BARE,
    FRONT_ENDS,
    GRANIAN,
    PARTITIONS,
    PORTAL,
    TOPIC,
    UVICORN,
    Measured,
    front_end,
    measure,
    said_to,
)
from bench.processes import family_seconds
from flurry_fast._core import Simulator
from flurry_fast.broker import EmbeddedBroker

ONE, KEPT = "one a report", "kept"
AIMS = {"rate_vs_bare": 0.6, "rate_vs_aiohttp": 3.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--devices", type=int, default=256, help="posts at the same time")
    parser.add_argument("--only", nargs="+", choices=FRONT_ENDS, default=FRONT_ENDS, help="front ends to measure")
    parser.add_argument("--silence", action="store_true", help="see who can close a connection without an answer")
    parser.add_argument("--simulator", action="store_true", help="hold `simulate --http` against the portal")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    refuse_debug_build()
    about = describe([sys.executable, "-m", "bench.portal", *sys.argv[1:]])
    work = silence if options.silence else simulator if options.simulator else compare
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedBroker(Path(folder) / "broker.json", {TOPIC: PARTITIONS})
        try:
            found = work(broker, options)
        finally:
            broker.stop()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        about["load_after"] = [round(load, 2) for load in os.getloadavg()]
        options.json.write_text(json.dumps({"environment": about, **found}, indent=1) + "\n")


def there(names: list[str]) -> list[str]:
    """Those whose packages are installed; the others are told."""
    found = [name for name in names if name not in (AIOHTTP, UVICORN, GRANIAN) or find_spec(name)]
    for name in names:
        if name not in found:
            print(f"{name} is not installed (pip install {name}): not measured", file=sys.stderr)
    return found


def compare(broker: EmbeddedBroker, options: argparse.Namespace) -> dict[str, Any]:
    """Interleaved rounds; the least CPU and the best rate of each, and the median latency."""
    bodies = Simulator(1).next_batch(options.reports).payloads()
    names = there(options.only)
    runs: dict[tuple[str, str], list[Measured]] = {}
    for _ in range(options.rounds):
        for mode in (ONE, KEPT):
            for name in names:
                with front_end(name, broker) as server:
                    measure(server, bodies[: len(bodies) // 10], options.devices, keep=mode == KEPT)  # warm
                    measured = measure(server, bodies, options.devices, keep=mode == KEPT)
                runs.setdefault((mode, name), []).append(measured)
    figures = []
    print("| connections | | reports/s | CPU µs a report | p50 / p99 / p99.9 ms |\n|---|---|---:|---:|---:|")
    for (mode, name), each in runs.items():
        latency = [median(run.latency[index] for run in each) for index in range(3)]
        row = {
            "mode": mode,
            "name": name,
            "rate": max(run.rate for run in each),
            "cpu_us": min(run.cpu for run in each),
            "latency_ms": latency,
            "devices_cpu_us": min(run.devices_cpu for run in each),
            "rates": [run.rate for run in each],
        }
        figures.append(row)
        quantiles = " / ".join(f"{value:.1f}" for value in latency)
        print(f"| {mode} | {name} | {row['rate']:,.0f} | {row['cpu_us']:.1f} | {quantiles} |")
    return {"figures": figures, "ratios": ratios(figures)}


def ratios(figures: list[dict[str, Any]]) -> dict[str, float]:
    """The portal's rate and CPU in those of each other, by mode."""
    found = {}
    for row in figures:
        ours = next((one for one in figures if one["name"] == PORTAL and one["mode"] == row["mode"]), None)
        if ours is None or row is ours:
            continue
        against = f"vs_{row['name'].split()[0]}"
        tail = "" if row["mode"] == ONE else "_kept"
        found[f"rate_{against}{tail}"] = ours["rate"] / row["rate"]
        found[f"cpu_{against}{tail}"] = ours["cpu_us"] / row["cpu_us"]
    for name, value in found.items():
        aim = AIMS.get(name)
        verdict = "" if aim is None else f", aim {aim:g}: {'reached' if value >= aim else 'not reached'}"
        print(f"- `{name}`: {value:.2f}{verdict}")
    return found


def silence(broker: EmbeddedBroker, options: argparse.Namespace) -> dict[str, Any]:
    """What a client reads from a server whose application does what it can to end without an answer."""
    found: dict[str, Any] = {}
    for name in there([name for name in options.only if name not in (BARE, PORTAL)]):
        with front_end(name, broker) as server:
            paths = ("/silent",) if name == AIOHTTP else ("/silent", "/raise")
            found[name] = {path: said_to(server.address, path).partition(b"\r\n")[0].decode() for path in paths}
    lost = {"portal.answer_timeout": "100ms"}
    with front_end(PORTAL, broker, settings=lost) as server:
        broker.stop()
        found[PORTAL] = {"no broker": said_to(server.address, "/aap.do").partition(b"\r\n")[0].decode()}
    for name, each in found.items():
        for how, said in each.items():
            print(f"{name:>8} {how:>10}: {said or 'closed, not a byte'}")
    return {"silence": found}


def simulator(broker: EmbeddedBroker, options: argparse.Namespace) -> dict[str, Any]:
    """CPU a report of `flurry-fast simulate --http` and of what it drives, each on a core of its own if there are two.

    What starting the simulator costs is measured by a run of one report, and taken off.
    """
    cores = sorted(os.sched_getaffinity(0))
    mine, theirs = cores[0], cores[-1]
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for _ in range(options.rounds):
        for mode in (ONE, KEPT):
            given = ["--connections", str(options.devices), *(["--keep-alive"] if mode == KEPT else [])]
            for name in (BARE, PORTAL):
                with front_end(name, broker, core=theirs) as server:
                    start, _ = simulate(server.address, 1, given, mine)
                    cpu = family_seconds(server.pid)
                    spent, rate = simulate(server.address, options.reports, given, mine)
                    cpu = family_seconds(server.pid) - cpu
                found = ((spent - start) / options.reports * 1e6, cpu / options.reports * 1e6, rate)
                rows.setdefault((mode, name), []).append(found)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    ratios = {}
    print("| connections | | simulator, CPU µs a report | server | reports/s |\n|---|---|---:|---:|---:|")
    for (mode, name), each in rows.items():
        least, server_least = min(row[0] for row in each), min(row[1] for row in each)
        best = max(row[2] for row in each)
        row = {"simulator_cpu_us": least, "server_cpu_us": server_least, "rate": best}
        figures.setdefault(mode, {})[name] = row
        print(f"| {mode} | {name} | {least:.1f} | {server_least:.1f} | {best:,.0f} |")
    for mode, tail in ((ONE, ""), (KEPT, "_kept")):
        portal = figures[mode][PORTAL]
        drives = portal["server_cpu_us"] / portal["simulator_cpu_us"]
        ratios[f"simulator_vs_portal{tail}"] = drives
        print(f"- {mode}: a core of the simulator drives {drives:.2f} of the portal, {3 / drives:.1f} drive three")
    return {"figures": figures, "ratios": ratios}


def simulate(address: str, reports: int, given: list[str], core: int) -> tuple[float, float]:
    """CPU seconds of the command, and the reports a second that it says were sent."""
    words = ["simulate", "--http", f"http://{address}", "--reports", str(reports), *given]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-m", "flurry_fast", *words, "--json", "--no-progress"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(done.stdout)
    assert said["acked"] == reports, said
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent, said["reports_per_second"]


if __name__ == "__main__":
    main()
