"""All parts, one after the other, and what they found as one report in docs/benchmarks/.

    python -m bench.run [--quick] [--parts NAME ...] [--resume] [--stack-dir DIR]

--quick: a subset in under ten minutes, into docs/benchmarks/latest.json. Each part is a process of its own
(``python -m bench.NAME --json build/bench/NAME.json``) and can be run again alone; --resume takes what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.environment import describe, refuse_debug_build
from bench.report import write_report
from bench.servers import folder_of
from bench.targets import TARGETS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build/bench"
DOCS = ROOT / "docs/benchmarks"
# part -> its arguments in a full and in a quick run; None: not in it
PARTS: dict[str, tuple[list[str], list[str] | None]] = {
    "kernels": (["--reports", "100000", "--rounds", "10"], ["--reports", "50000", "--rounds", "7"]),
    "pipelines": (
        ["--records", "200000", "--rounds", "7", "--frameworks"],
        ["--records", "100000", "--rounds", "4"],
    ),
    "store_write": (["--rounds", "9"], ["--reports", "30000", "--rounds", "5"]),
    "scaling": (["--rounds", "3"], None),
}
SERVERS = {"pipelines", "store_write", "scaling"}


def main() -> None:
    """See the module's words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="NAME")
    parser.add_argument("--resume", action="store_true", help="Take the figures that build/bench has already.")
    parser.add_argument("--stack-dir", type=Path, help="A stack that runs (Kafka, HBase); else one is started.")
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
    latest = {"quick": options.quick, "environment": environment, "ratios": ratios, "parts": parts}
    DOCS.mkdir(parents=True, exist_ok=True)
    name = "latest" if options.quick else "report"
    (DOCS / f"{name}.json").write_text(json.dumps(latest, indent=1, default=str) + "\n", encoding="utf-8")
    if not options.quick:
        write_report(latest, DOCS)
    for line in verdicts(ratios):
        print(line)
    print(f"{DOCS / name}.json")


def collect(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What each part wrote. Raises CalledProcessError."""
    console = Console(stderr=True)
    found = {}
    with ExitStack() as stack:
        folder = options.stack_dir
        for name in options.parts:
            arguments = PARTS[name][1 if options.quick else 0]
            if arguments is None:
                continue
            file = RESULTS / f"{'quick-' if options.quick else ''}{name}.json"
            if not (options.resume and file.exists()):
                if name in SERVERS:
                    if folder is None:
                        console.print("starting Kafka and HBase")
                        folder = stack.enter_context(folder_of("kafka", "hbase"))
                    arguments = [*arguments, "--stack-dir", str(folder)]
                console.rule(name)
                subprocess.run([sys.executable, "-m", f"bench.{name}", *arguments, "--json", str(file)], check=True)
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
