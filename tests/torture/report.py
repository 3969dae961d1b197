"""What was covered: for every point and action, the seeds that ended exact."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import put_between
from torture.episode import Outcome
from torture.places import ACTIONS, PLACES

_TOTALS = ("episodes", "injections", "missed", "starts", "reports", "counters", "seconds", "failures")
MARKS = ("<!-- torture: begin -->", "<!-- torture: end -->")


@dataclass
class Report:
    """Grows by an episode at a time. `cells`: what is to be covered, (point, action)."""

    cells: list[tuple[str, str]]
    passed: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    episodes: int = 0
    injections: int = 0
    missed: int = 0
    reports: int = 0
    counters: int = 0
    starts: int = 0
    seconds: float = 0.0
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, outcome: Outcome, folder: Path) -> None:
        """One episode's outcome; what an episode met counts if it ended exact."""
        self.episodes += 1
        self.injections += len(outcome.met)
        self.missed += len(outcome.missed)
        self.reports += outcome.reports
        self.counters += outcome.counters
        self.starts += outcome.starts
        if outcome.failure is not None:
            self.failures.append({"episode": str(folder / "episode.json"), "what": outcome.failure})
            return
        for cell in outcome.met:
            self.passed[cell.point, cell.action].add(cell.seed)

    @property
    def points(self) -> list[str]:
        """The points in `cells`, in order."""
        return list(dict.fromkeys(point for point, _ in self.cells))

    def covered(self) -> int:
        """How many cells were passed at least once."""
        return sum(bool(self.passed[cell]) for cell in self.cells)

    def points_covered(self) -> int:
        """Points of which every cell was passed at least once."""
        open_points = {point for point, action in self.cells if not self.passed[point, action]}
        return len(self.points) - len(open_points)

    def save(self, path: Path) -> None:
        """As JSON: the totals, and point -> action -> seeds that ended exact."""
        passed: dict[str, dict[str, list[int]]] = {}
        for point, action in self.cells:
            passed.setdefault(point, {})[action] = sorted(self.passed[point, action])
        content: dict[str, Any] = {name: getattr(self, name) for name in _TOTALS}
        path.write_text(json.dumps(content | {"passed": passed}, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Report:
    """What `save` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    report = Report([(point, action) for point, actions in found["passed"].items() for action in actions])
    for name in _TOTALS:
        setattr(report, name, found[name])
    for point, actions in found["passed"].items():
        for action, seeds in actions.items():
            report.passed[point, action] = set(seeds)
    return report


def write_into(page: Path, runs: Sequence[Report]) -> None:
    """Put the figures and the table of these runs between the page's two marks."""
    put_between(page, *MARKS, markdown(runs))


def markdown(runs: Sequence[Report]) -> str:
    """The figures, and a table of seeds that ended exact, over all runs together."""
    total = {name: sum(getattr(run, name) for run in runs) for name in _TOTALS if name != "failures"}
    lines = [
        f"{total['injections']:,} injections in {total['episodes']:,} episodes, {total['starts']:,} consumers started,"
        f" {total['reports']:,} reports sent and {total['counters']:,} counters compared in"
        f" {total['seconds'] / 60:.0f} minutes; {sum(len(run.failures) for run in runs)} episodes failed.",
        "",
        "| point | " + " | ".join(ACTIONS) + " |",
        "|---|" + "---:|" * len(ACTIONS),
    ]
    for point, place in PLACES.items():
        seeds = [sum(len(run.passed[point, action]) for run in runs) for action in ACTIONS]
        shown = [str(n) if action in place.actions else "" for n, action in zip(seeds, ACTIONS, strict=True)]
        lines.append(f"| `{point}` | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"
