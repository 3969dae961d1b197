"""How far a stack is, on standard error: bars where that is a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from flurry_fast.stack.options import NAMES, PartName

LINE_SECONDS = 5.0  # least time between two plain lines on what is waited for


class StackProgress:
    """flurry_fast.stack.Progress for people."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console if console is not None else Console(stderr=True)
        self._clock = clock
        self._said = clock()
        self._tasks: dict[str, TaskID] = {}
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)

    def __enter__(self) -> StackProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def resolving(self, part: PartName, jars: int, of: int, downloaded: int) -> None:
        """Progress of the first download."""
        text = "asking Maven for the jars"
        if jars or downloaded:
            text = f"{jars} of about {of} jars" if jars else f"{downloaded / 1e6:,.0f} MB downloaded"
        self._show(part, f"{NAMES[part]}: {text}", jars or None, of if jars else None, often=bool(jars or downloaded))

    def resolved(self, part: PartName, jars: int, size: int) -> None:
        """The jars are there."""
        self._say(part, f"{NAMES[part]}: {jars} jars ({size / 1e6:,.0f} MB) are in the cache.")

    def launched(self, name: str) -> None:
        """Processes are said together with what is waited for."""

    def waiting(self, part: PartName, reason: str) -> None:
        """Why it is not usable yet."""
        self._show(part, f"{NAMES[part]} is starting ({reason})", None, None, often=True)

    def ready(self, part: PartName, seconds: float) -> None:
        """It is."""
        self._say(part, f"{NAMES[part]} is ready after {seconds:.1f} s.")

    def _show(self, part: PartName, text: str, done: int | None, total: int | None, *, often: bool) -> None:
        if self._bar is not None:
            if part not in self._tasks:
                self._tasks[part] = self._bar.add_task(text, total=total)
            self._bar.update(self._tasks[part], description=text, completed=done, total=total)
        elif not often or self._clock() - self._said >= LINE_SECONDS:
            self._said = self._clock()
            click.echo(text, err=True)

    def _say(self, part: PartName, text: str) -> None:
        if self._bar is None:
            click.echo(text, err=True)
            return
        if part in self._tasks:
            self._bar.remove_task(self._tasks.pop(part))
        self._console.print(text, highlight=False)
