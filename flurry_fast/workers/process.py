"""One worker's process, and what its status file says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from flurry_fast.workers.relay import Relay


class Process(Protocol):
    """A running worker."""

    @property
    def pid(self) -> int:
        """Of the process."""

    def poll(self) -> int | None:
        """Its exit code (negative: by a signal); None while it runs."""

    def terminate(self) -> None:
        """Ask for an orderly end."""

    def kill(self) -> None:
        """kill -9."""

    def reason(self) -> str:
        """The sentence with which it ended."""

    def status(self) -> Mapping[str, Any] | None:
        """Its status file, if this very process wrote it."""


class WorkerProcess:
    """`flurry-fast COMMAND` in a session of its own, so that Ctrl-C reaches the supervisor alone.

    Its standard input is a pipe from us: when we are gone, however that came, it ends in order.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        status_file: Path,
        *,
        command: str = "consume",
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts it. `pass_fds`: descriptors that it inherits under their numbers."""
        self._status_file = status_file
        status_file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flurry_fast", command, "--until-eof", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            env=_environment(),
        )
        assert self._process.stdout is not None
        self._relay = Relay(name, self._process.stdout)

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        code = self._process.poll()
        if code is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def reason(self) -> str:
        return self._relay.reason()

    def status(self) -> Mapping[str, Any] | None:
        try:
            found = json.loads(self._status_file.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("pid") == self.pid else None


def _environment() -> dict[str, str]:
    """So that a worker runs this very package, even in a folder that holds another one of that name."""
    search = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search)), "PYTHONUNBUFFERED": "1"}
