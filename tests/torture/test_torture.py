"""A slice of the torture that fits into a run of all tests; a bug that it must notice; what the docs say of it.

`FLURRY_FAST_TORTURE_MINUTES` makes the part that is not about kills longer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from crashes import crashed_in_python

from flurry_fast import trials

from .. import trial_build
from .places import ACTIONS, PLACES

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs/exactness.md"
MINUTES = os.environ.get("FLURRY_FAST_TORTURE_MINUTES", "0.7")


def torture(report: Path, *arguments: str) -> CompletedProcess[str]:
    done = trial_build.run(["-m", "torture", "--json", str(report), *arguments], TESTS)
    assert report.exists(), done.stderr
    return done


@pytest.mark.timeout(1200)
def test_everything_is_exact_after_a_kill_at_every_point(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = torture(report, "--actions", "kill", "--seeds", "1", "--minutes", "15")
    assert done.returncode == 0, done.stdout
    passed = json.loads(report.read_text())["passed"]
    assert passed == {point: {"kill": [1]} for point in trials.POINTS}


@pytest.mark.timeout(1200)
def test_everything_is_exact_after_what_else_there_is_time_for(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = torture(report, "--actions", "stop,raise,late", "--seeds", "1", "--minutes", MINUTES)
    found = json.loads(report.read_text())
    assert found["failures"] == [], done.stdout
    assert found["injections"] > 0


@pytest.mark.timeout(600)
def test_a_bug_is_noticed(tmp_path: Path) -> None:
    """A record that a stored block has is counted again: who starts anew after a crash between the two shows it."""
    report = tmp_path / "report.json"
    where = ["--points", "counters.position.before", "--actions", "kill", "--seeds", "4", "--lanes", "1"]
    done = torture(report, *where, "--bug", "no_skip_rule")
    assert done.returncode == 1, done.stdout
    what = json.loads(report.read_text())["failures"][0]["what"]
    assert "Not exact" in what or "equal timestamp" in what  # the count finds it, or the store before it


@pytest.mark.parametrize("ours", [True, False])
def test_a_crash_is_told_from_one_of_librdkafka(ours: bool) -> None:
    crash = "ctypes.string_at(1)"
    if not ours:  # a thread that Python knows nothing of jumps to where nothing is
        crash = "l.pthread_create(ctypes.byref(ctypes.c_ulong()), None, ctypes.c_void_p(1), None); time.sleep(60)"
    code = f"import ctypes, faulthandler, time; faulthandler.enable(); l = ctypes.CDLL(None); {crash}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == -signal.SIGSEGV
    assert crashed_in_python(done.stderr) is ours


def test_every_fail_point_has_a_place() -> None:
    assert sorted(PLACES) == sorted(trials.POINTS)


def test_the_docs_tell_of_every_point_and_action() -> None:
    """100 % covered, with at least 5 seeds: a point that is new asks for another long run."""
    rows = re.findall(r"^\| `([a-z.]+)` \|(.*)\|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    told = {point: [cell.strip() for cell in cells.split("|")] for point, cells in rows}
    for point, place in PLACES.items():
        seeds = dict(zip(ACTIONS, told[point], strict=True))
        assert {action for action, number in seeds.items() if number} == set(place.actions), point
        assert all(int(number) >= 5 for number in seeds.values() if number), point
