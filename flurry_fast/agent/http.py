"""Reports to a portal, as real agents post them: one connection a report, repeated and resent.

Only who writes a manifest or waits for a consumer group asks the portal more than an agent does: for receipts.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaException

from flurry_fast._core import HttpFleet
from flurry_fast.agent.job import Job, OutputFailed, Summary, View, open_throttle
from flurry_fast.agent.manifest import ManifestWriter
from flurry_fast.agent.producer import Deliveries
from flurry_fast.agent.simulator import Chunk
from flurry_fast.agent.throttle import OVERHEAD, CommitThrottle
from flurry_fast.agent.watch import Watcher
from flurry_fast.config.model import Kafka
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import KafkaUnavailable

_PATIENCE = 0.02
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
    """Posts chunks. The manifest, if there is one, has a line for each report that was answered with 200, with its
    place in Kafka where the portal told it."""

    def __init__(
        self,
        fleet: HttpFleet,
        manifest: ManifestWriter | None = None,
        throttle: CommitThrottle | None = None,
        *,
        stopped: Callable[[], bool] = lambda: False,
        waits: Callable[[], None] = lambda: None,
    ) -> None:
        """`stopped` ends a wait for the throttle's group, `waits` hears of each. A manifest without places or a
        throttle that never hears of a record: `fleet` must have `receipts`.
        """
        self._fleet, self._manifest, self._throttle = fleet, manifest, throttle
        self._stopped, self._waits = stopped, waits
        self._watched = manifest is not None or throttle is not None
        self._kept: dict[int, tuple[bytes, bytes]] = {}  # number -> payload, key: of those without an outcome
        self._in_flight = 0  # bytes of them
        self._posted = 0

    def send(self, chunk: Chunk) -> int:
        """Waits for the throttle's group and for devices to be free. Raises OSError."""
        taken = 0
        while taken < len(chunk.payloads):
            size = self._room(chunk.payloads, taken)
            if size == 0:
                break
            posted = self._post(chunk.payloads[taken : taken + size], chunk.keys[taken : taken + size])
            taken += posted
            if posted < size:
                break
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

    def _room(self, payloads: list[bytes], start: int) -> int:
        """How many reports from there on may be posted; 0 only when stopped."""
        if self._throttle is None:
            return len(payloads) - start
        began = time.monotonic()
        while (budget := self._throttle.budget(self._in_flight)) <= 0 and not self._stopped():
            self.poll(_PATIENCE)
            self._waits()
        self._throttle.waited += time.monotonic() - began
        end = start
        while end < len(payloads) and budget > 0:
            budget -= len(payloads[end]) + OVERHEAD
            end += 1
        return end - start

    def _post(self, payloads: list[bytes], keys: list[bytes]) -> int:
        if self._watched:
            self._kept |= enumerate(zip(payloads, keys, strict=True), self._posted)
            self._in_flight += sum(map(len, payloads))
        posted = self._fleet.post(payloads)
        self._posted += posted
        return posted

    def _note(self) -> None:
        """Outcomes since the last time."""
        if not self._watched:
            self._fleet.take_stored()
            self._fleet.take_lost()
            return
        for number, place in self._fleet.take_receipts():
            payload, key = self._forget(number)
            partition, offset, timestamp_ms = place or (None, None, None)
            if self._throttle is not None and partition is not None and offset is not None:
                self._throttle.stored(partition, offset, len(payload))
            if self._manifest is not None:
                self._manifest.write(payload, key, partition, offset, timestamp_ms)
        for number in self._fleet.take_lost():
            self._forget(number)
        if self._manifest is not None:
            self._manifest.flush()

    def _forget(self, number: int) -> tuple[bytes, bytes]:
        payload, key = self._kept.pop(number)
        self._in_flight -= len(payload)
        return payload, key


@dataclass(frozen=True)
class HttpJob(Job):
    """To a portal at `url`, by so many `devices` at a time. What is not stored is sent again `resends` times, after
    `resend_wait` seconds. With a throttle the commits of its group are asked of `kafka`."""

    url: str
    manifest: Path | None
    devices: int
    resends: int
    resend_wait: float
    keep_alive: bool
    kafka: Kafka
    throttle_group: str | None
    throttle_bytes: int

    def run(self, stopped: Callable[[], bool], watcher: Watcher) -> Summary:
        """Raises OutputFailed, FleetRefused, NoSuchPortal; with a throttle also as KafkaJob."""
        reports = self._make_fleet()
        portal = Portal.at(self.url)
        fleet = HttpFleet(
            portal.address,
            host=portal.host,
            devices=self.devices,
            resends=self.resends,
            resend_wait=self.resend_wait,
            keep_alive=self.keep_alive,
            receipts=self.manifest is not None or self.throttle_group is not None,
        )
        try:
            with ExitStack() as stack:
                manifest = stack.enter_context(ManifestWriter(self.manifest)) if self.manifest else None
                throttle = open_throttle(self.kafka, self.throttle_group, self.throttle_bytes, stack)
                view = View(watcher, throttle)
                over = self.bounds.over(stopped)
                target = HttpTarget(fleet, manifest, throttle, stopped=over, waits=view.waits)
                summary = self._send(
                    reports, target, over, lambda progress: view.moves(progress, fleet.counts()["stored"])
                )
                view.ends()
        except KafkaException as error:
            raise KafkaUnavailable(
                f"Commits of group {self.throttle_group} can not be asked for: {error.args[0].str()}."
            ) from None
        except OSError as error:
            raise OutputFailed(f"{error.filename or self.manifest} can not be written ({error.strerror}).") from None
        counts = fleet.counts()
        lost = {name: counts[name] for name in ("dropped", "given_up") if counts[name]}
        deliveries = Deliveries(summary.progress.reports, counts["stored"], sum(lost.values()), lost)
        latency = {name: round(fleet.quantile(share), 6) for name, share in QUANTILES.items()}
        http: dict[str, Any] = {**counts, "latency_seconds": latency}
        waited = throttle.waited if throttle else None
        return replace(summary, interrupted=stopped(), deliveries=deliveries, waited=waited, http=http)
