"""Torture: real processes are killed, stopped and failed at every fail point, and must end exact every time.

`python -m torture`, as `make torture` runs it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

import click
from torture import report as reports
from torture.driver import Driver
from torture.places import ACTIONS, PLACES, Cell
from torture.report import Report
from torture.schedule import Deck
from torture.screen import Screen

from flurry_fast import trials

MEMORY = Path("/dev/shm")  # kills are tried here, not power cuts: a disk would only cost time
DOCS = Path("docs/exactness.md")
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True, help="Start no episode after so long.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Seeds of every action at every point; then end.")
@click.option("--seed", type=int, default=1, show_default=True, help="The first of them.")
@click.option("--points", default="*", show_default=True, metavar="GLOB", help="Only these fail points.")
@click.option("--actions", default=",".join(ACTIONS), show_default=True, help="Only these actions.")
@click.option("--lanes", type=int, default=4, show_default=True, help="Episodes at a time; most of one is waiting.")
@click.option("--json", "as_json", type=FILE, metavar="FILE", help="Save the report.")
@click.option("--replay", type=FILE, metavar="FILE", help="Play an episode.json again.")
@click.option("--bug", metavar="NAME", help="Put a seeded bug into the consumers: it must be noticed.")
@click.option("--table", multiple=True, type=FILE, metavar="FILE", help="Only put saved reports into the docs.")
def main(
    minutes: float,
    seeds: int,
    seed: int,
    points: str,
    actions: str,
    lanes: int,
    as_json: Path | None,
    replay: Path | None,
    bug: str | None,
    table: tuple[Path, ...],
) -> None:
    """Kill, stop and fail real processes at every fail point; everything must end exact every time.

    Goes on until every point has met every action with so many seeds, or time is over. Exit 1 if anything was not
    exact, or an injection was never met.
    """
    if table:
        reports.write_into(DOCS, [reports.load(file) for file in table])
        return
    if not trials.ENABLED:
        raise click.ClickException("This build has no fail points: run `make torture`.")
    if replay is not None:
        plan = json.loads(replay.read_text(encoding="utf-8"))
        cells, bug, first = [Cell(**cell) for cell in plan["cells"]], plan["bug"], plan["seed"]
        deck = Deck.of_one_hand(cells)
    else:
        wanted = [point for point in PLACES if fnmatch(point, points)]
        cells = [
            Cell(point, action, number)
            for number in range(seed, seed + seeds)
            for point in wanted
            for action in PLACES[point].actions
            if action in actions.split(",")
        ]
        deck, first = Deck(cells, seed), seed * 10_000
    report = Report(list(dict.fromkeys((cell.point, cell.action) for cell in cells)))
    root = Path(tempfile.mkdtemp(prefix="flurry-torture-", dir=MEMORY if MEMORY.is_dir() else None))
    deadline = time.monotonic() + minutes * 60
    screen = Screen(report, lanes, deadline)
    with screen:
        Driver(report, deck, lanes, root, screen, bug).run(first, deadline)
    if as_json is not None:
        report.save(as_json)
    screen.conclude()
    if not report.failures:
        shutil.rmtree(root)
    sys.exit(bool(report.failures) or report.covered() < len(report.cells))


if __name__ == "__main__":
    main()
