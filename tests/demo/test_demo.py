"""A short demo, end to end, as a user runs it; and a store that was tampered with is found out."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from flurry_fast._core import Plan
from flurry_fast.demo.perform import CAPTURES
from flurry_fast.demo.tally import Tally, Target
from flurry_fast.demo.verdict import Audit, judge
from flurry_fast.demo.workspace import Workspace
from flurry_fast.verify.plan import CountedPlan

from .tampering import add_one

PLAN = (files("flurry_fast") / "plans" / "default.toml").read_text(encoding="utf-8")
SECONDS, RATE = 8, 400


@dataclass(frozen=True)
class Finished:
    """A demo that is over."""

    workspace: Workspace
    code: int
    output: str
    verdict: dict[str, Any]


def _flurry_fast(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flurry_fast", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=240,
        env=_env(),
    )


def _env() -> dict[str, str]:
    """So that a child finds what this process runs, from whatever folder."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in [str(Path.cwd()), *sys.path] if path)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Eight seconds of traffic with one kill -9, in a folder whose name needs quoting."""
    base = tmp_path_factory.mktemp("demo")
    root, verdict = base / "a run", base / "verdict.json"
    done = _flurry_fast(
        *("demo", "--dir", str(root), "--seconds", str(SECONDS), "--rate", str(RATE), "--kills", "1"),
        *("--apps", "50", "--partitions", "3", "--json", str(verdict)),
        cwd=base,
    )
    assert verdict.exists(), done.stdout + done.stderr
    return Finished(Workspace(root), done.returncode, done.stdout, json.loads(verdict.read_text()))


def test_every_counter_is_exact_after_a_kill(finished: Finished) -> None:
    assert finished.code == 0, finished.output
    assert finished.verdict["exact"] is True
    found = finished.verdict["comparison"]
    assert found["differences"] == []
    assert found["reports"] == SECONDS * RATE + 245  # the captures, too
    assert found["counters"] > 10_000
    assert found["apps"] > 30
    assert len(finished.verdict["kills"]) == 1
    assert finished.verdict["audit"]["passed"] is True
    assert "are exact" in finished.output
    assert "kill -9 of consumer" in finished.output


def test_the_devices_were_answered_by_the_portal(finished: Finished) -> None:
    assert "devices post to the portal at http://127.0.0.1:" in finished.output
    portal = json.loads(finished.workspace.portal_status.read_text())
    assert portal["records"] == finished.verdict["comparison"]["reports"]
    assert (portal["phase"], portal["not_stored"], portal["open"]) == ("ended", {}, 0)


def test_the_captures_came_first(finished: Finished) -> None:
    captures = {google_crc32c.value(path.read_bytes()) for path in CAPTURES.glob("*/*.bin")}
    lines = [json.loads(line) for line in finished.workspace.manifest.read_bytes().splitlines()]
    real = [(line["partition"], line["offset"]) for line in lines if line["crc32c"] in captures]
    assert len(real) == 245
    for partition in {line["partition"] for line in lines}:
        offsets = sorted(offset for owner, offset in real if owner == partition)
        # Those overtake each other that post at the same time; by a second at most.
        assert max(offsets, default=0) < len(offsets) + RATE


def test_the_charts_are_pictures(finished: Finished) -> None:
    for chart in finished.workspace.charts:
        assert chart.read_bytes().startswith(b"\x89PNG\r\n")
        assert chart.stat().st_size > 10_000


def test_nothing_is_left_running(finished: Finished) -> None:
    assert not finished.workspace.broker_file.exists()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        assert os.fsencode(finished.workspace.root) not in command, command


def test_the_commands_it_names_work(finished: Finished) -> None:
    lines = finished.output.split("Where to look next:")[1].splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("  ") and not line.startswith("  #")][1:]
    assert len(commands) == 6
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False, cwd=finished.workspace.root.parent, env=_env())
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert done.stdout.strip(), command


def test_finds_one_counter_that_was_changed_by_one(finished: Finished) -> None:
    workspace, plan = finished.workspace, CountedPlan.parse(PLAN)
    incarnation = add_one(workspace.store, plan)
    with Tally(workspace.manifest, workspace.manifest_complete, PLAN) as tally:
        verdict = judge(
            tally, Target(f"sqlite:{workspace.store}", Plan.parse(PLAN).id, incarnation), Audit(True, ""), []
        )
    assert not verdict.exact
    assert verdict.comparison.wrong == 1
    assert "counted were" in "\n".join(verdict.sentences())
    audited = _flurry_fast("audit", "--config", str(workspace.config))
    assert audited.returncode == 1, audited.stdout


def test_refuses_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = _flurry_fast("demo", "--dir", str(tmp_path))
    assert done.returncode == 2
    assert "no demo made" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"
