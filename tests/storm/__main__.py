"""A storm over real servers: they and the consumers are killed, stopped and misled, and everything must end exact.

`python -m storm`, as `make storm` runs it.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path

import click
from rich.console import Console
from storm import report as reports
from storm.ground import DOCS, FILE, own_stack
from storm.report import Report
from storm.round import Round
from storm.weather import FAULTS
from torture.nursery import Nursery

from flurry_fast import trials
from flurry_fast.stack import Stack


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=500, show_default=True, help="`kill -9` of consumers, in all.")
@click.option("--times", default=5, show_default=True, help="How often every other fault comes, in all.")
@click.option("--rounds", default=10, show_default=True, help="Topics, tables and archives, one after the other.")
@click.option("--minutes", type=float, help="Begin no round after so long.")
@click.option("--seed", default=1, show_default=True, help="Of the first round; the others follow.")
@click.option(
    "--faults", "pattern", default="*", show_default=True, metavar="GLOB,...", help="Only these: " + ", ".join(FAULTS)
)
@click.option(
    "--stack-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="A stack that runs. Default: one of its own, with 3 brokers.",
)
@click.option("--bug", metavar="NAME", help="Put a seeded bug into the consumers: it must be noticed.")
@click.option("--json", "as_json", type=FILE, metavar="FILE", help="Save the report, after every round.")
@click.option("--table", multiple=True, type=FILE, metavar="FILE", help="Only put saved reports into the docs.")
def main(
    kills: int,
    times: int,
    rounds: int,
    minutes: float | None,
    seed: int,
    pattern: str,
    stack_dir: Path | None,
    bug: str | None,
    as_json: Path | None,
    table: tuple[Path, ...],
) -> None:
    """Break servers under running consumers; exit with 1 if anything is not exact at the end of a round."""
    if table:
        reports.write_into(DOCS, [reports.load(file) for file in table])
        return
    if bug is not None and not trials.ENABLED:
        raise click.ClickException("This build has no seeded bugs: run `make storm`.")
    console, report = Console(stderr=True), Report()
    root = Path(tempfile.mkdtemp(prefix="flurry-storm-"))
    began = time.monotonic()
    with ExitStack() as cleanup:
        stack = Stack.at(stack_dir) if stack_dir is not None else own_stack(root, cleanup, console)
        nursery = Nursery()
        cleanup.callback(nursery.close)
        wanted = [
            name
            for name, fault in FAULTS.items()
            if any(fnmatch(name, word) for word in pattern.split(","))
            and name != "kill"
            and set(fault.needs) <= set(stack.names)
        ]
        hands = _deal(wanted * times, rounds, random.Random(seed))
        for number, faults in enumerate(hands):
            if minutes is not None and time.monotonic() - began > minutes * 60:
                break
            some = kills * (number + 1) // rounds - kills * number // rounds
            counted = Counter(faults)
            console.print(f"round {number + 1} of {rounds}: {some} kills, {dict(counted)}", highlight=False)
            played = Round(stack, nursery, root / f"round-{number}", seed + number, bug=bug, tell=_teller(console))
            report.add(played.run(some, faults))
            if as_json is not None:
                report.save(as_json)
            console.print(f"{(time.monotonic() - began) / 60:.1f} min: {report.sentence()}", highlight=False)
            if report.failures:
                break
    click.echo(report.table())
    for failure in report.failures:
        click.echo(f"NOT EXACT: {failure}", err=True)
    if not report.failures:
        shutil.rmtree(root)
    sys.exit(bool(report.failures))


def _deal(cards: list[str], rounds: int, draw: random.Random) -> list[list[str]]:
    """Shared evenly; the topic is made again at most once a round."""
    hands: list[list[str]] = [[] for _ in range(rounds)]
    for place, card in enumerate(sorted(cards)):
        hands[place % rounds].append(card)
    draw.shuffle(hands)
    return hands


def _teller(console: Console) -> Callable[[str], None]:
    last = [time.monotonic()]

    def tell(what: str) -> None:
        if console.is_terminal or time.monotonic() - last[0] > 15:
            last[0] = time.monotonic()
            console.print(f"  {what}", highlight=False)

    return tell


if __name__ == "__main__":
    main()
