"""Puts one bug at a time into the product, and runs schedules until the model notices.

`PYTHONPATH=build/trials:tests python -P -m model.hunt [--bug NAME]... [--schedules N] [--until-killed] [--jobs J]
[--json | --write docs/exactness.md]` (`make trials` makes that build). Exits with 1 if a bug was not noticed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from pages import put_between

from flurry_fast import trials
from model.draw import Draw
from model.runner import attempt
from model.shrink import shrink

USUAL = "base"
WHERE: Mapping[str, str] = {
    bug: scenario
    for scenario, bugs in {
        "archive": ("m_of_another_sink", "counters_begun_before_archive", "no_registry_read_before_claim"),
        "race": (
            "archive_named_with_end",
            "archive_overwrites",
            "ambiguous_claim_is_success",
            "lost_claim_advances",
            "lost_claim_not_read_again",
            "rewind_counts_again",
        ),
        "stall": ("absence_after_eviction", "base_from_stale_replica"),
        "recreate": ("recreated_topic_continued", "flushed_after_exception"),
        "truncate": ("truncation_unchecked",),
        "compact": ("gap_in_offsets_passed",),
        "vandal": ("conflict_swallowed",),
        "reset": ("reset_lowers_m",),
        "restore": ("restored_without_rewind", "generation_unchecked", "commit_taken_as_truth"),
        "gap": ("gap_keeps_m", "retention_skipped", "stopped_sink_passed_over"),
        "dedup": ("dedup_rebuilt_empty", "dedup_rebuilt_from_whole_archive", "dedup_window_too_short"),
        "switch": ("closing_ignored", "switch_forgets_m", "x_at_position", "x_not_respected"),
    }.items()
    for bug in bugs
}
"""Where a bug can show, if it does not in the usual scenario."""

SHRINK_ROUNDS = 400
BEGIN, END = "<!-- seeded bugs: from model.hunt -->", "<!-- end of seeded bugs -->"


@dataclass(frozen=True)
class Catch:
    """What the model noticed of a bug (None: of the product without any).

    `first`: how many schedules it took; `noticed` of `schedules` ended with a violation; `checks`: which, how often;
    `check`: the one that ended the first; `steps`: of that schedule, shrunk. None where nothing was noticed.
    """

    bug: str | None
    scenario: str
    schedules: int
    first: int | None
    noticed: int
    check: str | None
    checks: Mapping[str, int]
    steps: int | None


def hunt(bug: str | None, schedules: int, *, scenario: str | None = None, until_killed: bool = False) -> Catch:
    """Run this many schedules, seeds 0, 1, ..., in the scenario (its own, if not given), with the bug in.

    `until_killed`: only up to the first that notices, which is shrunk then only if all are run.
    """
    where = scenario or WHERE.get(bug or "", USUAL)
    trials.seed(bug)
    first, check, steps, checks, done = None, None, None, Counter[str](), 0
    try:
        for seed in range(schedules):
            done = seed + 1
            outcome = attempt(Draw(seed), where, seed)
            if outcome.violation is None:
                continue
            checks[outcome.violation.check] += 1
            if first is None:
                first, check = done, outcome.violation.check
                if until_killed:
                    break
                steps = len(shrink(outcome, where, SHRINK_ROUNDS).trace)
    finally:
        trials.seed(None)
    return Catch(bug, where, done, first, checks.total(), check, dict(checks), steps)


def hunt_all(bugs: Iterable[str], schedules: int, jobs: int, *, until_killed: bool = False) -> Iterator[Catch]:
    """Every bug, and then every scenario that was used, without any bug, over the same seeds; `jobs` processes."""
    used: Counter[str] = Counter()
    with ProcessPoolExecutor(jobs) as pool:
        hunts = [pool.submit(hunt, bug, schedules, until_killed=until_killed) for bug in bugs]
        for future in hunts:
            found = future.result()
            used[found.scenario] = max(used[found.scenario], found.schedules)
            yield found
        controls = [pool.submit(hunt, None, max(count, 30), scenario=scenario) for scenario, count in used.items()]
        for future in controls:
            yield future.result()


def table(catches: Sequence[Catch]) -> str:
    """For docs/exactness.md: the listed traps first, then our own."""
    lines = [
        "| bug | what it does | scenario | until killed | noticed in | killed by | steps, shrunk |",
        "|---|---|---|---:|---:|---|---:|",
    ]
    order = list(trials.BUGS)
    for catch in sorted(catches, key=lambda catch: order.index(catch.bug or "")):
        assert catch.bug is not None
        share = 100 * catch.noticed / catch.schedules
        percent = f"{share:.0f} %" if share >= 9.5 else f"{share:.1f} %"
        name = catch.bug.replace("_", " ")
        lines.append(
            f"| {name} | {trials.BUGS[catch.bug]} | {catch.scenario} | {catch.first or 'never'} | {percent}"
            f" | `{catch.check}` | {catch.steps or ''} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="model.hunt", description=__doc__)
    parser.add_argument("--bug", action="append", choices=sorted(trials.BUGS), help="only this one (may be repeated)")
    parser.add_argument("--schedules", type=int, default=300, help="to each bug (default %(default)s)")
    parser.add_argument("--until-killed", action="store_true", help="stop at the first schedule that notices")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each bug")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    if not trials.ENABLED:
        parser.error("this build has no bugs to put in: make trials, PYTHONPATH=build/trials:tests")
    catches = []
    bugs, quick = options.bug or trials.BUGS, options.until_killed
    for catch in hunt_all(bugs, options.schedules, options.jobs, until_killed=quick):
        catches.append(catch)
        if options.json:
            print(json.dumps(asdict(catch)), flush=True)
        else:
            name, first = catch.bug or "(none)", catch.first or "never"
            print(f"{name:36} {catch.scenario:10} {first:>6} {catch.noticed:>4} of {catch.schedules}  {catch.checks}")
    if options.write is not None:
        put_between(options.write, BEGIN, END, table([catch for catch in catches if catch.bug is not None]))
    return int(any((catch.bug is None) != (catch.first is None) for catch in catches))


if __name__ == "__main__":
    sys.exit(main())
