"""How far an audit is: a bar where standard error is a terminal, else a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flurry_fast.config.units import format_duration
from flurry_fast.verify.result import Column, PartitionAudit

LINE_SECONDS = 5.0  # least time between two plain lines


class AuditProgress:
    """verify.audit.Progress for people: records folded of all that will be, and which partition is at work."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console if console is not None else Console(stderr=True)
        self._clock = clock
        self._started = self._said = clock()
        self._done = self._finished = 0
        self._left: dict[Column, int] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True) if self._console.is_terminal else None
        self._task = None if self._bar is None else self._bar.add_task("reading blocks", total=None)

    def __enter__(self) -> AuditProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def planned(self, partitions: Sequence[PartitionAudit]) -> None:
        """So much will be folded of these."""
        self._left |= {partition.column: partition.to_fold for partition in partitions}
        self._show(None)

    def folded(self, partition: PartitionAudit, records: int) -> None:
        """So many records more."""
        self._done += records
        self._left[partition.column] -= records
        self._show(partition)

    def finished(self, partition: PartitionAudit) -> None:
        """Nothing more of this one: what was not folded of it never will be."""
        self._left.pop(partition.column, None)
        self._finished += 1
        self._show(partition)

    def _show(self, partition: PartitionAudit | None) -> None:
        total, partitions = self._done + sum(self._left.values()), self._finished + len(self._left)
        where = f"{self._finished} of {partitions} partitions"
        if partition is not None and partition.column in self._left:
            where = f"partition {partition.column.partition} ({self._finished + 1} of {partitions})"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=where, completed=self._done, total=total)
            return
        now = self._clock()
        if now - self._said < LINE_SECONDS:
            return
        self._said = now
        left = ""
        if self._done:
            seconds = (now - self._started) * (total - self._done) / self._done
            left = f", about {format_duration(float(max(1, round(seconds))))} left"
        click.echo(f"audit: {where}: {self._done:,} of {total:,} records folded{left}", err=True)
