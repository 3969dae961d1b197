"""Whose process is it? With real processes that do nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flurry_fast.stack import jvm, processes
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.processes import Process

SLEEP = "import time; print('begun', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def command(folder: Folder, name: str, code: str = SLEEP) -> list[str]:
    return [sys.executable, "-c", code, *jvm.tags(folder.root, name)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path / "stack")
    with folder.claimed():
        folder.prepare()
    yield folder
    processes.end(processes.find_all(folder), 0)


def launch(folder: Folder, name: str, code: str = SLEEP) -> Process:
    process = processes.launch(folder, name, command(folder, name, code))
    while not processes.logged(folder, process, b"begun"):
        assert processes.is_alive(process)
        time.sleep(0.01)
    return process


def test_found_again_and_ended(folder: Folder) -> None:
    process = launch(folder, "nn")
    assert processes.find(folder, "nn") == process
    assert processes.find_all(folder) == [process]
    assert os.getsid(process.pid) == process.pid
    usage = processes.usage(process)
    assert usage is not None
    assert usage.peak >= usage.rss > 0
    assert not usage.stopped
    processes.end([process], 30)
    assert not processes.is_alive(process)
    assert processes.find(folder, "nn") is None
    assert processes.usage(process) is None
    assert not processes.send(process, signal.SIGTERM)


def test_a_pid_that_somebody_else_has_now_is_not_taken_for_ours(folder: Folder) -> None:
    process = launch(folder, "nn")
    processes.kill(process)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        note = folder.run / "nn.json"
        note.write_text(json.dumps({"pid": other.pid, "started": process.started, "log_from": 0}))
        assert processes.find(folder, "nn") is None  # another time
        started = int(Path(f"/proc/{other.pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        note.write_text(json.dumps({"pid": other.pid, "started": started, "log_from": 0}))
        while not Path(f"/proc/{other.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        assert processes.find(folder, "nn") is None  # even the same time: it is another program
        assert processes.find_all(folder) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_one_whose_pid_was_never_written_down_is_found(folder: Folder) -> None:
    """Its starter died in between."""
    process = launch(folder, "dn1")
    note = folder.run / "dn1.json"
    note.write_text(json.dumps({"pid": None, "started": 0, "log_from": 7}))
    assert processes.find(folder, "dn1") == Process("dn1", process.pid, process.started, 7)
    note.unlink()
    assert [found.pid for found in processes.find_all(folder)] == [process.pid]
    note.write_text("{")
    found = processes.find(folder, "dn1")
    assert found is not None
    assert found.pid == process.pid


def test_another_stacks_servers_are_not_ours(folder: Folder, tmp_path: Path) -> None:
    launch(folder, "nn")
    other = Folder(tmp_path / "stack2")
    assert processes.find(other, "nn") is None
    assert processes.find_all(other) == []


def test_one_that_does_not_hear_sigterm_is_killed(folder: Folder) -> None:
    process = launch(folder, "thrift", DEAF)
    processes.end([process], 0.2)
    assert not processes.is_alive(process)
    busy, idle = launch(folder, "hmaster", SLEEP), launch(folder, "thrift", DEAF)
    processes.end([busy, idle], 600, lambda process: process.name == "thrift")
    assert not processes.is_alive(idle)


def test_one_that_is_stopped_is_seen_and_can_be_ended(folder: Folder) -> None:
    process = launch(folder, "kafka1")
    assert processes.send(process, signal.SIGSTOP)
    while (usage := processes.usage(process)) is not None and not usage.stopped:
        time.sleep(0.01)
    assert processes.is_alive(process)
    processes.end([process], 30)
    assert not processes.is_alive(process)


def test_a_log_belongs_to_the_last_start(folder: Folder) -> None:
    first = launch(folder, "nn")
    processes.kill(first)
    second = processes.launch(folder, "nn", command(folder, "nn", "import time; time.sleep(600)"))
    assert second.log_from > 0
    assert not processes.logged(folder, second, b"begun")
    assert processes.tail(folder.log_of("nn"), 5) == "begun"
    assert processes.tail(folder.log_of("none"), 5) == ""


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(
        "".join(f"{number} {'x' * 1000}\n" for number in range(300)) + "Broken\n\tat a.b\n\t... 3 more\nend\n"
    )
    assert processes.tail(log, 2) == "\t... 3 more\nend"
    assert processes.tail(log, 0) == ""
    assert len(processes.tail(log, 200).splitlines()) == 200
    assert len(processes.tail(log, 9999).splitlines()) == 304
    assert processes.ending(log, 2) == "Broken\nend"
