"""What the machine must have before anything is started: each lack is one sentence with a way out."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flurry_fast.stack import jars, ports
from flurry_fast.stack.errors import StackRefused
from flurry_fast.stack.options import PartName
from flurry_fast.stack.server import Server

OLDEST_JAVA = 17
NEWEST_JAVA = 22  # for Hadoop's and HBase's client: from 23 on, Subject.getSubject is refused to them
FOLDER_MIB = 1024  # free, for the servers' files
_MIB = 1 << 20


@dataclass(frozen=True)
class Java:
    """The program, its major version, and JAVA_HOME if it was found by that."""

    program: str
    version: int
    home: Path | None


def find_java(environ: Mapping[str, str] = os.environ) -> Java | None:
    """By JAVA_HOME, else on PATH; None if there is none that runs."""
    home = environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else shutil.which("java", path=environ.get("PATH"))
    if program is None:
        return None
    try:
        ran = subprocess.run([program, "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', ran.stderr + ran.stdout)
    return Java(program, int(found[1]), Path(home) if home else None) if found else None


def java_problem(java: Java | None, parts: Iterable[PartName], environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the servers would not run with it; None: they would."""
    way_out = "Install one (Debian: openjdk-17-jre-headless), or set JAVA_HOME."
    wanted = f"Java {OLDEST_JAVA} to {NEWEST_JAVA}"
    if java is None:
        home = environ.get("JAVA_HOME")
        return f"{wanted} is missing{f' (JAVA_HOME is {home})' if home else ''}. {way_out}"
    if java.version < OLDEST_JAVA:
        return f"{wanted} is needed, {java.program} is Java {java.version}. {way_out}"
    if java.version > NEWEST_JAVA and set(parts) & {"hdfs", "hbase"}:
        return f"HDFS and HBase need {wanted}, {java.program} is Java {java.version}. {way_out}"
    return None


def find_maven(environ: Mapping[str, str] = os.environ) -> str | None:
    """On PATH."""
    return shutil.which("mvn", path=environ.get("PATH"))


def maven_problem(cache: Path, parts: Iterable[PartName], environ: Mapping[str, str] = os.environ) -> str | None:
    """Whether Maven is needed and not there. It is not needed once the jars are in the cache."""
    absent = [part for part in parts if not jars.is_complete(jars.place(cache, part))]
    if not absent or find_maven(environ) is not None:
        return None
    return (
        f"Maven (mvn) is missing; it brings the jars of {' and '.join(absent)} once. Install it (Debian: maven),"
        f" or name another machine's cache folder with {jars.CACHE_VARIABLE}."
    )


def free_memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that processes could still take, in this machine and in this container; None if nobody says."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", proc.read_text(encoding="utf-8")) if proc.exists() else None
    free = [int(found[1]) * 1024] if found else []
    try:
        limit = int((group / "memory.max").read_text(encoding="utf-8"))
        used = int((group / "memory.current").read_text(encoding="utf-8"))
        cached = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(encoding="utf-8"), re.M)
        free.append(limit - used + (int(cached[1]) if cached else 0))
    except (OSError, ValueError):  # no such group, or no limit ("max")
        pass
    return min(free, default=None)


def memory_problem(servers: Iterable[Server], free: int | None) -> str | None:
    """Whether the servers would not fit."""
    needed = sum(server.memory for server in servers)
    if free is None or free >= needed * _MIB:
        return None
    return (
        f"The stack needs {needed:,} MiB of free memory, there are {free // _MIB:,}."
        " End something, or leave servers out (--no-kafka, --no-hdfs, --no-hbase)."
    )


def disk_problem(folder: Path, needed: int) -> str | None:
    """Whether the disk of `folder` (which need not exist yet) has less than `needed` MiB."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free // _MIB
    if free >= needed:
        return None
    return f"{folder} needs {needed:,} MiB of free disk, there are {free:,}. Make room, or name another folder."


def port_problem(servers: Iterable[Server], base: int) -> str | None:
    """Which ports are taken, by whatever does not belong to the stack."""
    taken = [
        f"{port} ({server.name})" for server in servers for port in server.ports.values() if not ports.is_free(port)
    ]
    if not taken:
        return None
    many = len(taken) > 1
    try:
        instead = f"--base-port {ports.free_base()}"
    except OSError:
        instead = "another --base-port"
    return (
        f"Port{'s' * many} {', '.join(taken)} {'are' if many else 'is'} taken by something else."
        f" End it, or use {instead} instead of {base}."
    )


def name_problem(parts: Iterable[PartName]) -> str | None:
    """Whether HDFS or HBase would end because they can not find out this machine's address."""
    if not set(parts) & {"hdfs", "hbase"}:
        return None
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return (
            f"This machine does not know the address of its own name, {name}; HDFS and HBase do not start so."
            f" Add the line `127.0.0.1 {name}` to /etc/hosts."
        )
    return None


def check(root: Path, cache: Path, servers: Iterable[Server], base: int, java: Java | None) -> None:
    """Raises StackRefused, which names everything that is missing for starting `servers` in `root`."""
    servers = list(servers)
    parts: list[PartName] = list(dict.fromkeys(server.part for server in servers))
    absent = sum(jars.MEGABYTES[part] for part in parts if not jars.is_complete(jars.place(cache, part)))
    problems = [
        java_problem(java, parts),
        maven_problem(cache, parts),
        name_problem(parts),
        port_problem(servers, base),
        memory_problem(servers, free_memory()),
        disk_problem(root, FOLDER_MIB),
        disk_problem(cache, 2 * absent) if absent else None,  # Maven keeps a copy of its own
    ]
    found = [problem for problem in problems if problem is not None]
    if found:
        raise StackRefused("\n".join(found))
