"""A stack: real Kafka, HDFS and HBase on loopback, started, looked at, hurt and stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

from flurry_fast.stack import hbase, hdfs, jars, kafka, machine, preparing, processes, status
from flurry_fast.stack.addresses import Addresses
from flurry_fast.stack.errors import NoStack, OptionsRefused, ServerFailed, StackRefused
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.options import StackOptions
from flurry_fast.stack.progress import Progress, Silent
from flurry_fast.stack.server import Part, Server
from flurry_fast.stack.status import StackStatus
from flurry_fast.stack.waiting import Wait

UP_SECONDS = 180.0
GRACE_SECONDS = 20.0  # between SIGTERM and SIGKILL
_FAILED_GRACE_SECONDS = 5.0  # the same for a start that failed
_CLAIM_SECONDS = 30.0
_POLL = 0.05
_BUILDERS = {"kafka": kafka.part, "hdfs": hdfs.part, "hbase": hbase.part}


class Stack:
    """The stack in a folder. Made by `Stack.up` and `Stack.at`; commands and tests share nothing but the folder.

    `launched` names the servers that `up` had to start.
    """

    def __init__(self, folder: Folder, options: StackOptions, cache: Path | None = None) -> None:
        self.folder = folder
        self.options = options
        self.cache = cache if cache is not None else jars.default_cache()
        self.launched: tuple[str, ...] = ()

    @classmethod
    def up(
        cls,
        root: Path,
        options: StackOptions | None = None,
        *,
        fresh: bool = False,
        cache: Path | None = None,
        seconds: float = UP_SECONDS,
        progress: Progress | None = None,
    ) -> Stack:
        """A usable stack in `root`: starts what does not run, and waits `seconds` at most after the jars are there.

        `options` None: as it was started last, else the defaults. `fresh` stops what runs and begins with empty data.
        Where it fails, what it started is stopped again. Raises StackError.
        """
        folder = Folder(root)
        with folder.claimed():
            running = processes.find_all(folder)
            if fresh:
                _end(folder)
                folder.wipe()
        with folder.claimed():
            recorded = folder.recorded()
            options = options or recorded or StackOptions()
            if recorded is not None and not fresh:
                _refuse_other(folder, options, recorded, running=bool(running))
            stack = cls(folder, options, cache)
            stack._bring_up(seconds, progress or Silent())
            return stack

    @classmethod
    def at(cls, root: Path, *, cache: Path | None = None) -> Stack:
        """The one in `root`, whether it runs or not. Raises NoStack."""
        folder = Folder(root)
        return cls(folder, folder.expect(), cache)

    @property
    def addresses(self) -> Addresses:
        """Where it is, and the settings that use it."""
        return Addresses.of(self.options)

    @property
    def names(self) -> tuple[str, ...]:
        """Its servers, in the order they start."""
        return tuple(self._servers)

    def status(self) -> StackStatus:
        """Asks all of them."""
        return status.look(self.folder, self._parts("java"))

    def pid(self, name: str) -> int | None:
        """Of a server's process; None if it does not run. Raises NoStack."""
        process = processes.find(self.folder, self._server(name).name)
        return process.pid if process is not None else None

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal. After SIGKILL and SIGTERM it returns when the process is gone, after SIGSTOP when it stands.

        Raises NoStack if it does not run, ServerFailed if it survives SIGTERM for a minute.
        """
        process = processes.find(self.folder, self._server(name).name)
        if process is None or not processes.send(process, number):
            raise NoStack(f"{name} is not running.", way_out=f"`flurry-fast stack start {name}` starts it.")
        deadline = time.monotonic() + 60
        while number in (signal.SIGKILL, signal.SIGTERM) and processes.is_alive(process):
            if time.monotonic() > deadline:
                raise ServerFailed(f"{name} has not ended a minute after {signal.Signals(number).name}.")
            time.sleep(_POLL)
        while number == signal.SIGSTOP and (usage := processes.usage(process)) is not None and not usage.stopped:
            time.sleep(_POLL)

    def start(self, *names: str, seconds: float = UP_SECONDS, progress: Progress | None = None) -> tuple[str, ...]:
        """Start servers that do not run, let those that are stopped go on, and wait until they answer; where all of a
        part runs, until the part is usable. Returns those that had to be started. Raises StackError."""
        servers = [self._server(name) for name in names]
        with self.folder.claimed(wait=_CLAIM_SECONDS):
            self.folder.expect()
            launched = self._launch(servers, progress or Silent())
        wait = self._wait(seconds, progress or Silent(), launched)
        for server in servers:
            wait.until_answering(server)
        for part in self._parts(self._java):
            touched = any(server.name in names for server in part.servers)
            if touched and all(self._runs(server) for server in part.servers):
                wait.until_usable([part])
        return tuple(launched)

    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop it, and remove its data if `wipe`. Returns the names of the servers that ran. Raises StackBusy."""
        return take_down(self.folder.root, wipe=wipe)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _parts(self, java: str) -> list[Part]:
        return [
            _BUILDERS[name](self.options, self.folder, jars.place(self.cache, name), java)
            for name in self.options.parts
        ]

    @cached_property
    def _servers(self) -> dict[str, Server]:
        return {server.name: server for part in self._parts("java") for server in part.servers}

    @cached_property
    def _java(self) -> str:
        """The program. Raises StackRefused if there is none that will do."""
        java = machine.find_java()
        problem = machine.java_problem(java, self.options.parts)
        if problem is not None or java is None:
            raise StackRefused(problem or "Java is missing.")
        return java.program

    def _server(self, name: str) -> Server:
        if name not in self._servers:
            raise NoStack(f"There is no {name} in this stack: it has {', '.join(self._servers)}.")
        return self._servers[name]

    def _runs(self, server: Server) -> bool:
        return processes.find(self.folder, server.name) is not None

    # --- starting ------------------------------------------------------------------------------------------------

    def _bring_up(self, seconds: float, progress: Progress) -> None:
        absent = [server for server in self._servers.values() if not self._runs(server)]
        java = machine.find_java() if absent else None
        if absent:
            machine.check(self.folder.root, self.cache, absent, self.options.base_port, java)
            for name in self.options.parts:
                jars.resolve(self.cache, name, machine.find_maven(), java.home if java else None, progress)
            self.folder.record(self.options)
            self.folder.prepare()
            self.folder.settings.write_text(self.addresses.settings_file(), encoding="utf-8")
        parts = self._parts(java.program if java else "java")
        wait = self._wait(seconds, progress, [])
        try:
            if absent:
                preparing.configure(parts)
                preparing.format_folders(self.folder, (server for part in parts for server in part.servers))
            first = {part.after for part in parts}  # HDFS alone, if HBase lives on it: it is ready sooner so
            for wave in ([p for p in parts if p.name in first], [p for p in parts if p.name not in first]):
                wait.launched.update(self._launch([server for part in wave for server in part.servers], progress))
                wait.until_usable(wave)
        except BaseException:
            mine = {server.name for server in absent}  # whoever was launched, noted or not
            left = [process for process in processes.find_begun(self.folder) if process.name in mine]
            processes.end(left, _FAILED_GRACE_SECONDS)
            raise
        self.launched = tuple(sorted(wait.launched, key=list(self._servers).index))

    def _launch(self, servers: Sequence[Server], progress: Progress) -> list[str]:
        launched = []
        for server in servers:
            process = processes.find(self.folder, server.name)
            if process is not None:
                processes.send(process, signal.SIGCONT)  # one that somebody stopped
                continue
            self._launch_one(server.name)
            progress.launched(server.name)
            launched.append(server.name)
        return launched

    def _launch_one(self, name: str) -> None:
        command = next(
            server.command for part in self._parts(self._java) for server in part.servers if server.name == name
        )
        processes.launch(self.folder, name, command)

    def _wait(self, seconds: float, progress: Progress, launched: Sequence[str]) -> Wait:
        wait = Wait(self.folder, seconds, progress, lambda server: again(server), set(launched))

        def again(server: Server) -> None:
            self._launch_one(server.name)
            wait.launched.add(server.name)
            progress.launched(server.name)

        return wait


