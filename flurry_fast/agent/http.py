"""Reports to a portal, as real agents post them: one connection a report, repeated and resent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flurry_fast._core import HttpFleet
from flurry_fast.agent.job import Job, OutputFailed, Summary
from flurry_fast.agent.manifest import ManifestWriter
from flurry_fast.agent.producer import Deliveries
from flurry_fast.agent.run import Progress
from flurry_fast.agent.simulator import Chunk
from flurry_fast.agent.watch import State, Watcher
from flurry_fast.errors import FlurryFastError

QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


class NoSuchPortal(FlurryFastError):
    """The address is none, or its host is not known."""

    exit_code = 2


@dataclass(frozen=True)
class Portal:
    """Where devices post: `address` is IP:PORT, `host` what they call it."""

    address: str
    host: str

    @staticmethod
    def at(url: str) -> Portal:
        """Of `http://HOST[:PORT]`. Raises NoSuchPortal."""
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise NoSuchPortal(f"{url!r} is not http://HOST[:PORT].", way_out="Agents add the path themselves.")
        try:
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NoSuchPortal(f"{parts.hostname} is not known: {error.strerror}.") from None
        ip = found[0][4][0]
        return Portal(f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}", parts.netloc)


class HttpTarget:
    """Posts chunks; the manifest, if there is one, has a line for each report that was answered with 200."""

    def __init__(self, fleet: HttpFleet, manifest: ManifestWriter | None) -> None:
        self._fleet, self._manifest = fleet, manifest
        self._kept: dict[int, tuple[bytes, bytes]] = {}  # number -> payload, key: of those without an outcome
        self._posted = 0

    def send(self, chunk: Chunk) -> int:
        """Waits for devices to be free. Raises OSError."""
        if self._manifest is not None:
            self._kept |= enumerate(zip(chunk.payloads, chunk.keys, strict=True), self._posted)
        taken = self._fleet.post(chunk.payloads)
        self._posted += taken
        self._note()
        return taken

    def poll(self, seconds: float) -> None:
        """Raises OSError."""
        time.sleep(seconds)
        self._note()

    def finish(self) -> None:
        """Raises OSError."""
        self._fleet.finish()
        self._note()

    def _note(self) -> None:
        for number in self._fleet.take_stored():
            if self._manifest is not None:
                payload, key = self._kept.pop(number)
                self._manifest.write(payload, key)


@dataclass(frozen=True)
class HttpJob(Job):
    """To a portal at `url`, by so many `devices` at a time. What is not stored is sent again `resends` times, after
    `resend_wait` seconds."""

    url: str
    manifest: Path | None
    devices: int
    resends: int
    resend_wait: float
    keep_alive: bool

    def run(self, stopped: Callable[[], bool], watcher: Watcher) -> Summary:
        """Raises OutputFailed, FleetRefused, NoSuchPortal."""
        reports = self._make_fleet()
        portal = Portal.at(self.url)
        fleet = HttpFleet(
            portal.address,
            host=portal.host,
            devices=self.devices,
            resends=self.resends,
            resend_wait=self.resend_wait,
            keep_alive=self.keep_alive,
        )

        def show(progress: Progress) -> None:
            acked = fleet.counts()["stored"]
            watcher.show(State(progress.reports, progress.payload_bytes, progress.seconds, acked))

        try:
            with ExitStack() as stack:
                manifest = stack.enter_context(ManifestWriter(self.manifest)) if self.manifest else None
                target = HttpTarget(fleet, manifest)
                over = self.bounds.over(stopped)
                summary = self._send(reports, target, over, lambda now: show(now) if watcher.due() else None)
                show(summary.progress)
        except OSError as error:
            raise OutputFailed(f"{error.filename or self.manifest} can not be written ({error.strerror}).") from None
        counts = fleet.counts()
        lost = {name: counts[name] for name in ("dropped", "given_up") if counts[name]}
        deliveries = Deliveries(summary.progress.reports, counts["stored"], sum(lost.values()), lost)
        latency = {name: round(fleet.quantile(share), 6) for name, share in QUANTILES.items()}
        http: dict[str, Any] = {**counts, "latency_seconds": latency}
        return replace(summary, interrupted=stopped(), deliveries=deliveries, http=http)
