"""What must be on disk before a server starts for the first time: its configuration, and its formatted folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from flurry_fast.stack import processes
from flurry_fast.stack.errors import ServerFailed
from flurry_fast.stack.folder import Folder, write
from flurry_fast.stack.processes import Process
from flurry_fast.stack.server import Part, Server


def configure(parts: Iterable[Part]) -> None:
    """Write the configuration files."""
    for part in parts:
        for path, text in part.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, text)


def format_folders(folder: Folder, servers: Iterable[Server]) -> None:
    """Run each server's preparation, all at once, unless it has been run. Raises ServerFailed.

    No server starts before its folder is marked as formatted, so what has no mark holds no data: an interrupted
    preparation is thrown away and made again.
    """
    _end_preparations(processes.find_all(folder))
    unformatted = [
        server for server in servers if server.preparation is not None and not _mark(folder, server).exists()
    ]
    running: list[tuple[Server, subprocess.Popen[bytes]]] = []
    try:
        for server in unformatted:
            assert server.preparation is not None
            if server.prepared is not None:
                shutil.rmtree(server.prepared, ignore_errors=True)
            with folder.log_of(f"{server.name}-format").open("wb") as output:
                running.append(
                    (
                        server,
                        subprocess.Popen(server.preparation, stdin=subprocess.DEVNULL, stdout=output, stderr=output),
                    )
                )
        for server, process in running:
            if process.wait():
                log = folder.log_of(f"{server.name}-format")
                raise ServerFailed(
                    f"The folder of {server.name} could not be prepared. The log is {log} and ends:\n"
                    f"{processes.ending(log)}"
                )
            _mark(folder, server).touch()
    finally:
        for _, process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
        if len(running) < len(unformatted):  # a start was interrupted: nobody holds that process
            _end_preparations(processes.find_begun(folder))


def _end_preparations(found: Iterable[Process]) -> None:
    for process in found:
        if process.name.endswith("-format"):
            processes.kill(process)


def _mark(folder: Folder, server: Server) -> Path:
    return folder.data / f"{server.name}.formatted"
