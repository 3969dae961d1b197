"""What storms came to: kills, faults with recovery times, reports and counters; and the table of the docs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from pages import put_between
from storm.round import Outcome
from storm.weather import FAULTS

MARKS = ("<!-- storm: begin -->", "<!-- storm: end -->")
_SUMS = ("rounds", "kills", "starts", "reports", "counters", "seconds")


@dataclass
class Report:
    """Grows by a round at a time. `recoveries`: fault -> seconds, one each time that it was waited for."""

    rounds: int = 0
    kills: int = 0
    starts: int = 0
    reports: int = 0
    counters: int = 0
    seconds: float = 0.0
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.rounds += 1
        self.kills += outcome.kills
        self.starts += outcome.starts
        self.reports += outcome.reports
        self.counters += outcome.counters
        self.seconds += outcome.seconds
        for fault, times in outcome.recoveries.items():
            self.recoveries.setdefault(fault, []).extend(times)
        if outcome.failure is not None:
            self.failures.append(outcome.failure)

    def sentence(self) -> str:
        wrong = f"{len(self.failures)} rounds were not exact" if self.failures else "every counter was exact"
        return (
            f"{self.kills:,} `kill -9` and {sum(map(len, self.recoveries.values())) - self._waits():,} other faults in"
            f" {self.rounds} rounds, {self.starts:,} consumers started, {self.reports:,} reports sent,"
            f" {self.counters:,} counters compared, in {self.seconds / 60:.0f} minutes: {wrong}."
        )

    def _waits(self) -> int:
        return len(self.recoveries.get("kill", ()))

    def table(self) -> str:
        """Markdown."""
        lines = [self.sentence(), "", "| fault | times | recovery, median | worst |", "|---|---:|---:|---:|"]
        for name, fault in FAULTS.items():
            times = self.recoveries.get(name, [])
            count = self.kills if name == "kill" else len(times)
            if count:
                shown = (f"{median(times):.1f} s", f"{max(times):.1f} s") if times else ("", "")
                lines.append(f"| {fault.what} | {count} | {shown[0]} | {shown[1]} |")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """As JSON."""
        content = {name: getattr(self, name) for name in _SUMS}
        content |= {"recoveries": self.recoveries, "failures": self.failures}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Report:
    """What `save` wrote."""
    return Report(**json.loads(path.read_text(encoding="utf-8")))


def write_into(docs: Path, reports: list[Report]) -> None:
    """Put them, added up, between the marks."""
    total = Report()
    for report in reports:
        for name in _SUMS:
            setattr(total, name, getattr(total, name) + getattr(report, name))
        for fault, times in report.recoveries.items():
            total.recoveries.setdefault(fault, []).extend(times)
        total.failures += report.failures
    put_between(docs, *MARKS, f"{total.table()}\n")
