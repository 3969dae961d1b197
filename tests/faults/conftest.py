"""A real HDFS of their own for tests that break it; makes the helpers of the archive's tests importable."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flurry_fast.stack import Stack

from .. import real_stack
from .hdfs_admin import dfsadmin

for folder in (Path(__file__).parent, Path(__file__).parent.parent / "archive"):
    sys.path.insert(0, str(folder))


class HdfsServers:
    """A NameNode (`nn`) and DataNodes (`dn1`, `dn2`) that nobody else needs."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        assert stack.addresses.hdfs is not None
        self.hdfs = stack.addresses.hdfs

    def kill(self, name: str) -> None:
        """With SIGKILL; nothing to do if it is down."""
        if self._stack.pid(name) is not None:
            self._stack.kill(name)

    def start(self, name: str) -> None:
        """Start it again, or let it go on, and wait until it works; nothing to do if it does."""
        self._stack.start(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        self._stack.kill(name, number)

    def configure(self, **properties: str) -> None:
        """Set properties of hdfs-site.xml (`__` for a full stop); none: as it was.

        They count for processes that are started from now on.
        """
        file = self._stack.folder.conf / "hdfs/hdfs-site.xml"
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
        dfsadmin(self._stack, *arguments)


@pytest.fixture(scope="session")
def hdfs_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """HDFS alone: HBase would not outlive what is done to it here."""
    with real_stack.running(tmp_path_factory, *real_stack.HDFS_ALONE) as stack:
        yield stack


@pytest.fixture
def servers(hdfs_stack: Stack) -> Iterator[HdfsServers]:
    """Whole again after the test."""
    servers = HdfsServers(hdfs_stack)
    try:
        yield servers
    finally:
        servers.configure()
        for name in ("nn", "dn1", "dn2"):
            servers.start(name)
        servers.admin("-safemode", "leave")
