"""`flurry-fast` processes as a user starts them, each with a log; what a process takes of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
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
        try:
            return memory_bytes(self.pid, "VmRSS")
        except OSError:
            raise self.failure("ended") from None

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


def family_seconds(pid: int) -> float:
    """User and system time so far, of a process and of its descendants."""
    return cpu_seconds(pid) + sum(_descendants(pid))


def _descendants(pid: int) -> list[float]:
    """CPU seconds of what the process started: what still runs, then what every one of them waited for."""
    found = []
    own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    found.append((int(own[13]) + int(own[14])) / TICKS)  # cutime, cstime
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread or a process has just ended; its time is in the ticks the next time
            children = (task / "children").read_text().split()
            found.extend(family_seconds(int(child)) for child in children)
    return found


def memory_bytes(pid: int, field: Literal["VmRSS", "VmHWM"]) -> int:
    """Resident memory of a process alone: now, or the most at a time. Raises OSError where it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")
