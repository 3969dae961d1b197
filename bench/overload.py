"""More reports than the portal can take: goodput must stay flat while 50 to 300 % of its capacity are offered.

    python -m bench.overload [--seconds N] [--json FILE] [--chart FOLDER]

Open loop: every report is posted by a device of its own when it is due, whether others were answered or not. A device
repeats a post that is closed without an answer up to four times within 100 ms, waits 15 s for an answer, and then gives
up. Two bounds, one after the other:

processor  The portal's core is shared with busy loops, so that devices on the other core can offer three times as much.
memory     Kafka is slow (portal.linger), and portal.memory holds few reports: most posts are refused, and repeated.

A report costs a device and the portal about the same, so what is offered at three times the capacity takes the devices'
core only if the portal's share of its own is small. `devices' core` says how busy theirs was: near 100 %, an offer says
nothing of the portal. `CPU` is the portal's a report that it stored: where it stays and goodput does not, others took
the processor.

Capacity is what devices get stored that come as fast as they are answered (closed loop), measured just before in the
same place, by so many that some always wait for what bounds it. Goodput is what was acknowledged between the seconds
WARM and WARM + N of an offer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.child import ROOT
from bench.environment import describe, refuse_debug_build
from bench.front_ends import PARTITIONS, PORTAL, TOPIC, FrontEnd, front_end
from bench.processes import TICKS, cpu_seconds
from flurry_fast._core import HttpFleet, Simulator
from flurry_fast.broker import EmbeddedBroker

OFFERED = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
WARM = 3.0  # seconds of an offer before its goodput counts: queues fill
GENERATORS = 3  # processes that offer, for each may have so many connections only
FILES = 500  # beside connections
TURN = 0.005
LOOK = 1.5  # seconds after which a status file tells of all that there was
PATIENCE = 30.0  # seconds for the portal to have served all that is left of an offer
SPINNERS = 12
BOUNDS: Mapping[str, tuple[int, int, Mapping[str, object]]] = {  # spinners, devices that capacity takes, settings
    "processor": (SPINNERS, 400, {}),
    "memory": (0, 1200, {"portal.memory": "1MiB", "portal.max_body": "256KiB", "portal.linger": "200ms"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="that the goodput of an offer is counted for")
    parser.add_argument("--offered", nargs="+", type=float, default=OFFERED, help="shares of the capacity")
    parser.add_argument("--bounds", nargs="+", choices=BOUNDS, default=list(BOUNDS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path, metavar="FOLDER", help="portal-overload.svg and .png")
    parser.add_argument("--generate", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.generate:
        address, rate, seconds = options.generate
        print(json.dumps(generate(address, float(rate), float(seconds))), flush=True)
        os._exit(0)  # devices that still wait are left: what they would be told is not asked
    refuse_debug_build()
    about = describe([sys.executable, "-m", "bench.overload", *sys.argv[1:]])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})  # with the generators
    found = {bound: overload(*BOUNDS[bound], options.offered, options.seconds, cores[-1]) for bound in options.bounds}
    if options.json:
        about["load_after"] = [round(load, 2) for load in os.getloadavg()]
        options.json.write_text(json.dumps({"environment": about, "bounds": found}, indent=1) + "\n")
    if options.chart:
        chart(found, options.chart)


def overload(
    spinners: int,
    devices: int,
    settings: Mapping[str, object],
    offered: Sequence[float],
    seconds: float,
    core: int,
) -> dict[str, Any]:
    """Capacity, and a row for each offer."""
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = EmbeddedBroker(folder / "broker.json", {TOPIC: PARTITIONS})
        stack.callback(broker.stop)
        pin(broker.file.pid, core)  # whoever offers too much must not take Kafka's time
        stack.enter_context(spinning(spinners, core))
        settings = {"portal.host": "0.0.0.0", **settings}
        server = stack.enter_context(front_end(PORTAL, broker, core=core, settings=settings))
        capacity(server, devices, 2)  # warm
        most = capacity(server, devices, seconds)
        print(f"capacity {most:,.0f} reports/s")
        print(
            "| offered | a second | goodput | CPU µs a report | posts a second | not stored | unsent"
            " | p50 / p99 s | devices' core | MB |"
        )
        for share in offered:
            row = offer(server, most * share, seconds)
            rows.append({"share": share, **row, "peak_mb": server.peak_bytes() / 1e6})
            print(
                f"| {share:.0%} | {row['offered']:,.0f} | {row['goodput']:,.0f} ({row['goodput'] / most:.0%})"
                f" | {row['cpu_us']:.0f} | {row['posts']:,.0f} | {row['lost']:,} | {row['unsent']:,}"
                f" | {row['p50']:.2f} / {row['p99']:.2f} | {row['devices_core']:.0%} | {rows[-1]['peak_mb']:.0f} |",
                flush=True,
            )
    return {"capacity": most, "rows": rows, "settings": {name: str(value) for name, value in settings.items()}}


def pin(pid: int, core: int) -> None:
    """A process with all of its threads."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # one that has just ended
            os.sched_setaffinity(int(task.name), {core})


