"""The progress of a plan switch, on standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from flurry_fast.cli.operating import counted
from flurry_fast.consumer.state import LoopState
from flurry_fast.operations.switch import Step

MANY = 16  # partitions: with more, one bar stands for all of them


class SwitchProgress:
    """A line a step, and a bar a partition where standard error is a terminal."""

    def __init__(self, positions: Mapping[int, int]) -> None:
        """`positions`: where the old plan stands, by partition."""
        self._positions = positions
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._tasks: dict[int, TaskID] = {}
        self._waiting: dict[int, str] = {}

    def __enter__(self) -> SwitchProgress:
        self._progress.__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._progress.__exit__(*failure)

    def begin(self, ends: Mapping[int, int]) -> None:
        """The old plan is about to count up to `ends`."""
        if len(ends) > MANY:
            total = sum(end - self._positions.get(number, 0) for number, end in ends.items())
            task = self._progress.add_task(f"{len(ends)} partitions", total=total)
            self._tasks = dict.fromkeys(ends, task)
        else:
            for number, end in ends.items():
                total = end - self._positions.get(number, 0)
                self._tasks[number] = self._progress.add_task(f"partition {number}", total=total)

    def publish(self, state: LoopState) -> None:
        """How far the loop is."""
        done: dict[TaskID, int] = {}
        for number, task in self._tasks.items():
            partition = state.partitions.get(number)
            at = partition.durable.get("counters") if partition is not None else None
            start = self._positions.get(number, 0)
            done[task] = done.get(task, 0) + max(0, (start if at is None else at) - start)
            waiting = partition.waiting_for if partition is not None else None
            if waiting is not None and self._waiting.get(number) != waiting:
                self._waiting[number] = waiting
                click.echo(f"partition {number} waits: {waiting}", err=True)
        if state.phase != "stopped":  # its partitions have left by then
            for task, count in done.items():
                self._progress.update(task, completed=count)

    def tell(self, step: Step, ends: Mapping[int, int]) -> None:
        """A step is done."""
        words = {
            "close": "The old plan is closed: nobody counts until the new one is open.",
            "end": f"Where it ends is recorded, for {counted(len(ends), 'partition')}.",
            "run": "It has counted all of them.",
            "place": "The new plan stands there.",
            "open": "The new plan is open.",
        }
        self._console.print(words[step], highlight=False)
        for task in set(self._tasks.values()) if step == "run" else ():
            self._progress.update(task, completed=self._progress.tasks[task].total)
