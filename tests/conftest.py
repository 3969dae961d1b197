"""What every test may use: hypothesis profiles, where the captures are, and a stack of real servers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import profiles, real_stack

if TYPE_CHECKING:
    from flurry_fast.stack import Stack

profiles.register()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in a shell's background ignores it, and so would every process that a test starts and wants to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, str(Path(__file__).parent))  # `reference`, and `model` as `python -m model` finds it

# Fixtures, and parameters of tests that then ask for one.
STACKS = {"stack", "hdfs_stack", "kafka-classic", "kafka-consumer", "hdfs", "hbase"}
CAPTURES = Path(__file__).parent / "captures"


@pytest.fixture(scope="session")
def captures() -> list[Path]:
    """The bodies of all reports made by real agents."""
    found = sorted(CAPTURES.glob("*/*.bin"))
    assert len(found) == 245
    return found


@pytest.fixture(scope="session")
def bodies(captures: list[Path]) -> list[bytes]:
    """All captured reports."""
    return [path.read_bytes() for path in captures]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real Kafka, HDFS and HBase (on that HDFS): one stack for all tests, started by the first that asks for it.

    Leave it as you found it, but for topics, tables and folders that have names of your own.
    """
    with real_stack.shared(tmp_path_factory) as stack:
        yield stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever starts a stack may have to wait for its jars, once on a machine."""
    for item in items:
        named = {*getattr(item, "fixturenames", ())}
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            named |= {value for value in item.callspec.params.values() if isinstance(value, str)}
        if named & STACKS and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(real_stack.TIMEOUT))
