"""Stacks of real servers: the one that tests share, and one of HDFS alone that tests may break.

Each is another process's child: should this one die, its standard input ends, and it takes the servers down.
`FLURRY_FAST_STACK_DIR` names a shared one that is up already, and stays up (the inner loop). Without Java or Maven the
tests are skipped; where CI or FLURRY_FAST_REQUIRE_STACK is set they fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flurry_fast.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
GIVEN = "FLURRY_FAST_STACK_DIR"
REQUIRED = ("CI", "FLURRY_FAST_REQUIRE_STACK")
TIMEOUT = 1200  # seconds, for a test that may have to start it; the first time brings 240 MB of jars
_ATTEMPTS = 3  # others may take our ports before we do
_END_SECONDS = 120


SHARED = ("--hbase-root", "hdfs")
HDFS_ALONE = ("--no-kafka", "--no-hbase")


@contextmanager
def shared(folders: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack of all tests, which is up."""
    from flurry_fast.stack import Stack

    if os.environ.get(GIVEN):
        stack = Stack.at(Path(os.environ[GIVEN]))
        status = stack.status()
        if not status.ok:
            pytest.fail(f"The stack in {stack.folder.root} ({GIVEN}) is not up: {status.parts}")
        yield stack
        return
    with running(folders, *SHARED) as stack:
        yield stack


@contextmanager
def running(folders: pytest.TempPathFactory, *options: str, root: Path | None = None) -> Iterator[Stack]:
    """A stack with these options of `stack up`, which is up, in a folder under `root`, or in a temporary one."""
    from flurry_fast.stack import Stack

    refuse_without_tools()
    for attempt in range(_ATTEMPTS):
        folder = (root / f"{attempt}" if root else folders.mktemp("stack", numbered=True)) / "stack"
        owner = start(folder, *options)
        assert owner.stdout is not None
        line = owner.stdout.readline()
        if line:
            break
        _, said = owner.communicate()
        if attempt + 1 == _ATTEMPTS or " taken by something else" not in said:
            pytest.fail(f"The stack did not start: {said}")
    try:
        yield Stack.at(Path(json.loads(line)["dir"]))
    finally:
        owner.communicate(timeout=_END_SECONDS)  # ends its input


def refuse_without_tools() -> None:
    """Skips, or fails, where the stack can not run."""
    from flurry_fast.stack import jars, machine
    from flurry_fast.stack.options import PARTS

    problems = [machine.java_problem(machine.find_java(), PARTS), machine.maven_problem(jars.default_cache(), PARTS)]
    lacks = " ".join(problem for problem in problems if problem is not None)
    if not lacks:
        return
    if any(os.environ.get(name) for name in REQUIRED):
        pytest.fail(f"The tests with real servers are required here. {lacks}")
    pytest.skip(f"NOT TESTED with real Kafka, HDFS and HBase. {lacks}")


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`flurry-fast stack up`, which prints one line when all of it is usable and ends when its input does."""
    from flurry_fast.stack import free_base

    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "flurry_fast", "stack", "up", "--json", "--quick", "--until-eof"),
            *("--dir", str(folder), "--base-port", str(free_base()), *options),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # little, and all of it before the line
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,  # Ctrl-C ends the tests, and they end it
    )
