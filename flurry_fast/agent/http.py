"""Reports to a portal, as real agents post them: one connection a report, repeated and resent.

Only who writes a manifest or waits for a consumer group asks the portal more than an agent does: for receipts.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
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
_ASK_SECONDS = 2.0
PORTS = {"http": 80, "https": 443}
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


class NoSuchPortal(FlurryFastError):
    """The address is none, its host is not known, or nobody says whose certificates are good."""

    exit_code = 2


@dataclass(frozen=True)
class Portal:
    """Where devices post: `address` is IP:PORT, `host` what they call it, `tls_name` what its certificate must say
    (None: plain HTTP)."""

    address: str
    host: str
    tls_name: str | None = None

    @staticmethod
    def at(url: str) -> Portal:
        """Of `http://HOST[:PORT]` or `https://HOST[:PORT]`. Raises NoSuchPortal."""
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            parts, port = urlsplit(""), 0
        name = parts.hostname
        if parts.scheme not in PORTS or not name or parts.path not in ("", "/") or parts.query:
            raise NoSuchPortal(
                f"{url!r} is not http://HOST[:PORT] or https://HOST[:PORT].", way_out="Agents add the path themselves."
            )
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NoSuchPortal(f"{name} is not known: {error.strerror}.") from None
        ip = _that_answers([str(each[4][0]) for each in found], port)
        address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        return Portal(address, parts.netloc, name if parts.scheme == "https" else None)


def _that_answers(addresses: list[str], port: int) -> str:
    """The first that takes a connection, or the first of all: a name may be two addresses, and a portal on one."""
    for address in addresses if len(addresses) > 1 else []:
        with suppress(OSError), socket.create_connection((address, port), timeout=_ASK_SECONDS):
            return address
    return addresses[0]


def system_authorities() -> Path:
    """The PEM file of those that this machine trusts. Raises NoSuchPortal where it has none."""
    found = ssl.get_default_verify_paths().cafile
    if found is None:
        raise NoSuchPortal("This machine has no file of certificate authorities.", way_out="Name one with --ca FILE.")
    return Path(found)


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
        if chunk.batch is not None and not self._watched:
            taken = self._fleet.post_batch(chunk.batch)
            self._note()
            return taken
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
            self._fleet.forget()
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
    `resend_wait` seconds. With a throttle the commits of its group are asked of `kafka`. The certificate of an https
    portal is held against the file `authorities` (None: the system's), or against nothing if `insecure`."""

    url: str
    authorities: Path | None
    insecure: bool
    manifest: Path | None
    devices: int
    threads: int
    resends: int
    resend_wait: float
    keep_alive: bool
    kafka: Kafka
    throttle_group: str | None
    throttle_bytes: int

    def run(self, stopped: Callable[[], bool], watcher: Watcher) -> Summary:
        """Raises OutputFailed, FleetRefused, NoSuchPortal; with a throttle also as KafkaJob."""
        reports = self._make_fleet()
        fleet = self._devices(Portal.at(self.url))
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
        http: dict[str, Any] = {**counts, "latency_seconds": latency, "trouble": fleet.trouble}
        waited = throttle.waited if throttle else None
        return replace(summary, interrupted=stopped(), deliveries=deliveries, waited=waited, http=http)

    def _devices(self, portal: Portal) -> HttpFleet:
        if portal.tls_name is None and (self.authorities or self.insecure):
            raise NoSuchPortal(f"{self.url} is not https, but --ca and --insecure are about certificates.")
        authorities = None
        if portal.tls_name is not None and not self.insecure:
            authorities = self.authorities or system_authorities()
        try:
            return HttpFleet(
                portal.address,
                host=portal.host,
                tls_name=portal.tls_name,
                authorities=authorities,
                devices=self.devices,
                threads=self.threads,
                resends=self.resends,
                resend_wait=self.resend_wait,
                keep_alive=self.keep_alive,
                receipts=self.manifest is not None or self.throttle_group is not None,
            )
        except ValueError as error:
            if len(error.args) != 2:
                raise
            what, reason = error.args
            raise NoSuchPortal(f"{what} can not be used: {reason.rstrip('.')}.") from None
