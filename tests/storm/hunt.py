"""Puts one bug at a time into the consumers of a storm, and lets it rage until it is noticed.

`python -m storm.hunt`, as `make storm-bugs` runs it. Exits with 1 if a bug was not noticed. That nothing is noticed
without a bug is what `python -m storm` shows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import click
from pages import put_between
from rich.console import Console
from storm.ground import DOCS, FILE, own_stack
from storm.round import Round
from torture.nursery import Nursery

from flurry_fast import trials
from flurry_fast.stack import Stack

BEGIN, END = "<!-- storm bugs: begin -->", "<!-- storm bugs: end -->"
PATIENCE = 75.0  # seconds; what has no bug recovers within 22


class Recipe(NamedTuple):
    """A round in which a bug can show: so many kills, five in a row, and these faults among them."""

    kills: int
    faults: Sequence[str] = ()


_LOST_WRITES = Recipe(10, ("reset", "half open", "reset", "cut", "half open"))
_RETRIES = Recipe(10, ("resets", "resets", "resets"))
_ZOMBIES = Recipe(4, ("zombie", "rebalances", "zombie", "rebalances"))
_ONLY_KILLS = Recipe(10)
_KILLS_AMID_WRITES = Recipe(2, ("mid-write", "mid-write"))

RECIPES: Mapping[str, Recipe] = {
    "position_before_ack": _KILLS_AMID_WRITES,
    "position_after_partial_flush": _LOST_WRITES,
    "false_ack_from_reused_connection": _RETRIES,
    "flush_abandoned_position_advanced": _LOST_WRITES,
    "delete_with_default_timestamp": _LOST_WRITES,
    "flush_without_snapshot": _ONLY_KILLS,
    "no_skip_rule": _ONLY_KILLS,
    "absence_by_wall_clock": _ONLY_KILLS,
    "delta_before_base": _ONLY_KILLS,
    "config_switched_by_wall_clock": _ONLY_KILLS,
    "put_without_timestamp": _ONLY_KILLS,
    "restored_without_rewind": Recipe(0, ("restore", "restore", "restore")),
    "generation_unchecked": Recipe(0, ("restore", "restore", "restore")),
    "recreated_topic_continued": Recipe(0, ("recreate",)),
    "commit_taken_as_truth": Recipe(2, ("rewound", "ahead")),
    "reset_to_latest": Recipe(2),
    "m_of_another_sink": Recipe(20),
    "base_from_stale_replica": _ZOMBIES,
    "archive_named_with_end": _ZOMBIES,
    "archive_overwrites": _ZOMBIES,
}
"""What can show where servers and consumers break. Not here: what needs a switch of plans, deduplication, a recorded
gap, a hole in the log, too little memory or a store that sees other bytes at an equal timestamp; and what another guard
holds there: a process that loses a claim, or whose registry changed, loses its partitions in the same second."""


@dataclass(frozen=True)
class Catch:
    """`check`: what noticed it; None: nothing did. The rest adds up over all rounds that it took."""

    bug: str
    check: str | None
    rounds: int
    kills: int
    faults: Mapping[str, int]
    seconds: float


def hunt(bug: str, recipe: Recipe, stack: Stack, nursery: Nursery, root: Path, rounds: int, seed: int) -> Catch:
    """Up to so many rounds of its recipe, each with the next seed."""
    began, kills = time.monotonic(), 0
    faults = dict.fromkeys(recipe.faults, 0)
    for number in range(rounds):
        folder = root / f"{bug}-{number}"
        played = Round(stack, nursery, folder, seed + number, bug=bug, patience=PATIENCE).run(
            recipe.kills, list(recipe.faults)
        )
        kills += played.kills
        for fault in recipe.faults:
            faults[fault] += 1
        if played.failure is not None:
            (folder / "noticed.txt").write_text(played.failure, encoding="utf-8")
            return Catch(bug, played.check, number + 1, kills, faults, time.monotonic() - began)
    return Catch(bug, None, rounds, kills, faults, time.monotonic() - began)


def table(catches: Sequence[Catch]) -> str:
    """Markdown."""
    lines = ["| bug | rounds | kills | noticed by |", "|---|---:|---:|---|"]
    lines += [f"| {c.bug.replace('_', ' ')} | {c.rounds} | {c.kills} | {c.check or 'nothing'} |" for c in catches]
    return "\n".join(lines)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--bug", "bugs", multiple=True, type=click.Choice(sorted(RECIPES)), help="Only this. Default: each.")
@click.option("--rounds", default=4, show_default=True, help="Rounds to each at most.")
@click.option("--seed", default=1, show_default=True, help="Of the first round to each.")
@click.option(
    "--stack-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="A stack that runs. Default: one of its own, with 3 brokers.",
)
@click.option("--json", "as_json", type=FILE, metavar="FILE", help="Save what was caught, after every bug.")
@click.option(
    "--table", "saved", multiple=True, type=FILE, metavar="FILE", help="Only put saved catches into the docs."
)
def main(
    bugs: tuple[str, ...],
    rounds: int,
    seed: int,
    stack_dir: Path | None,
    as_json: Path | None,
    saved: tuple[Path, ...],
) -> None:
    """Let storms rage over consumers with a seeded bug; exit with 1 if one is not noticed."""
    if saved:
        read = [Catch(**one) for file in saved for one in json.loads(file.read_text(encoding="utf-8"))]
        put_between(DOCS, BEGIN, END, f"{table(read)}\n")
        return
    if not trials.ENABLED:
        raise click.ClickException("This build has no seeded bugs: run `make storm-bugs`.")
    console, caught = Console(stderr=True), list[Catch]()
    root = Path(tempfile.mkdtemp(prefix="flurry-storm-bugs-"))
    with ExitStack() as cleanup:
        stack = Stack.at(stack_dir) if stack_dir is not None else own_stack(root, cleanup, console)
        nursery = Nursery()
        cleanup.callback(nursery.close)
        for bug in bugs or RECIPES:
            catch = hunt(bug, RECIPES[bug], stack, nursery, root, rounds, seed)
            caught.append(catch)
            said = f"noticed by {catch.check}" if catch.check else "NOT NOTICED"
            console.print(f"{bug}: {said}, {catch.rounds} rounds, {catch.seconds:.0f} s", highlight=False)
            if as_json is not None:
                as_json.write_text(json.dumps([asdict(one) for one in caught], indent=1) + "\n", encoding="utf-8")
    click.echo(table(caught))
    sys.exit(any(catch.check is None for catch in caught))


if __name__ == "__main__":
    main()
