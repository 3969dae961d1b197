"""A real HDFS whose processes a test may kill; makes the helpers of the archive's tests importable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for folder in (Path(__file__).parent, Path(__file__).parent.parent / "archive"):
    sys.path.insert(0, str(folder))

SCRIPT, FOLDER = "FLURRY_FAST_STACK_SCRIPT", "FLURRY_FAST_STACK_DIR"


class HdfsStack:
    """A running stack of a NameNode (`nn`) and DataNodes (`dn1`, `dn2`) that nobody else needs."""

    def __init__(self, script: str, folder: str) -> None:
        self._script, self._folder = script, folder
        self.hdfs: str = self._status()["hdfs"]

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, self._script, *arguments, "--dir", self._folder],
            capture_output=True, text=True, timeout=240, check=True,
        )  # fmt: skip
        return done.stdout

    def _status(self) -> Any:
        return json.loads(self._run("status"))

    def kill(self, name: str) -> None:
        """With SIGKILL; nothing to do if it is down."""
        self._run("kill", name)

    def start(self, name: str) -> None:
        """Start it again, and wait until it works; nothing to do if it is up."""
        self._run("start", name)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self._status()["processes"][name]["pid"], number)

    def configure(self, **properties: str) -> None:
        """Set properties of hdfs-site.xml (`__` for a full stop); none: as it was.

        They count for processes that are started from now on.
        """
        file = Path(self._folder) / "conf/hdfs/hdfs-site.xml"
        saved = file.with_suffix(".saved")
        if saved.exists():
            saved.replace(file)
        if properties:
            text = file.read_text()
            saved.write_text(text)
            added = "".join(
                f"<property><name>{name.replace('__', '.')}</name><value>{value}</value></property>"
                for name, value in properties.items()
            )
            file.write_text(text.replace("</configuration>", f"{added}</configuration>"))

    def admin(self, *arguments: str) -> None:
        """`hdfs dfsadmin ...`."""
        self._run("java", "hdfs", "org.apache.hadoop.hdfs.tools.DFSAdmin", *arguments)


@pytest.fixture(scope="session")
def running_stack() -> HdfsStack:
    script, folder = os.environ.get(SCRIPT), os.environ.get(FOLDER)
    if not script or not folder:
        pytest.skip(f"no HDFS to break: {SCRIPT} and {FOLDER} are not set")
    return HdfsStack(script, folder)


@pytest.fixture
def stack(running_stack: HdfsStack) -> Iterator[HdfsStack]:
    """Whole again after the test."""
    try:
        yield running_stack
    finally:
        running_stack.configure()
        for name in ("nn", "dn1", "dn2"):
            running_stack.signal(name, signal.SIGCONT) if _is_up(running_stack, name) else None
            running_stack.start(name)
        running_stack.admin("-safemode", "leave")


def _is_up(stack: HdfsStack, name: str) -> bool:
    return stack._status()["processes"][name] is not None
