"""What every part of the benchmark gives: figures, ratios, where they were measured; as JSON and for people."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.environment import describe, refuse_debug_build


@dataclass
class Part:
    """`workload` says what was timed; a figure is a row with a `name`; `ratios` are what is compared between runs;
    `series` is for charts, in order of time."""

    name: str
    workload: dict[str, Any] = field(default_factory=dict)
    figures: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    series: list[dict[str, Any]] = field(default_factory=list)


def parser(words: str | None) -> argparse.ArgumentParser:
    """The arguments that all parts take."""
    made = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, metavar="FILE", help="Write the figures there, too.")
    made.add_argument("--rounds", type=int, default=9, help="How often each contender runs; the minimum counts.")
    return made


def run(options: argparse.Namespace, work: Callable[[argparse.Namespace], Part]) -> None:
    """Runs a part and shows it. Raises DebugBuild."""
    refuse_debug_build()
    module = getattr(sys.modules["__main__"], "__spec__", None)
    environment = describe(["python", "-m", module.name if module else sys.argv[0], *sys.argv[1:]])
    part = work(options)
    environment["load_after"] = [round(load, 2) for load in os.getloadavg()]
    print(show(part))
    print("\n" + "; ".join(f"{name}: {value}" for name, value in environment.items() if name != "build"))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "part": part.name,
            "environment": environment,
            **{k: v for k, v in vars(part).items() if k != "name"},
        }
        options.json.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def show(part: Part) -> str:
    """A part as Markdown."""
    lines = [", ".join(f"{name.replace('_', ' ')} {_cell(value)}" for name, value in part.workload.items()), ""]
    columns: list[str] = list(dict.fromkeys(key for row in part.figures for key in row))
    lines.append(f"| {' | '.join(name.replace('_', ' ') for name in columns)} |")
    lines.append("|" + "|".join("---" if name == "name" else "---:" for name in columns) + "|")
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in columns)} |" for row in part.figures]
    lines += ["", *(f"- `{name}`: {value:.4g}" for name, value in part.ratios.items())]
    return "\n".join([*lines, *(f"\n{note}" for note in part.notes)])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
