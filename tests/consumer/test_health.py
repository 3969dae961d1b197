"""Health means progress; every way to make none is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flurry_fast.consumer.health import problems
from flurry_fast.consumer.state import LoopState, PartitionState
from flurry_fast.sinks.base import SinkStatus

SINK = SinkStatus("counters", False, 0, None, None, None, 0, 0)
PARTITION = PartitionState(next=10, committed=10, durable={"counters": 10}, stopped={}, waiting_for=None)
GOOD = LoopState("running", 1000.0, 0, 5, 5, sinks=(SINK,), partitions={0: PARTITION}, member=True, last_record=999.0)


def told(state: LoopState, now: float = 1001.0, lag: int | None = 0) -> str:
    return " ".join(problems(state, now, 60.0, {0: lag}))


def test_progress_is_healthy() -> None:
    assert told(GOOD) == ""
    assert told(replace(GOOD, member=None)) == ""
    assert told(replace(GOOD, sinks=(replace(SINK, failing_since=990.0, oldest_unwritten=960.0),)), lag=5) == ""
    assert told(replace(GOOD, last_record=1.0)) == ""  # an idle log
    assert told(replace(GOOD, phase="draining"), now=1100.0) == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (replace(GOOD, turned=900.0), "loop has not turned for 101 s"),
        (replace(GOOD, commits_failing_since=900.0), "No commit was confirmed for 101 s"),
        (replace(GOOD, member=False), "not a steady member"),
        (replace(GOOD, sinks=(replace(SINK, failing_since=900.0, last_error="disk"),)), "failing for 101 s: disk"),
        (replace(GOOD, sinks=(replace(SINK, oldest_unwritten=900.0),)), "waits for 101 s"),
        (replace(GOOD, partitions={0: replace(PARTITION, stopped={"archive": "cut"})}), "stopped for the archive: cut"),
        (replace(GOOD, partitions={0: replace(PARTITION, waiting_for="locked")}), "can not be started: locked"),
        (replace(GOOD, last_record=900.0), "none were taken"),
    ],
)
def test_no_progress_is_told(state: LoopState, words: str) -> None:
    assert words in told(state, lag=7)
