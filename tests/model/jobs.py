"""Schedules by the thousand, in processes of their own, and what they add up to."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from model.draw import Draw
from model.runner import Outcome, attempt

GENERATION = 20  # jobs of a process until it ends: a thousand schedules leave about a gigabyte


class Job(NamedTuple):
    """Some schedules in a row. `bug` is seeded first (None: none; a build for tests only)."""

    first: int
    count: int
    scenario: str
    bug: str | None


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


def work(job: Job) -> Report:
    """Run them, in whatever process."""
    if job.bug is not None:
        from flurry_fast import trials

        trials.seed(job.bug)
    report = Report()
    collecting = gc.isenabled()
    gc.disable()  # a tenth of the time: worlds are cycles of objects, and all alive
    try:
        for seed in range(job.first, job.first + job.count):
            report.add(attempt(Draw(seed), job.scenario, seed))
    finally:
        if collecting:
            gc.enable()
            gc.collect()
    return report


def reports(processes: int, jobs: Iterable[Job]) -> Iterator[Report]:
    """Of each job, as they are done; a few are under way at once.

    What worlds leave behind is never collected, a quarter of the time: the processes end every now and then instead.
    """
    if processes == 1:
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["model.runner"])
    left = iter(jobs)
    while some := list(itertools.islice(left, GENERATION * processes)):
        with ProcessPoolExecutor(processes, context, initializer=gc.disable) as pool:
            yield from pool.map(work, some)
