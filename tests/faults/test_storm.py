"""A slice of the storm (`make storm`): real servers and consumers are killed and misled, and all ends exact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flurry_fast.stack import Stack

from .. import trial_build

ROOT = Path(__file__).parents[2]
FAULTS = "zombie,rebalances,delay,cut,half open,mid-write,gateway,DataNode,rewound,restore,recreate"


@pytest.mark.timeout(1500)
def test_a_round_ends_exact(stack: Stack) -> None:
    words = ["--kills", "8", "--times", "1", "--rounds", "1", "--faults", FAULTS]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "storm", "--stack-dir", str(stack.folder.root), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every counter was exact" in done.stdout
    assert done.stdout.count("| 1 |") == len(FAULTS.split(","))


@pytest.mark.timeout(600)
def test_a_seeded_bug_is_noticed(stack: Stack) -> None:
    words = ["--stack-dir", str(stack.folder.root), "--bug", "position_before_ack"]
    done = trial_build.run(["-m", "storm.hunt", *words], ROOT / "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| position before ack | " in done.stdout, done.stdout