@contextmanager
def spinning(count: int, core: int) -> Iterator[None]:
    """So many processes that want all of a core."""
    words = ["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(words) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def capacity(server: FrontEnd, devices: int, seconds: float) -> float:
    """Reports a second that devices get stored which never wait: more of them than the portal has at a time."""
    fleet = HttpFleet(f"127.0.0.1:{server.port}", host="bench", devices=devices)
    bodies = Simulator(1).next_batch(2000).payloads()
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        fleet.post(bodies[:200])
    stored, taken = fleet.counts()["stored"], time.monotonic() - started
    fleet.finish()
    return stored / taken


def offer(server: FrontEnd, rate: float, seconds: float) -> dict[str, Any]:
    """What became of it, all generators together, on the core of this process."""
    generators = []
    time.sleep(LOOK)
    stored, cpu = status(server)["records"], cpu_seconds(server.pid)
    for number in range(GENERATORS):
        # Of another address each: ports are for a pair of addresses.
        given = (f"127.0.0.{number + 1}:{server.port}", str(rate / GENERATORS), str(seconds))
        words = [sys.executable, "-m", "bench.overload", "--generate", *given]
        generators.append(subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    time.sleep(WARM)
    before = core_seconds(min(os.sched_getaffinity(0)))
    found = []
    for generator in generators:
        said, _ = generator.communicate()
        assert generator.returncode == 0
        found.append(json.loads(said))
    busy, all_of_it = (b - a for a, b in zip(before, core_seconds(min(os.sched_getaffinity(0))), strict=True))
    end = time.monotonic() + PATIENCE
    while status(server)["open"] > 0 and time.monotonic() < end:
        time.sleep(0.2)  # devices have gone, and what they had posted is served before anybody else comes
    time.sleep(LOOK)
    stored, cpu = status(server)["records"] - stored, cpu_seconds(server.pid) - cpu
    sums = {name: sum(each[name] for each in found) for name in ("offered", "goodput", "posts", "lost", "unsent")}
    worst = {name: max(each[name] for each in found) for name in ("p50", "p99")}
    return {**sums, **worst, "cpu_us": cpu / max(1, stored) * 1e6, "devices_core": busy / all_of_it}


def status(server: FrontEnd) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.status.read_text())
    return found


def core_seconds(core: int) -> tuple[float, float]:
    """Of one core so far: those that it was not idle, and all."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    fields = next(line for line in lines if line.startswith(f"cpu{core} ")).split()[1:9]
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS


def generate(address: str, rate: float, seconds: float) -> dict[str, Any]:
    """One generator's part of an offer. `unsent`: reports that were not offered, for no device was free."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bodies = Simulator(1).next_batch(4000).payloads()
    devices = most - FILES
    fleet = HttpFleet(address, host="bench", devices=devices)
    started, posted, unsent, begin = time.monotonic(), 0, 0, (0, 0, 0.0)
    while (now := time.monotonic() - started) < WARM + seconds:
        if not begin[2] and now >= WARM:
            begin = (fleet.counts()["stored"], posted, now)
        due = min(int(now * rate) - posted - unsent, len(bodies))
        if due > 0:
            may = min(due, devices - (posted - ended(fleet.counts())))  # never wait for a device to be free
            unsent += due - may
            start = posted % (len(bodies) - due + 1)
            posted += fleet.post(bodies[start : start + may])
        time.sleep(TURN)
    counts, taken = fleet.counts(), time.monotonic() - started - begin[2]
    attempts = posted + counts["repeats"]
    return {
        "offered": (posted - begin[1]) / taken,
        "goodput": (counts["stored"] - begin[0]) / taken,
        "posts": attempts / (WARM + seconds),
        "lost": counts["given_up"] + counts["dropped"],
        "unsent": unsent,
        "p50": fleet.quantile(0.5),
        "p99": fleet.quantile(0.99),
    }


def ended(counts: Mapping[str, int]) -> int:
    return counts["stored"] + counts["dropped"] + counts["given_up"]


def chart(found: Mapping[str, Any], folder: Path) -> None:
    """Goodput over what was offered, both in what the portal can take."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6))
    axes.plot([0, 100, 300], [0, 100, 100], "--", color="#9aa4b2", label="what can be had")
    for (bound, each), colour in zip(found.items(), ("#1f6feb", "#d97706"), strict=False):
        most = each["capacity"]
        axes.plot(
            [row["offered"] / most * 100 for row in each["rows"]],
            [row["goodput"] / most * 100 for row in each["rows"]],
            "o-",
            color=colour,
            label=f"bound by {bound}: {most:,.0f} reports/s are 100 %",
        )
    axes.set_xlabel("offered, % of capacity (open loop)")
    axes.set_ylabel("acknowledged, % of capacity")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    with mpl.rc_context({"svg.hashsalt": "portal-overload"}):
        figure.savefig(folder / "portal-overload.svg", metadata={"Date": None})
    figure.savefig(folder / "portal-overload.png", dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
