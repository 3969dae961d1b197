"""How a stack is, asked of every server by a real call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from flurry_fast.stack import probes, processes
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.options import PartName
from flurry_fast.stack.processes import Usage
from flurry_fast.stack.server import Part, Server


@dataclass(frozen=True)
class ServerStatus:
    """`problem` is None if it is well; `pid` and `usage` are None if it does not run."""

    name: str
    part: PartName
    pid: int | None
    usage: Usage | None
    problem: str | None


@dataclass(frozen=True)
class StackStatus:
    """`parts` says why a part is of no use now; None: it is."""

    servers: Sequence[ServerStatus]
    parts: Mapping[PartName, str | None]

    @property
    def ok(self) -> bool:
        """All servers are well, and all parts usable."""
        return not any(server.problem for server in self.servers) and not any(self.parts.values())

    @property
    def running(self) -> bool:
        """Whether any process is there."""
        return any(server.pid is not None for server in self.servers)


def look(folder: Folder, parts: Sequence[Part]) -> StackStatus:
    """All at once: servers that do not answer take the time of one."""
    servers = [server for part in parts for server in part.servers]
    with ThreadPoolExecutor(len(servers)) as pool:
        found = list(pool.map(lambda server: _server(folder, server), servers))
        reasons = list(pool.map(lambda part: _part(part, found), parts))
    return StackStatus(found, {part.name: reason for part, reason in zip(parts, reasons, strict=True)})


def _server(folder: Folder, server: Server) -> ServerStatus:
    process = processes.find(folder, server.name)
    usage = processes.usage(process) if process is not None else None
    if process is None or usage is None:
        return ServerStatus(server.name, server.part, None, None, "not running")
    problem = "stopped by a signal" if usage.stopped else probes.reason(server.answers)
    return ServerStatus(server.name, server.part, process.pid, usage, problem)


def _part(part: Part, servers: Sequence[ServerStatus]) -> str | None:
    ill = [
        f"{server.name} is {server.problem}" for server in servers if server.part == part.name and server.pid is None
    ]
    return ", ".join(ill) or probes.reason(part.usable)
