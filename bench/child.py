"""A contender in a process of its own: told what to do line by line, its CPU time read from outside.

The child prints ``ready`` once it has loaded what it needs; then it answers each line it is sent with one line.
CPU time is the kernel's clock of the process, in nanoseconds and the same for every language: all of its threads
(garbage collector, just-in-time compiler, librdkafka). Processes that the child starts are added up as far as they
still run or were waited for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import family_seconds, memory_bytes

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 600.0  # seconds for one answer; a contender that hangs is ended


class ChildFailed(RuntimeError):
    """A contender ended, or answered otherwise than it must; its own words are on stderr."""


def core() -> int:
    """The core that every contender is pinned to."""
    return max(os.sched_getaffinity(0))


class Child:
    """One contender. A context: the process ends with it."""

    def __init__(
        self, name: str, argv: Sequence[str], *, pinned: bool = True, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [*(("taskset", "-c", str(core())) if pinned else ()), *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        )  # fmt: skip

    @classmethod
    def python(
        cls, name: str, module: str, *arguments: str, executable: str = sys.executable, pinned: bool = True
    ) -> Child:
        """A module of ours. `executable`: of another environment."""
        return cls(name, [executable, "-m", module, *arguments], pinned=pinned, env={"PYTHONPATH": str(ROOT)})

    @property
    def pid(self) -> int:
        return self._process.pid

    def expect(self, word: str) -> str:
        """Waits for a line that begins with `word`; what follows it. Raises ChildFailed; after PATIENCE, too."""
        assert self._process.stdout is not None
        watch = threading.Timer(PATIENCE, self._process.kill)
        watch.start()
        line = self._process.stdout.readline().rstrip("\n")
        watch.cancel()
        if line.split(" ", 1)[0] != word:
            raise ChildFailed(f"{self.name} said {line!r} instead of {word!r} (exit status {self._process.poll()}).")
        return line[len(word) + 1 :]

    def ask(self, line: str, word: str) -> str:
        """Sends a line and waits for its answer. Raises ChildFailed."""
        self.tell(line)
        return self.expect(word)

    def tell(self, line: str) -> None:
        """Sends a line. Raises ChildFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildFailed(f"{self.name} ended with status {self._process.wait()}.") from None

    def timed(self, line: str, word: str) -> tuple[float, float, str]:
        """As `ask`: (CPU seconds, seconds, answer)."""
        started, cpu = time.monotonic(), self.cpu_seconds()
        answer = self.ask(line, word)
        return self.cpu_seconds() - cpu, time.monotonic() - started, answer

    def cpu_seconds(self) -> float:
        """User and system time so far, of the process and of its descendants."""
        return family_seconds(self.pid)

    def peak_bytes(self) -> int:
        """The most memory that was resident at a time (VmHWM), of the process alone."""
        try:
            return memory_bytes(self.pid, "VmHWM")
        except OSError:
            raise ChildFailed(f"{self.name} has ended.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20 if kind is None else 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
