"""Samples put together from the manifest and from the status of several consumers, one after the other."""

from __future__ import annotations

import json
from pathlib import Path

from flurry_fast.demo.run import per_second
from flurry_fast.demo.watch import Kill, Sample, Watch
from flurry_fast.demo.workspace import Workspace, prepare


def _say(
    workspace: Workspace, pid: int, records: int, committed: dict[str, int | None], phase: str = "running"
) -> None:
    partitions = {number: {"next": offset, "committed": offset} for number, offset in committed.items()}
    status = {"pid": pid, "phase": phase, "records": records, "archive_files": 1, "partitions": partitions}
    workspace.consumer_status.write_text(json.dumps(status))


def test_adds_up_what_consumers_did_before_they_were_killed(tmp_path: Path) -> None:
    workspace = prepare(tmp_path / "run")
    watch = Watch(workspace)
    assert watch.sample(1).sent == 0

    workspace.manifest.write_text('{"key":"A|0"}\n{"key":"B|0"}\n{"key":"A|1"}\n{"key":"00c0ffee"}\n{"key":"hal')
    _say(workspace, 1, 4, {"0": 2, "1": None})
    sample = watch.sample(1)
    assert (sample.sent, sample.absorbed, sample.durable, sample.lag, sample.up) == (4, 4, 2, 2, True)
    assert watch.busiest(5) == [("A", 2), ("B", 1)]

    # Killed: its last word still stands there, but it is not the word of the one that runs.
    sample = watch.sample(2)
    assert (sample.absorbed, sample.durable, sample.up) == (4, 2, False)

    _say(workspace, 2, 0, {}, "starting")
    assert not watch.sample(2).up
    _say(workspace, 2, 2, {"0": 1, "1": 2})  # reads again from before, and commits where it was
    sample = watch.sample(2)
    assert (sample.absorbed, sample.durable, sample.lag, sample.files, sample.up) == (6, 4, 0, 2, True)


def test_the_portal_speaks_for_itself_only(tmp_path: Path) -> None:
    workspace = prepare(tmp_path / "run")
    watch = Watch(workspace)
    assert watch.portal_status(7) == {}
    workspace.portal_status.write_text(json.dumps({"pid": 7, "phase": "running", "open": 3, "address": "x:1"}))
    sample = watch.sample(None, 7)
    assert (sample.portal, sample.connections) == (True, 3)
    for other in (8, None):  # of a portal that is gone
        sample = watch.sample(None, other)
        assert (sample.portal, sample.connections) == (False, 0)


def test_a_status_that_is_no_status_changes_nothing(tmp_path: Path) -> None:
    workspace = prepare(tmp_path / "run")
    watch = Watch(workspace)
    workspace.consumer_status.write_text('{"pid": 1, "rec')
    assert watch.sample(1).absorbed == 0


def _sample(at: float, absorbed: int) -> Sample:
    return Sample(at, 0, 0, absorbed, 0, 0, 0, 0, 0, up=True)


def test_seconds_of_a_run_with_a_kill() -> None:
    samples = [
        _sample(0.2, 0),
        _sample(0.5, 0),
        _sample(1.5, 10),
        _sample(2.25, 30),
        _sample(3.9, 30),
        _sample(4.0, 30),
    ]
    assert per_second(samples, [Kill(3.5, 1, 0)]) == [(5.0, False), (20.0, False), (5.0, False), (0.0, True)]
    assert per_second([], []) == []
