"""Thousands of schedules through the product; whatever can happen and whatever is checked must have occurred."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCHEDULES = int(os.environ.get("FLURRY_FAST_SCHEDULES", "8000"))
ENOUGH = 4000  # schedules in which every event and every check occurs

EVENTS = """
produce, spawn, died at the start, refused at the start, kill, leave, rebalance, revoked, lost, zombie, evict, shed,
call failed, answer lost, part of a write, put delayed, put repeated later, late write, watermarks failed,
identity not told, killed before a call, killed after a call, ended: registry mismatch, ended: gave up, claim,
claim lost, file call failed, file answer lost, killed before a file call, killed after a file call, archive stalls,
archive is back, archive down, real files, retention, overrun, offset out of range, recreated, truncated, compacted,
drained, gap recorded, gap recorded: failed, gap recorded: killed, positions reset, positions reset: failed,
positions reset: killed, fenced, fenced: failed, backup begun, region copied, restored, control table lost, switched,
switched: failed, switched: killed, switch taken back, plan opened, sliced flushes
"""
CHECKS = """
truth, explicit-timestamp, no-delete, closed-plan, dirty-only, base-before-count, one-snapshot, plan-and-log-identity,
registry-read-before-put, registry-read-before-claim, ack-after-reply, position-after-ack, position-covers,
position-crc, highest-bucket, highest-time, commit-not-above-positions, archive-origin, archive-contiguous,
archive-records, archive-gap, archive-deep, no-needless-stop, no-needless-end, command-finishes,
switch-at-one-offset, progress,
final-counters, final-archive, drained-is-durable, nothing-after-failure
"""


def run(*arguments: str) -> dict[str, Any]:
    """`python -m model` with these arguments; its report."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-P", "-m", "model", "--json", *arguments]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.timeout(1800)
def test_every_schedule_keeps_every_invariant_and_everything_occurs() -> None:
    report = run("--schedules", str(SCHEDULES), "--jobs", "2")
    assert report["failures"] == []
    assert report["schedules"] == SCHEDULES
    if SCHEDULES >= ENOUGH:
        assert _names(EVENTS) - set(report["events"]) == set()
        assert _names(CHECKS) - set(report["checks"]) == set()


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.replace("\n", " ").split(", ")}
