"""A progress bar on standard error for a run that sends reports."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flurry_fast.agent.watch import State

_EVERY = 0.1


class Meter:
    """Shows reports, reports/s, MB/s and a note; does nothing where `shown` is False."""

    def __init__(self, total: int | None, *, shown: bool) -> None:
        """`total` reports are expected; None: nobody knows."""
        self._due = 0.0
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[note]}", style="yellow"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not shown,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, speed="", note="")

    def due(self) -> bool:
        """Whether it is time to show something again."""
        if self._progress.disable or time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + _EVERY
        return True

    def show(self, state: State) -> None:
        """How far the run is."""
        seconds = max(state.seconds, 1e-9)
        speed = f"{state.reports / seconds:,.0f} reports/s  {state.payload_bytes / seconds / 1e6:,.1f} MB/s"
        notes = [] if state.acked is None else [f"acked {state.acked:,}"]
        notes += [] if state.lag is None else [f"lag {state.lag:,}"]
        notes += [] if state.waiting_for is None else [f"waiting for {state.waiting_for}"]
        self._progress.update(self._task, completed=state.reports, speed=speed, note=", ".join(notes))

    def __enter__(self) -> Meter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
