"""Waits until parts are usable; notices at once when a server ends instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flurry_fast.stack import probes, processes
from flurry_fast.stack.errors import ServerFailed
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.processes import Process
from flurry_fast.stack.progress import Progress
from flurry_fast.stack.server import NotReady, Part, Probe, Server

_POLL = 0.1  # seconds


@dataclass
class Wait:
    """For `seconds` from its making on. `again` starts a server that was up before us and has ended meanwhile."""

    folder: Folder
    seconds: float
    progress: Progress
    again: Callable[[Server], None]
    launched: set[str] = field(default_factory=set)
    begin: float = field(default_factory=time.monotonic)

    def until_usable(self, parts: Iterable[Part]) -> None:
        """All of them. Raises ServerFailed."""
        pending = list(parts)
        while pending:
            for part in list(pending):
                self._look_after(part.servers)
                why = self._why_not(part)
                if why is None:
                    self.progress.ready(part.name, time.monotonic() - self.begin)
                    pending.remove(part)
                else:
                    self.progress.waiting(part.name, why)
                    self._refuse_late(part.name, why, part.servers)
            if pending:
                time.sleep(_POLL)

    def until_answering(self, server: Server) -> None:
        """That server alone. Raises ServerFailed."""
        while (why := self._why_silent(server)) is not None:
            self._look_after([server])
            self.progress.waiting(server.part, f"{server.name}: {why}")
            self._refuse_late(server.name, why, [server])
            time.sleep(_POLL)

    def _why_not(self, part: Part) -> str | None:
        for server in part.servers:
            why = self._why_silent(server)
            if why is not None:
                return f"{server.name}: {why}"
        return probes.reason(part.usable)

    def _why_silent(self, server: Server) -> str | None:
        process = processes.find(self.folder, server.name)
        if process is None:
            return "has ended"
        return probes.reason(_both(self.folder, process, server)) if server.says else probes.reason(server.answers)

    def _look_after(self, servers: Iterable[Server]) -> None:
        for server in servers:
            if processes.find(self.folder, server.name) is not None:
                continue
            if server.name in self.launched:
                raise _failure(self.folder, server.name, "ended while it was starting")
            self.again(server)

    def _refuse_late(self, name: str, why: str, servers: Iterable[Server]) -> None:
        if time.monotonic() - self.begin < self.seconds:
            return
        blamed = next((server.name for server in servers if why.startswith(f"{server.name}:")), None)
        worst = blamed or next(iter(servers)).name
        raise _failure(self.folder, worst, f"keeps {name} waiting after {self.seconds:.0f} s ({why})")


def _both(folder: Folder, process: Process, server: Server) -> Probe:
    def probe() -> None:
        if server.says is not None and not processes.logged(folder, process, server.says):
            raise NotReady("still starting")
        server.answers()

    return probe


def _failure(folder: Folder, name: str, what: str) -> ServerFailed:
    log = folder.log_of(name)
    return ServerFailed(
        f"{name} {what}. Its log is {log} and ends:\n{processes.ending(log)}",
        way_out="\n`flurry-fast stack up` tries again; `down --wipe` before that begins with empty data.",
    )
