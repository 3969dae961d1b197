"""The servers' processes: started detached, known again by any later command, stopped by pid.

A process is ours if it began when its pid file says it did, or if its command line carries the tags of the stack and
the server: so one whose starter died before it wrote the pid down is found, and a pid that was given to somebody else
is not taken for ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flurry_fast.stack import jvm
from flurry_fast.stack.folder import Folder, write

_POLL = 0.05  # seconds
_IDLE_SECONDS = 1.0
_BLOCK = 64 * 1024  # bytes
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")

# Children of this process: waited for when they end. (Whoever drops a Popen that runs is warned.)
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Process:
    """A server that is alive. `started`: in ticks since the machine's start; `log_from`: where its log begins."""

    name: str
    pid: int
    started: int
    log_from: int


@dataclass(frozen=True)
class Usage:
    """What a process takes: bytes of memory now and at most, seconds of CPU and of age; `stopped` by a signal."""

    rss: int
    peak: int
    cpu: float
    age: float
    stopped: bool


@dataclass(frozen=True)
class _Stat:
    state: str
    started: int
    cpu: int
    threads: int


def launch(folder: Folder, name: str, command: Iterable[str]) -> Process:
    """Start it in a session of its own, output at the end of its log. Raises OSError."""
    log = folder.log_of(name)
    with log.open("ab") as output:
        log_from = output.seek(0, os.SEEK_END)
        _note(folder, name, None, 0, log_from)  # so that it is known even if we end before the pid is
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=folder.run,
        )
    _CHILDREN[child.pid] = child
    stat = _stat(child.pid)
    started = stat.started if stat is not None else 0
    _note(folder, name, child.pid, started, log_from)
    return Process(name, child.pid, started, log_from)


def find(folder: Folder, name: str) -> Process | None:
    """The server's process, if it is alive."""
    noted = _noted(folder, name)
    pid, started, log_from = noted.get("pid"), noted.get("started", 0), noted.get("log_from", 0)
    if isinstance(pid, int) and _is_alive(pid, started) and _may_be(pid, folder, name):
        return Process(name, pid, started, log_from)
    for other in _tagged(folder):
        if other.name == name and other.pid != pid:
            _note(folder, name, other.pid, other.started, log_from)
            return Process(name, other.pid, other.started, log_from)
    return None


def find_all(folder: Folder) -> list[Process]:
    """Every process of the stack, whatever its name: also one that nobody noted."""
    noted = [find(folder, path.stem) for path in sorted(folder.run.glob("*.json"))]
    found = {process.pid: process for process in noted if process is not None}
    for process in _tagged(folder):
        found.setdefault(process.pid, process)
    return list(found.values())


def find_begun(folder: Folder) -> list[Process]:
    """As `find_all`, after a start that was interrupted: a process that is just beginning has no command line yet."""
    time.sleep(_POLL)
    return find_all(folder)


def is_alive(process: Process) -> bool:
    """Whether it has not ended; a process that ends holds its ports until its last thread is gone."""
    return _is_alive(process.pid, process.started)


def usage(process: Process) -> Usage | None:
    """What it takes now; None: it has ended."""
    stat = _stat(process.pid)
    if stat is None or stat.started != process.started:
        return None
    try:
        lines = (_PROC / str(process.pid) / "status").read_text(encoding="utf-8").splitlines()
        uptime = float((_PROC / "uptime").read_text(encoding="utf-8").split()[0])
    except OSError:
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS:", "VmHWM:"))}
    return Usage(
        rss=kib.get("VmRSS", 0) * 1024,
        peak=kib.get("VmHWM", 0) * 1024,
        cpu=stat.cpu / _TICKS,
        age=max(0.0, uptime - stat.started / _TICKS),
        stopped=stat.state in "tT",
    )


def send(process: Process, number: int) -> bool:
    """A signal; False if it has ended."""
    if not is_alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def end(processes: Iterable[Process], grace: float, needless: Callable[[Process], bool] | None = None) -> None:
    """SIGTERM to all. SIGKILL to those that are there after `grace` seconds, and to those that have nothing more to do
    (`needless`) and still are there a second later. Returns when all are gone."""
    left = list(processes)
    for process in left:
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)  # one that is stopped would not hear it
    deadline = time.monotonic() + grace
    idle: dict[int, float] = {}
    while left := [process for process in left if is_alive(process)]:
        now = time.monotonic()
        for process in left:
            if needless is not None and process.pid not in idle and needless(process):
                idle[process.pid] = now + _IDLE_SECONDS
            if now > min(deadline, idle.get(process.pid, deadline)):
                send(process, signal.SIGKILL)
        time.sleep(_POLL)


def kill(process: Process) -> None:
    """kill -9, and wait until it is gone."""
    send(process, signal.SIGKILL)
    while is_alive(process):
        time.sleep(_POLL)


def logged(folder: Folder, process: Process, text: bytes, times: int = 1) -> bool:
    """Whether it has written that, so often, since it was started."""
    try:
        with folder.log_of(process.name).open("rb") as file:
            file.seek(process.log_from)
            return file.read().count(text) >= times
    except FileNotFoundError:
        return False


def tail(path: Path, lines: int) -> str:
    """The last lines of a log; nothing if there is none."""
    try:
        with path.open("rb") as file:
            start, data = file.seek(0, os.SEEK_END), b""
            while start > 0 and data.count(b"\n") <= lines:
                size = min(start, _BLOCK)
                start = file.seek(start - size)
                data = file.read(size) + data
    except FileNotFoundError:
        return ""
    found = data.decode("utf-8", "replace").splitlines()
    return "\n".join(found[max(0, len(found) - lines) :])


def ending(path: Path, lines: int = 15) -> str:
    """As `tail`, for people who want to know what went wrong: without the frames of stack traces."""
    told = [line for line in tail(path, 30 * lines).splitlines() if not line.startswith(("\tat ", "\t..."))]
    return "\n".join(told[-lines:])


# --- pid files and /proc -----------------------------------------------------------------------------------------


def _note(folder: Folder, name: str, pid: int | None, started: int, log_from: int) -> None:
    write(folder.run / f"{name}.json", json.dumps({"pid": pid, "started": started, "log_from": log_from}) + "\n")


def _noted(folder: Folder, name: str) -> dict[str, Any]:
    try:
        noted = json.loads((folder.run / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _is_alive(pid: int, started: int) -> bool:
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[pid]
        return False
    stat = _stat(pid)
    # The main thread of a dying process is a zombie while its others still hold the ports.
    return stat is not None and stat.started == started and (stat.state not in "ZX" or stat.threads > 1)


def _may_be(pid: int, folder: Folder, name: str) -> bool:
    """After a restart of the machine somebody may have our pid and our time. (While it begins or ends it has no
    command line.)"""
    arguments = _arguments(pid)
    return not any(arguments) or all(tag.encode() in arguments for tag in jvm.tags(folder.root, name))


def _tagged(folder: Folder) -> Iterator[Process]:
    of_stack, of_name = (tag.encode() for tag in jvm.tags(folder.root, ""))
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        arguments = _arguments(int(entry.name))
        if of_stack in arguments[:8]:
            name = next((item.removeprefix(of_name).decode() for item in arguments if item.startswith(of_name)), None)
            stat = _stat(int(entry.name))
            if name is not None and stat is not None:
                yield Process(name, int(entry.name), stat.started, 0)


def _arguments(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> _Stat | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return _Stat(
        state=fields[0], cpu=int(fields[11]) + int(fields[12]), threads=int(fields[17]), started=int(fields[19])
    )
