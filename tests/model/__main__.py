"""Many schedules: `python -m model --schedules 20000 --jobs 2` with the package and `tests/` on PYTHONPATH."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.draw import Draw
from model.runner import Outcome, attempt
from model.scenarios import SCENARIOS
from model.shrink import shrink

CHUNK = 50


@dataclass
class Report:
    """What many schedules did. `failures`: seed, scenario, check and detail of each."""

    schedules: int = 0
    seconds: float = 0.0
    scenarios: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.schedules += 1
        self.scenarios[outcome.scenario] += 1
        self.events.update(outcome.happened)
        self.checks.update(outcome.made)
        self.stops.update(outcome.stops)
        if outcome.violation is not None:
            failure = {"check": outcome.violation.check, "detail": outcome.violation.detail}
            self.failures.append({"seed": outcome.seed, "scenario": outcome.scenario, **failure})

    def merge(self, other: Report) -> None:
        self.schedules += other.schedules
        for mine, theirs in (
            (self.scenarios, other.scenarios),
            (self.events, other.events),
            (self.checks, other.checks),
            (self.stops, other.stops),
        ):
            mine.update(theirs)
        self.failures += other.failures

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "schedules": self.schedules,
            "seconds": round(self.seconds, 1),
            "per_second": round(self.schedules / max(self.seconds, 1e-9), 1),
            "scenarios": dict(self.scenarios.most_common()),
            "events": dict(self.events.most_common()),
            "checks": dict(self.checks.most_common()),
            "stops": dict(self.stops.most_common()),
            "failures": self.failures,
        }


def work(job: tuple[int, int, str, str | None]) -> Report:
    """A few schedules in a row, in whatever process."""
    first, count, scenario, bug = job
    if bug is not None:
        from flurry_fast import trials

        trials.seed(bug)
    report = Report()
    for seed in range(first, first + count):
        report.add(attempt(Draw(seed), scenario, seed))
    return report


def reports(jobs: int, work_list: Iterator[tuple[int, int, str, str | None]]) -> Iterator[Report]:
    """Of each piece of work, in order."""
    if jobs == 1:
        yield from map(work, work_list)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, work_list)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--schedules", default=1000, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True, help="The first; the others follow.")
@click.option("--scenario", default="all", show_default=True, type=click.Choice(["all", *SCENARIOS]))
@click.option("--jobs", default=1, show_default=True, help="Processes.")
@click.option("--minutes", type=float, help="Stop after so many, however many schedules were asked for.")
@click.option("--until", default=20, show_default=True, help="Stop after so many failures.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--bug", help="Seed this bug first (a build for tests only).")
@click.option("--replay", type=int, help="Run this seed alone, and print what happens in it.")
@click.option("--shrink", "shrink_seed", type=int, help="Run this seed, and make it as short as it still fails.")
def main(
    schedules: int,
    seed: int,
    scenario: str,
    jobs: int,
    minutes: float | None,
    until: int,
    as_json: bool,
    bug: str | None,
    replay: int | None,
    shrink_seed: int | None,
) -> None:
    """Run random schedules over the product; exit with 1 if an invariant is violated."""
    if bug is not None:
        from flurry_fast import trials

        trials.seed(bug)
    if replay is not None or shrink_seed is not None:
        sys.exit(_one(replay if replay is not None else shrink_seed or 0, scenario, shorter=shrink_seed is not None))
    report, started = Report(), time.monotonic()
    pieces = (
        (first, min(CHUNK, seed + schedules - first), scenario, bug) for first in range(seed, seed + schedules, CHUNK)
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=as_json or not sys.stderr.isatty()) as progress:
        task = progress.add_task("schedules", total=schedules)
        for piece in reports(jobs, pieces):
            report.merge(piece)
            report.seconds = time.monotonic() - started
            rate = report.schedules / max(report.seconds, 1e-9)
            progress.update(
                task, completed=report.schedules, description=f"{rate:.0f}/s, {len(report.failures)} failed"
            )
            if (minutes is not None and report.seconds > minutes * 60) or len(report.failures) >= until:
                break
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        _tell(report)
    sys.stdout.flush()
    os._exit(bool(report.failures))  # workers that are in the midst of a piece are not waited for


def _tell(report: Report) -> None:
    shown = report.as_dict()
    print(f"{shown['schedules']} schedules in {shown['seconds']} s ({shown['per_second']} a second)")
    for title in ("scenarios", "events", "checks", "stops"):
        print(f"{title}:")
        for name, count in shown[title].items():
            print(f"  {count:>10,}  {name}")
    for failure in report.failures:
        print(f"FAILED seed {failure['seed']} ({failure['scenario']}): {failure['check']}: {failure['detail']}")
    if report.failures:
        print("See one: python -m model --shrink SEED")


def _one(seed: int, scenario: str, *, shorter: bool) -> bool:
    outcome = attempt(Draw(seed), scenario, seed, trace=True)
    if outcome.violation is not None and shorter:
        outcome = shrink(outcome, scenario)
        print(f"seed {seed}, shrunk to {len(outcome.choices)} choices")
    for place, line in enumerate(outcome.trace):
        print(f"{place:>5}  {line}")
    print(f"seed {seed}, scenario {outcome.scenario}: {outcome.violation or 'every invariant holds'}")
    return outcome.violation is not None


if __name__ == "__main__":
    main()
