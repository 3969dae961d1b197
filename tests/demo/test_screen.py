"""What one sees: on a terminal and off it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flurry_fast.demo.screen import LiveScreen, Picture, PlainScreen, draw
from flurry_fast.demo.watch import Sample

PICTURE = Picture(
    phase="Sending",
    done=0.42,
    sample=Sample(12.0, 24_000, 22_500, 25_000, 300_000, 7, 11, 9, 1_234, up=True, portal=True, connections=37),
    reports_per_second=1_999.6,
    data_points_per_second=26_000.0,
    rates=[(0.0, False), (1_000.0, False), (500.0, True), (2_000.0, False)],
    apps=[("KEY[red]", 321)],
    kills=["8.1 s"],
)


def test_the_live_view_shows_every_figure() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(draw(PICTURE))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in (
        "Sending",
        "2,000",
        "26,000",
        "24,000",
        "22,500",
        "1,500",
        "1,234",
        "KEY[red]",
        "portal",
        "37",
        "8.1 s",
        "✗",
        "42%",
    ):
        assert expected in shown, expected


def test_the_live_view_starts_empty_and_leaves_the_terminal_in_order() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with LiveScreen(console) as screen:
        screen.phase("Starting [things]")
        screen.show(Picture())
        screen.show(PICTURE)
        screen.say("kill -9 of consumer 1")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "kill -9 of consumer 1" in shown
    assert "Starting [things]" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_plain_lines_come_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainScreen() as screen:
        screen.phase("Sending")
        screen.show(Picture())
        screen.show(PICTURE)
        screen.show(PICTURE)
        screen.say("something happened")
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3
    assert "lag 1,500" in shown[1]
    assert "11 flushes" in shown[1]
