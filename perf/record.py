"""Records where time and memory of a scenario go: a text with the hottest functions, and a flame graph (SVG).

    python -m perf.record SCENARIO --with TOOL [TOOL ...] [--reports N] [--rounds N] [--out DIR]

perf/README.md says which tool answers which question. Only the scenario's own work is recorded: imports and the making
of reports are over when a tool looks.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.environment import ROOT, DebugBuild, describe, refuse_debug_build
from flurry_fast.errors import FlurryFastError
from perf.flame import svg
from perf.scenarios import SCENARIOS
from perf.stacks import folded, table
from perf.tools import TOOLS, Outcome, Work

RESULTS = ROOT / "build/profiles"


def arguments(argv: list[str]) -> argparse.Namespace:
    """Of the command line. Raises SystemExit, after a sentence."""
    scenarios = "\n".join(f"  {s.name:<12} {s.title} ({s.reports:,} reports)" for s in SCENARIOS.values())
    tools = "\n".join(f"  {name:<12} {(tool.__doc__ or '').strip()}" for name, tool in TOOLS.items())
    parser = argparse.ArgumentParser(
        prog="python -m perf.record",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"scenarios:\n{scenarios}\n\ntools:\n{tools}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", choices=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--with", dest="tools", choices=list(TOOLS), nargs="+", required=True, metavar="TOOL")
    parser.add_argument("--reports", type=int, metavar="N", help="How many simulated reports there are.")
    parser.add_argument("--rounds", type=int, metavar="N", help="How often they are gone through.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="Where files go (build/profiles/SCENARIO).")
    options = parser.parse_args(argv)
    scenario = SCENARIOS[options.scenario]
    if options.reports is None:
        options.reports = scenario.reports
    if scenario.rounds is None and options.rounds not in (None, 1):
        parser.error(f"{scenario.name} can be done only once in a recording: give it more --reports.")
    if options.rounds is None:
        options.rounds = scenario.rounds or 1
    if options.reports < 1 or options.rounds < 1:
        parser.error("--reports and --rounds are at least 1.")
    options.out = options.out or RESULTS / scenario.name
    return options


def head(work: Work, tool: str) -> str:
    """What was recorded, where, and by which command: without it the figures mean nothing."""
    command = [
        "python", "-m", "perf.record", work.scenario.name, "--with", tool,
        "--reports", str(work.reports), "--rounds", str(work.rounds),
    ]  # fmt: skip
    machine = describe(command)
    return (
        f"{machine['command']}\n{work.scenario.title}\n"
        f"commit {machine['commit']}, {machine['date']}, Python {machine['python']}, Linux {machine['kernel']}\n"
        f"{machine['cpu']}, {machine['cores']} cores, load before {machine['load_before'][0]}\n\n"
    )


def write(folder: Path, tool: str, work: Work, first: str, outcome: Outcome) -> list[Path]:
    """TOOL.txt; with stacks TOOL.svg and TOOL.folded, too."""
    folder.mkdir(parents=True, exist_ok=True)
    text, files = first + outcome.text, {}
    if outcome.stacks is not None:
        if not outcome.stacks.total():
            raise FlurryFastError(f"{tool} took no sample.", way_out="Record for longer: --rounds or --reports.")
        text += f"{outcome.stacks.total():,} {outcome.unit}\n\n{table(outcome.stacks)}"
        title = f"{work.scenario.name}: {work.scenario.title} ({tool}, {outcome.unit})"
        files = {
            f"{tool}.svg": svg(outcome.stacks, title, outcome.unit),
            f"{tool}.folded": folded(outcome.stacks),
        }
    files = {f"{tool}.txt": text, **files}
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def main() -> None:
    """See the module's words."""
    options = arguments(sys.argv[1:])
    work = Work(SCENARIOS[options.scenario], options.reports, options.rounds)
    os.chdir(ROOT)
    try:
        refuse_debug_build()
        for tool in options.tools:
            first = head(work, tool)
            paths = write(options.out, tool, work, first, TOOLS[tool](work))
            print(paths[0].read_text(encoding="utf-8"))
            print("\n".join(str(path) for path in paths))
    except (FlurryFastError, DebugBuild) as error:
        raise SystemExit(f"Not recorded: {error}") from None


if __name__ == "__main__":
    main()
