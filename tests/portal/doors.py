"""Portals in processes of their own, and raw clients in front of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whole_topic import read_topic

from flurry_fast.broker import EmbeddedBroker

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


def wait_until(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


class Door:
    """A running `flurry-fast portal`."""

    def __init__(self, folder: Path, broker: EmbeddedBroker | None, topic: str, port: int = 0, **settings: Any) -> None:
        """`broker`: None where the settings name real ones."""
        folder.mkdir(parents=True, exist_ok=True)
        self.topic, self._status, self.log = topic, folder / "portal.json", folder / "portal.log"
        self._status.unlink(missing_ok=True)
        given = {
            **({"kafka.broker_file": broker.path} if broker else {}),
            "kafka.topic": topic,
            "portal.port": port,
            "portal.status_file": self._status,
            "log.format": "json",
            **{name.replace("__", "."): value for name, value in settings.items()},
        }
        flags = [item for name, value in given.items() for item in ("--set", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flurry_fast", "portal", *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        try:
            wait_until(lambda: self.is_ready() or self.process.poll() is not None, "the portal is ready")
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.kill()
            raise

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._status.read_text())
        return found

    def is_ready(self) -> bool:
        try:
            status = self.status()
        except (OSError, ValueError):
            return False
        workers = status.get("workers")
        return status["phase"] == "running" and (not workers or all(worker["steady"] for worker in workers.values()))

    @property
    def address(self) -> tuple[str, int]:
        for line in self.log.read_text().splitlines():
            if '"address"' in line:
                host, _, port = json.loads(line)["address"].rpartition(":")
                return host, int(port)
        raise AssertionError(self.log.read_text())

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    # --- clients ---------------------------------------------------------------------------------------------

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=SECONDS)

    def send(self, request: bytes, *, half_close: bool = False) -> bytes:
        """Everything that comes back until the portal closes; a reset reads as the end."""
        with self.connect() as client:
            try:
                client.sendall(request)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return read_all(client)


def has_stored(door: Door, reports: int) -> bool:
    stored: int = door.status()["records"]
    return stored >= reports


def read_all(client: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            part = client.recv(65536)
        except ConnectionError:
            return found
        if not part:
            return found
        found += part


def request(body: bytes, *extra: str, path: str = "/aap.do", length: object = None) -> bytes:
    """A post with Android's headers."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Content-Type: application/octet-stream",
        f"Content-Length: {len(body) if length is None else length}",
        "Host: data.flurry.com",
        "Connection: Keep-Alive",
        *extra,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def headers_of(answer: bytes) -> dict[str, str]:
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def payloads(broker: EmbeddedBroker, topic: str) -> Counter[bytes]:
    return Counter(message.value() or b"" for message in read_topic(broker, topic))


def simulate(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Exit status, standard output and error of `flurry-fast simulate`."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "flurry_fast", "simulate", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=SECONDS,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr
