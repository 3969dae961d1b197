"""HTTP servers that take reports, one process each, and what devices see of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.child import ROOT
from bench.contenders.collector import BOOTSTRAP
from bench.contenders.collector import TOPIC as TOPIC_VARIABLE
from bench.processes import TICKS, family_seconds, memory_bytes
from flurry_fast._core import HttpFleet
from flurry_fast.broker import EmbeddedBroker

TOPIC = "reports"
PARTITIONS = 16
PATIENCE = 60.0  # seconds for a server to listen
DEVICE_THREAD = "flurry-devices"
BARE, PORTAL, AIOHTTP, UVICORN, GRANIAN = "bare hyper", "portal", "aiohttp", "uvicorn", "granian"
FRONT_ENDS = (BARE, PORTAL, AIOHTTP, UVICORN, GRANIAN)
MODULES = {name: f"bench.contenders.{name}_collector" for name in (AIOHTTP, UVICORN, GRANIAN)}


@dataclass(frozen=True)
class FrontEnd:
    """One that listens at `address` (host:port); `pid`: its first process. `status`: the portal's status file."""

    name: str
    address: str
    pid: int
    status: Path

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def peak_bytes(self) -> int:
        """The most memory that was resident at a time (VmHWM)."""
        return memory_bytes(self.pid, "VmHWM")


@contextmanager
def front_end(
    name: str, broker: EmbeddedBroker, *, core: int | None = None, settings: Mapping[str, object] | None = None
) -> Iterator[FrontEnd]:
    """Running, with all of its processes on `core` if one is given; `settings`: more of the portal's."""
    with TemporaryDirectory() as folder:
        status = Path(folder) / "status.json"
        pin = ["taskset", "-c", str(core)] if core is not None else []
        process = subprocess.Popen(
            [*pin, *_command(name, broker, status, settings or {})],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, BOOTSTRAP: broker.file.bootstrap, TOPIC_VARIABLE: TOPIC},
        )
        try:
            yield FrontEnd(name, _address(name, process, status), process.pid, status)
        finally:
            process.terminate()  # granian's worker would go on by itself after a kill
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.communicate()


def _command(name: str, broker: EmbeddedBroker, status: Path, settings: Mapping[str, object]) -> list[str]:
    if name == BARE:
        return [_built_bare(), "127.0.0.1:0"]
    if name in MODULES:
        return [sys.executable, "-m", MODULES[name]]
    given = {"kafka.broker_file": broker.path, "portal.port": 0, "portal.status_file": status, "log.level": "error"}
    flags = [item for key, value in {**given, **settings}.items() for item in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "flurry_fast", "portal", *flags]


def _built_bare() -> str:
    manifest = ["--manifest-path", str(ROOT / "rust" / "Cargo.toml"), "--package", "flurry-portal"]
    built = subprocess.run(
        ["cargo", "build", "--release", "--locked", "--message-format=json", *manifest, "--example", "bare"],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in built.stdout.splitlines()]
    found: str = next(line["executable"] for line in reversed(lines) if line.get("executable"))
    return found


def _address(name: str, process: subprocess.Popen[str], status: Path) -> str:
    end = time.monotonic() + PATIENCE
    if name != PORTAL:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        host, _, port = address.rpartition(":")
        while True:  # granian says it before it listens
            with suppress(OSError), socket.create_connection((host, int(port))):
                return address
            assert time.monotonic() < end
            time.sleep(0.05)
    while not status.exists():
        assert process.poll() is None, "the portal ended"
        assert time.monotonic() < end
        time.sleep(0.05)
    found: str = json.loads(status.read_text())["address"]
    return found


@dataclass(frozen=True)
class Measured:
    """One front end in one mode."""

    rate: float  # acknowledged reports a second
    cpu: float  # microseconds of its processes a report
    devices_cpu: float  # of the devices' thread
    latency: tuple[float, float, float]  # p50, p99, p99.9 in milliseconds


def measure(server: FrontEnd, bodies: Sequence[bytes], devices: int, *, keep: bool) -> Measured:
    """All bodies once. Raises AssertionError where not all are acknowledged."""
    fleet = HttpFleet(server.address, host="bench", devices=devices, keep_alive=keep)
    cpu, mine, started = family_seconds(server.pid), devices_seconds(), time.monotonic()
    fleet.post(list(bodies))
    while fleet.counts()["stored"] < len(bodies) and time.monotonic() < started + 600:
        time.sleep(0.005)  # its thread must live on until its time was read
    seconds, cpu, mine = time.monotonic() - started, family_seconds(server.pid) - cpu, devices_seconds() - mine
    assert fleet.counts()["stored"] == len(bodies), fleet.counts()
    fleet.finish()
    latency = (fleet.quantile(0.5) * 1e3, fleet.quantile(0.99) * 1e3, fleet.quantile(0.999) * 1e3)
    return Measured(len(bodies) / seconds, cpu / len(bodies) * 1e6, mine / len(bodies) * 1e6, latency)


def devices_seconds() -> float:
    """User and system time of this process's device threads that live."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            text = (task / "stat").read_text()
            if f"({DEVICE_THREAD})" in text:
                fields = text.rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def said_to(address: str, path: str) -> bytes:
    """All that one post is answered with."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 6\r\n\r\nreport".encode())
        found = b""
        with suppress(ConnectionError, TimeoutError):
            while part := client.recv(4096):
                found += part
        return found
