"""Where figures were measured: without this they mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flurry_fast

ROOT = Path(__file__).resolve().parents[1]


class DebugBuild(RuntimeError):
    """A native module was built without optimisation: its figures would mislead."""


def refuse_debug_build() -> None:
    """Raises DebugBuild unless both native modules are release builds."""
    for module, built in modules(flurry_fast.build_info()).items():
        if built["profile"] != "release":
            raise DebugBuild(f"{module} is a {built['profile']} build: run `make build` first.")


def modules(info: Any) -> dict[str, Any]:
    """What build_info() says of each native module."""
    return {name: built for name, built in info.items() if isinstance(built, dict) and "profile" in built}


def describe(command: list[str]) -> dict[str, Any]:
    """Machine, software and how the figures were made. `command` is what was run.

    Without the folders of this machine: `--json` and `--stack-dir` change no figure.
    """
    for option in ("--json", "--stack-dir"):
        if option in command:
            at = command.index(option)
            command = command[:at] + command[at + 2 :]
    build: Any = flurry_fast.build_info()
    build.get("librdkafka", {}).pop("path", None)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(command),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "commit": _commit(),
        "build": build,
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        ).stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no") else commit