def take_down(root: Path, *, wipe: bool = False) -> list[str]:
    """Stop whatever of a stack runs in `root`, even if its folder was removed. Returns the names. Raises StackBusy."""
    folder = Folder(root)
    there = folder.is_ours()
    with folder.claimed(wait=_CLAIM_SECONDS) if there else nullcontext():
        ended = _end(folder)
        if wipe and there:
            folder.wipe()
    return ended


def _end(folder: Folder) -> list[str]:
    """Whoever uses HDFS goes before HDFS."""
    running = processes.find_all(folder)
    stores = [process for process in running if process.name.startswith(("nn", "dn"))]
    clients = [process for process in running if process not in stores]
    processes.end(clients, GRACE_SECONDS, lambda process: hbase.has_closed(folder, process))
    processes.end(stores, GRACE_SECONDS)
    return [process.name for process in running]


def _refuse_other(folder: Folder, options: StackOptions, recorded: StackOptions, *, running: bool) -> None:
    if running and options != recorded:
        raise OptionsRefused(
            f"A stack with other options runs in {folder.root}.",
            way_out="Stop it with `flurry-fast stack down`, or use another --dir.",
        )
    conflict = options.conflict(recorded) if folder.has_data() else None
    if conflict is not None:
        raise OptionsRefused(
            f"The data in {folder.root} is of a stack with {conflict}.",
            way_out="Give the same options, or begin with empty data: --fresh.",
        )
