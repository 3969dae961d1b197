"""The demo's processes: each has a log, none outlives the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from flurry_fast.demo.workspace import Workspace
from flurry_fast.errors import FlurryFastError

POLL_SECONDS = 0.05


class ChildFailed(FlurryFastError):
    """A process of the demo ended, or did not get ready, when it should have been running."""


class Child:
    """One `flurry-fast` process in a session of its own, so that Ctrl-C reaches the demo alone."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            output.write(f"--- flurry-fast {' '.join(arguments)}\n".encode())
            output.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flurry_fast", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(),
            )
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._process.poll()

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def failure(self, what: str) -> ChildFailed:
        """The error that names this child's log and shows its end."""
        return ChildFailed(f"The {self.name} {what}; its log is {self.log} and ends:\n{self.tail()}")

    def check(self) -> None:
        """Raises ChildFailed if it has ended."""
        code = self.exit_code
        if code is not None:
            raise self.failure(f"ended by itself ({_how(code)})")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout: float) -> int:
        """Its exit code. Raises ChildFailed if it does not end within `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end within {timeout:.0f} s") from None

    def expect_clean_exit(self, timeout: float) -> None:
        """SIGTERM; raises ChildFailed unless it then exits with 0."""
        self._process.terminate()
        code = self.wait(timeout)
        if code != 0:
            raise self.failure(f"did not end cleanly ({_how(code)})")


def _environment() -> dict[str, str]:
    """So that a child runs this very package, even in a folder that holds another one of that name."""
    search = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search)), "PYTHONUNBUFFERED": "1"}


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"


class Children:
    """Starts children and ends them all, whatever happens."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str) -> Child:
        """Runs `flurry-fast ARGUMENTS`; it writes to logs/NAME.log."""
        child = Child(name, arguments, self._workspace.log(name))
        self._children.append(child)
        return child

    def end_all(self) -> None:
        """Asks the running ones to end, and kills those that do not within 3 s."""
        running = [child for child in self._children if child.exit_code is None]
        for child in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + 3
        for child in reversed(running):
            while child.exit_code is None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if child.exit_code is None:
                child.kill()


@contextlib.contextmanager
def children(workspace: Workspace) -> Iterator[Children]:
    """Children that are gone when the block is left, by whatever way (SIGTERM of the demo included)."""
    started = Children(workspace)

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield started
    finally:
        started.end_all()
        signal.signal(signal.SIGTERM, before)
