"""Many schedules: `python -m model --schedules 20000 --jobs 2` with the package and `tests/` on PYTHONPATH."""

from __future__ import annotations

import json
import sys
import time

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.draw import Draw
from model.jobs import Job, Report, reports
from model.runner import attempt
from model.scenarios import SCENARIOS
from model.shrink import shrink

PIECE = 50  # schedules of one job


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
    end = seed + schedules
    pieces = (Job(first, min(PIECE, end - first), scenario, bug) for first in range(seed, end, PIECE))
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
    sys.exit(bool(report.failures))


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
