"""What people see while a stack starts."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flurry_fast.cli.stack_progress import StackProgress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_now_and_then_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with StackProgress(Console(file=io.StringIO()), clock) as progress:
        progress.resolving("kafka", 0, 47, 0)
        for size in range(1, 5):
            clock.now += 2
            progress.resolving("kafka", 0, 47, size * 10_000_000)
        progress.resolved("kafka", 47, 45_000_000)
        progress.launched("kafka1")
        progress.waiting("kafka", "kafka1: nobody listens yet")
        clock.now += 6
        progress.waiting("kafka", "kafka1: nobody listens yet")
        progress.ready("kafka", 4.25)
    assert capsys.readouterr().err.splitlines() == [
        "Kafka: asking Maven for the jars",
        "Kafka: 30 MB downloaded",
        "Kafka: 47 jars (45 MB) are in the cache.",
        "Kafka is starting (kafka1: nobody listens yet)",
        "Kafka is ready after 4.2 s.",
    ]


def test_bars_on_a_terminal() -> None:
    written = io.StringIO()
    with StackProgress(Console(file=written, force_terminal=True, width=120)) as progress:
        progress.resolving("hbase", 93, 186, 100)
        progress.resolved("hbase", 186, 124_000_000)
        progress.waiting("hbase", "hmaster: still starting")
        progress.ready("hbase", 14.0)
    assert "HBase is ready after 14.0 s." in written.getvalue()
