"""`flurry-fast` processes as a user starts them, each with a log; what a process takes of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
END_SECONDS = 300.0  # for an orderly end: what is unwritten is written


class ProcessFailed(RuntimeError):
    """A process ended, or did not do what it must; its log's end is in the message."""


class Process:
    """`flurry-fast NAME`. Its settings are given with --set."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, str], *arguments: str) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        flags = [item for key, value in settings.items() for item in ("--set", f"{key}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flurry_fast", name, *arguments, *flags],
                stdout=log, stderr=log, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        self.pid = self._process.pid

    def check(self) -> None:
        """Raises ProcessFailed if it has ended."""
        if (code := self._process.poll()) is not None:
            raise self.failure(f"ended with {code}")

    def failure(self, what: str) -> ProcessFailed:
        """With the end of its log."""
        return ProcessFailed(f"{self.name} {what}:\n{self.log.read_text(errors='replace')[-3000:]}")

    def resident(self) -> int:
        """VmRSS in bytes. Raises ProcessFailed."""
        self.check()
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise self.failure("ended")

    def wait(self, seconds: float) -> None:
        """Until it has done what it was started for. Raises ProcessFailed."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end within {seconds:g} s") from None
        if code:
            raise self.failure(f"ended with {code}")

    def end(self, seconds: float = END_SECONDS) -> None:
        """SIGTERM, and its orderly end. Raises ProcessFailed."""
        self._process.send_signal(signal.SIGTERM)
        self.wait(seconds)

    def kill(self) -> None:
        """Gone, whatever it was at."""
        self._process.kill()
        self._process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time so far, by the kernel's own clock: all threads, and no other process. Raises OSError."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)


def family(pid: int) -> list[int]:
    """A process and all that it started and that still run."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # a thread has just ended
            continue
        for child in children:
            found += family(int(child))
    return found
