"""Starts `flurry-fast` processes quickly: it has everything imported, and forks.

A process of its own, with one thread: nothing but imports has happened when it forks, so a child is what
`flurry-fast ARGUMENTS` would be a second later. `python -m torture.nursery` talks JSON lines: requests on standard
input, pids and exits on standard output; when its input ends, so do its children.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from crashes import crashed_in_python

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Process:
    """One `flurry-fast` process."""

    def __init__(self, name: str, pid: int, log: Path) -> None:
        self.name, self.pid, self.log = name, pid, log
        self.exit_code: int | None = None  # None while it runs (or is stopped); negative if a signal ended it

    def send(self, number: signal.Signals) -> None:
        """Nothing happens to a process that is gone."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def crashed(self) -> bool:
        """Whether a thread of librdkafka's own crashed.

        Its assignor does, now and then: librdkafka's mock names members by addresses, which come again, and tells one
        of two with the same name that it leads a group of none. A crash is legal like any other death, so it does not
        end an episode: what counts is that every counter is exact after it. A crash in a thread of Python's is ours.
        """
        return self.exit_code == -signal.SIGSEGV and not crashed_in_python(self._said())

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self._said().splitlines()[-lines:])

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


class Nursery:
    """The side of whoever wants processes."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-P", "-m", "torture.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._buffer = b""
        self._processes: dict[int, Process] = {}
        self._early: dict[int, int] = {}  # ended before it was known that they had started

    def start(self, name: str, arguments: Sequence[str], log: Path, **more: Any) -> Process:
        """Runs `flurry-fast ARGUMENTS`. `mailbox`: its injector's; `bug`: a seeded bug to put in."""
        assert self._parent.stdin is not None
        request = {"arguments": list(arguments), "log": str(log), **more}
        self._parent.stdin.write(json.dumps(request).encode() + b"\n")
        self._parent.stdin.flush()
        pid = None
        while pid is None:
            pid = self._hear()
        process = self._processes[pid] = Process(name, pid, log)
        process.exit_code = self._early.pop(pid, None)
        return process

    def poll(self) -> None:
        """Learn who has ended."""
        assert self._parent.stdout is not None
        while select.select([self._parent.stdout], [], [], 0)[0]:
            self._hear()

    def close(self) -> None:
        """Everybody ends."""
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait()

    def _hear(self) -> int | None:
        """One read; the pid of a new process, if that is what it tells of."""
        assert self._parent.stdout is not None
        started = None
        while b"\n" not in self._buffer:
            data = os.read(self._parent.stdout.fileno(), 65536)
            if not data:
                raise RuntimeError("the nursery is gone")
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "started" in told:
                started = int(told["started"])
            elif told["ended"] in self._processes:
                self._processes.pop(told["ended"]).exit_code = told["code"]
            else:
                self._early[told["ended"]] = told["code"]
        return started


# --- the nursery's own side ------------------------------------------------------------------------------------------


def _main() -> None:
    import flurry_fast.agent.run
    import flurry_fast.cli.audit
    import flurry_fast.cli.broker
    import flurry_fast.cli.consume
    import flurry_fast.cli.simulate
    import flurry_fast.consumer.start  # noqa: F401

    children: set[int] = set()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
    buffer = b""
    while True:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _reap(children)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    _be(json.loads(line))
                children.add(pid)
                _say({"started": pid})
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _be(request: dict[str, Any]) -> None:
    """The child: never returns."""
    code = 1
    try:
        _die_with_the_nursery()
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for fd, to in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(fd, to)
        faulthandler.enable()  # says in whose thread native code crashed
        code = _run(request)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with_the_nursery() -> None:
    """However that ends: nobody else would ever stop the child."""
    with suppress(AttributeError, OSError):  # Linux alone has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(request: dict[str, Any]) -> int:
    from torture.injector import Injector

    from flurry_fast import trials
    from flurry_fast.cli import main

    if request.get("bug"):
        trials.seed(request["bug"])
    if request.get("mailbox"):
        Injector(Path(request["mailbox"]))
    print("--- flurry-fast", *request["arguments"], flush=True)
    try:
        main(request["arguments"], prog_name="flurry-fast")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


if __name__ == "__main__":
    _main()
