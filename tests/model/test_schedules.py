"""Thousands of schedules through the product; every event and every check must occur, and failures must shrink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCHEDULES = int(os.environ.get("FLURRY_FAST_SCHEDULES", "20000"))


def run(*arguments: str) -> dict[str, Any]:
    """`python -m model` with these arguments; its report."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "model", "--json", *arguments],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.timeout(900)
def test_every_schedule_keeps_every_invariant() -> None:
    report = run("--schedules", str(SCHEDULES), "--jobs", "2")
    assert report["failures"] == []
    assert report["schedules"] == SCHEDULES
