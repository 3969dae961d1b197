"""What is seen of it: a live picture on a terminal, else a line now and then; the table at the end."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from torture.places import ACTIONS, PLACES
from torture.report import Report

LINE_SECONDS = 15.0


class Screen:
    """Use it as a context; `show` after every change."""

    def __init__(self, report: Report, lanes: int, deadline: float) -> None:
        """`deadline`: monotonic; no episode is started after it."""
        self._report, self._deadline = report, deadline
        self._doing = dict.fromkeys(range(lanes), "starting")
        self._console = Console()
        live = self._console.is_terminal
        self._live = Live(console=self._console, refresh_per_second=5, transient=True) if live else None
        self._said = time.monotonic()

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, lane: int, doing: str, waiting: int) -> None:
        """`doing`: of that lane. `waiting`: injections that no episode has yet."""
        self._doing[lane] = doing
        report, left = self._report, max(0.0, self._deadline - time.monotonic())
        line = (
            f"{report.points_covered()} of {len(report.points)} points, {report.covered()} of {len(report.cells)} of"
            f" their actions; {report.injections:,} injections in {report.episodes} episodes,"
            f" {'NOT EXACT' if report.failures else 'all exact so far'}; {waiting:,} to go, {left / 60:.1f} min left"
        )
        if self._live is not None:
            lanes = Table.grid(padding=(0, 2))
            for number, what in self._doing.items():
                lanes.add_row(f"{number + 1}", what)
            self._live.update(Group(line, ProgressBar(len(report.cells), report.covered()), lanes))
        elif time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            self._console.print(line, highlight=False, soft_wrap=True)

    def conclude(self) -> None:
        """The report, for people."""
        report, console = self._report, self._console
        table = Table("point", *ACTIONS, title="Seeds that ended exact")
        for point in report.points:
            there = PLACES[point].actions
            table.add_row(point, *(str(len(report.passed[point, a])) if a in there else "" for a in ACTIONS))
        console.print(table)
        console.print(
            f"{report.injections:,} injections in {report.episodes} episodes and {report.seconds / 60:.1f} minutes:"
            f" {report.starts:,} consumers started, {report.reports:,} reports sent, {report.counters:,} counters"
            f" compared. {report.missed:,} times an injection did not come to pass and was dealt again.",
            highlight=False,
            soft_wrap=True,
        )
        for failure in report.failures:
            console.print(f"NOT EXACT: {failure['what']}", markup=False, highlight=False, soft_wrap=True)
            again = f'Again: make torture ARGS="--replay {failure["episode"]}"'
            console.print(again, markup=False, highlight=False, soft_wrap=True)
        if not report.failures:
            console.print(f"All {report.episodes} episodes ended exact.", highlight=False)
