"""The demo's processes: started with a log, checked, and gone afterwards."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from flurry_fast.demo.children import ChildFailed, children
from flurry_fast.demo.ground import embedded
from flurry_fast.demo.settings import write_config
from flurry_fast.demo.workspace import Workspace, prepare


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = prepare(tmp_path / "run")
    write_config(workspace, embedded(workspace))
    return workspace


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ends_cleanly_on_sigterm(workspace: Workspace) -> None:
    with children(workspace) as started:
        broker = started.start("broker", "broker", "--config", str(workspace.config))
        _wait_for(workspace.broker_file)
        broker.check()
        broker.expect_clean_exit(20)
        assert not _is_alive(broker.pid)
    assert "Broker at" in workspace.log("broker").read_text()


def test_leaves_nobody_behind_when_the_demo_fails(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt), children(workspace) as started:  # noqa: PT012 (the block is the point)
        broker = started.start("broker", "broker", "--config", str(workspace.config))
        _wait_for(workspace.broker_file)
        raise KeyboardInterrupt
    assert not _is_alive(broker.pid)
    assert broker.exit_code is not None


def test_a_terminated_demo_ends_its_children_too(workspace: Workspace) -> None:
    with pytest.raises(SystemExit) as left, children(workspace) as started:  # noqa: PT012
        broker = started.start("broker", "broker", "--config", str(workspace.config))
        _wait_for(workspace.broker_file)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)  # interrupted by the signal
    assert left.value.code == 128 + signal.SIGTERM
    assert not _is_alive(broker.pid)


def test_says_which_log_to_read_when_a_child_ends_by_itself(workspace: Workspace) -> None:
    with children(workspace) as started:
        child = started.start("consumer", "no-such-command")
        assert child.wait(30) == 2
        with pytest.raises(ChildFailed, match="consumer ended by itself \\(exit code 2\\)") as failed:
            child.check()
    assert str(workspace.log("consumer")) in str(failed.value)
    assert "No such command" in str(failed.value)


def test_names_the_signal_that_ended_a_child(workspace: Workspace) -> None:
    with children(workspace) as started:
        broker = started.start("broker", "broker", "--config", str(workspace.config))
        _wait_for(workspace.broker_file)
        broker.kill()
        with pytest.raises(ChildFailed, match="by SIGKILL"):
            broker.check()
