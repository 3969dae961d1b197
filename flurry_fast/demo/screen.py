"""What one sees of the demo: a live view on a terminal, plain progress lines anywhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flurry_fast.demo.watch import Sample

BARS = " ▁▂▃▄▅▆▇█"
PLAIN_EVERY = 2.0  # seconds between two progress lines
BUSIEST = 8


@dataclass
class Picture:
    """Everything the live view shows."""

    phase: str = "Starting"
    done: float = 0.0  # share of the present phase, 0 to 1
    sample: Sample | None = None
    reports_per_second: float = 0.0
    data_points_per_second: float = 0.0
    rates: list[tuple[float, bool]] = field(
        default_factory=list
    )  # (reports/s, whether a kill fell here), a second each
    apps: Sequence[tuple[str, int]] = ()  # busiest apps and the reports they sent
    kills: list[str] = field(default_factory=list)


class Screen(Protocol):
    """Shows a picture. Used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def phase(self, text: str) -> None:
        """What happens from now on."""

    def say(self, text: str) -> None:
        """Something that happened, worth a line that stays."""

    def show(self, picture: Picture) -> None:
        """The figures have changed."""

    def progress(self, done: float) -> None:
        """How much of the present phase is done, 0 to 1, where nothing else changes."""


class PlainScreen(contextlib.AbstractContextManager["PlainScreen"]):
    """Lines on standard output: for logs, pipes and --no-live."""

    def __init__(self) -> None:
        self._last = self._progress = float("-inf")

    def __exit__(self, *_: object) -> None:
        return None

    def phase(self, text: str) -> None:
        click.echo(f"== {text}")

    def say(self, text: str) -> None:
        click.echo(f"   {text}")

    def show(self, picture: Picture) -> None:
        sample = picture.sample
        if sample is None or sample.at - self._last < PLAIN_EVERY:
            return
        self._last = sample.at
        click.echo(
            f"{sample.at:5.0f} s {picture.done:4.0%}  sent {sample.sent:,}  durable {sample.durable:,}  "
            f"lag {sample.lag:,}  {picture.reports_per_second:,.0f} reports/s  "
            f"{picture.data_points_per_second:,.0f} data points/s  "
            f"{sample.flushes:,} flushes  {sample.files:,} files"
        )

    def progress(self, done: float) -> None:
        now = time.monotonic()
        if now - self._progress >= PLAIN_EVERY:
            self._progress = now
            click.echo(f"   {done:4.0%}")


class LiveScreen(contextlib.AbstractContextManager["LiveScreen"]):
    """A view that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._picture = Picture()

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def phase(self, text: str) -> None:
        self._picture.phase = text
        self._live.console.print(Text(f"• {text}", style="bold"))

    def say(self, text: str) -> None:
        self._live.console.print(Text(f"  {text}"))

    def show(self, picture: Picture) -> None:
        picture.phase = self._picture.phase
        self._picture = picture
        self._live.update(draw(picture))

    def progress(self, done: float) -> None:
        self._picture.done = done
        self._live.update(draw(self._picture))


def draw(picture: Picture) -> RenderableType:
    """The live view of a picture."""
    body = Table.grid(padding=(0, 4), expand=True)
    body.add_column(ratio=3)
    body.add_column(ratio=2)
    body.add_row(_figures(picture), _apps(picture.apps))
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(width=5, justify="right")
    bar.add_row(ProgressBar(total=1.0, completed=picture.done), f"{picture.done:.0%}")
    parts: list[RenderableType] = [body, Text(), _spark(picture.rates), bar]
    return Panel(
        Group(*parts), title=Text(f"flurry_fast  {picture.phase}", style="bold"), title_align="left", padding=(1, 2)
    )


def _figures(picture: Picture) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right", min_width=12)
    table.add_column(style="dim")
    table.add_column(justify="right", min_width=9)
    sample = picture.sample
    if sample is None:
        return table
    state = Text("running", style="green") if sample.up else Text("starting", style="bold red")
    portal = Text("running", style="green") if sample.portal else Text("not running", style="dim")
    table.add_row("devices posting", f"{sample.connections:,}", "portal", portal)
    table.add_row("reports/s", f"[bold]{picture.reports_per_second:,.0f}", "consumer", state)
    table.add_row("data points/s", f"[bold]{picture.data_points_per_second:,.0f}", "blocks held", f"{sample.blocks:,}")
    table.add_row("answered with 200", f"{sample.sent:,}", "counter flushes", f"{sample.flushes:,}")
    table.add_row("durable", f"{sample.durable:,}", "archive files", f"{sample.files:,}")
    table.add_row("lag, reports", f"{sample.lag:,}", "unreadable", f"{sample.unreadable:,}")
    for kill in picture.kills:
        table.add_row(Text("kill -9", style="bold red"), kill, "", "")
    return table


def _apps(apps: Sequence[tuple[str, int]]) -> Table:
    table = Table(box=None, padding=(0, 1), title="busiest apps", title_style="dim", title_justify="left")
    table.add_column("app", style="cyan", no_wrap=True)
    table.add_column("reports sent", justify="right")
    for name, reports in apps[:BUSIEST]:
        table.add_row(Text(name), f"{reports:,}")
    return table


def _spark(rates: Sequence[tuple[float, bool]]) -> Text:
    """Reports/s, a character each second, with a red cross where the consumer was killed."""
    shown = rates[-60:]
    most = max((rate for rate, _ in shown), default=0.0) or 1.0
    line = Text("reports/s  ", style="dim")
    for rate, killed in shown:
        if killed:
            line.append("✗", style="bold red")
        else:
            line.append(BARS[round(rate / most * (len(BARS) - 1))], style="green")
    return line
