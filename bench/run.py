"""All parts, one after the other, and what they found as one report in docs/benchmarks/.

    python -m bench.run [--quick | --try] [--parts NAME ...] [--resume] [--stack-dir DIR]

--quick: a subset in under ten minutes, into docs/benchmarks/latest.json. --try: all of it with the smallest sizes, into
build/bench/try: whether everything runs, its figures mean nothing. Each part is a process of its own
(``python -m bench.NAME --json build/bench/NAME.json``) and can be run again alone; --resume takes what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.environment import describe, refuse_debug_build
from bench.report import write_report
from bench.servers import ALL, Product, folder_of
from bench.targets import TARGETS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build/bench"
DOCS, TRIAL = ROOT / "docs/benchmarks", RESULTS / "try"


@dataclass(frozen=True)
class Run:
    """How a part is called. `quick` None: it is not in a quick run; `needs`: the servers that it is to find running."""

    full: str
    quick: str | None
    trial: str
    needs: tuple[Product, ...] = ()


LIGHT: tuple[Product, ...] = ("kafka", "hbase")  # HBase on local files: what is measured is the client
SMALL = "--partitions 4 --apps 1000"
PARTS: dict[str, Run] = {
    "kernels": Run("--reports 100000 --rounds 10", "--reports 50000 --rounds 7", "--reports 2000 --rounds 1"),
    "bench_archive": Run("--reports 100000 --rounds 4", None, "--reports 2000 --rounds 1"),
    "pipelines": Run(
        "--records 200000 --rounds 7 --frameworks",
        "--records 100000 --rounds 4",
        "--records 2000 --rounds 1 --frameworks",
        LIGHT,
    ),
    "hbase_write": Run(
        "--rounds 9",
        "--reports 30000 --rounds 5 --loads blocks",
        "--reports 1000 --rows 500 --rounds 1",
        LIGHT,
    ),
    "scaling": Run("--rounds 3", None, "--reports 2000 --rounds 1", LIGHT),
    "whole": Run(
        "--minutes 3 --beside 1",
        None,
        f"--minutes 0.1 --beside 0.1 --warm-up 0 --reports 100000 --rehearsal 1000 {SMALL}",
        ALL,
    ),
    "latency": Run("--seconds 90", None, f"--seconds 5 --capacity 2000 {SMALL}", ALL),
    "recovery": Run("--rounds 7", None, f"--rounds 1 --rate 500 --settle 5 --pause 15 {SMALL}", ALL),
    "steady": Run("", None, f"--minutes 0.3 --replaced 0.2 --rate 500 --flush 4 {SMALL}", ALL),
}


def main() -> None:
    """See the module's words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const="quick", dest="size", default="full")
    size.add_argument("--try", action="store_const", const="trial", dest="size")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="NAME")
    parser.add_argument("--resume", action="store_true", help="Take the figures that build/bench has already.")
    parser.add_argument("--stack-dir", type=Path, help="A stack that runs, with all servers; else they are started.")
    options = parser.parse_args()
    refuse_debug_build()
    RESULTS.mkdir(parents=True, exist_ok=True)
    environment = describe(["python", "-m", "bench.run", *sys.argv[1:]])
    started = time.monotonic()
    parts = collect(options)
    environment["seconds"] = round(time.monotonic() - started)
    ratios = {name: value for part in parts.values() for name, value in part["ratios"].items()}
    if environment["load_before"][0] > 1:
        environment["note"] = "Other work ran on this machine (load_before, load_after): read the ratios only."
    latest = {"quick": options.size == "quick", "environment": environment, "ratios": ratios, "parts": parts}
    docs = TRIAL if options.size == "trial" else DOCS
    docs.mkdir(parents=True, exist_ok=True)
    name = "latest" if options.size == "quick" else "report"
    (docs / f"{name}.json").write_text(json.dumps(latest, indent=1, default=str) + "\n", encoding="utf-8")
    if options.size != "quick":
        write_report(latest, docs)
    for line in verdicts(ratios):
        print(line)
    print(f"{docs / name}.json")


def collect(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What each part wrote. Ends the process where one fails."""
    console = Console(stderr=True)
    found = {}
    running: tuple[Product, ...] = ()
    with ExitStack() as stack:
        folder = options.stack_dir
        for name in options.parts:
            part = PARTS[name]
            said: str | None = getattr(part, options.size)
            if said is None:
                continue
            arguments = said.split()
            file = RESULTS / f"{'' if options.size == 'full' else options.size + '-'}{name}.json"
            if not (options.resume and file.exists()):
                if part.needs:
                    if options.stack_dir is None and part.needs != running:
                        stack.close()  # one stack at a time
                        console.print(f"starting {', '.join(part.needs)}")
                        folder, running = stack.enter_context(folder_of(*part.needs)), part.needs
                    arguments = [*arguments, "--stack-dir", str(folder)]
                console.rule(name)
                command = [sys.executable, "-m", f"bench.{name}", *arguments, "--json", str(file)]
                if code := subprocess.run(command, check=False).returncode:
                    sys.exit(f"bench.{name} ended with {code}. What was found before is kept: go on with --resume.")
            found[name] = json.loads(file.read_text(encoding="utf-8"))
    return found


def verdicts(ratios: dict[str, float]) -> list[str]:
    """Every ratio beside what is aimed at, as a Markdown table."""
    lines = ["| ratio | here | aim | |", "|---|---:|---:|---|"]
    for name, value in ratios.items():
        target = TARGETS.get(name)
        aim, verdict = (str(target), "reached" if target.met(value) else "not reached") if target else ("", "")
        lines.append(f"| `{name}` | {value:.3g} | {aim} | {verdict} |")
    return lines


if __name__ == "__main__":
    main()
