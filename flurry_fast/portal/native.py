"""From settings to what the native side is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flurry_fast._wire import Outlet
from flurry_fast.config.model import Settings
from flurry_fast.config.portal import Portal
from flurry_fast.errors import ConfigError, ConfigProblem
from flurry_fast.kafka import client_config
from flurry_fast.portal.apps import App

BURST_SECONDS = 10
REPORT_OVERHEAD = 2048  # rust/portal/src/room.rs
PARTITIONER = "murmur2"

Rate = tuple[float, float]  # reports a second, and how many at once


@dataclass(frozen=True)
class NativeSettings:
    """What `_core.Portal` reads, by name; bytes, seconds and counts (rust/portal/src/settings.rs)."""

    max_body: int
    max_head: int
    max_headers: int
    connections: int
    memory: int
    head_timeout: float
    body_timeout: float
    min_rate: int
    grace: float
    answer_timeout: float
    room_timeout: float
    hold: float
    keep_alive_requests: int
    protocol_header: bool
    address_header: str  # "none", "network", "whole"
    forwarded: bool
    spread: Mapping[bytes, int]
    apps: Mapping[bytes, Rate | None]
    unknown_keys: int | None  # None: any; 0: none
    key_rate: Rate | None
    address_rate: Rate | None
    log_every: int


def native_settings(portal: Portal, apps: Mapping[bytes, App]) -> NativeSettings:
    """All of it, checked already."""
    address = "whole" if "address" in portal.headers else "network" if "network" in portal.headers else "none"
    unknown = {"accept": None, "refuse": 0, "cap": portal.unknown_keys_cap}[portal.unknown_keys]
    return NativeSettings(
        max_body=portal.max_body,
        max_head=portal.max_head,
        max_headers=portal.max_headers,
        connections=portal.connections,
        memory=portal.memory,
        head_timeout=portal.head_timeout,
        body_timeout=portal.body_timeout,
        min_rate=portal.min_rate,
        grace=portal.grace,
        answer_timeout=portal.answer_timeout,
        room_timeout=portal.room_timeout,
        hold=portal.hold,
        keep_alive_requests=portal.keep_alive_requests,
        protocol_header="protocol" in portal.headers,
        address_header=address,
        forwarded=portal.forwarded,
        spread={key: app.shards for key, app in apps.items() if app.shards > 1},
        apps={key: _rate(app.rate, app.burst) for key, app in apps.items()},
        unknown_keys=unknown,
        key_rate=_rate(portal.key_rate or None),
        address_rate=_rate(portal.address_rate or None),
        log_every=round(1 / portal.access_log) if portal.access_log else 0,
    )


def _rate(rate: float | None, burst: float | None = None) -> Rate | None:
    return None if rate is None else (rate, max(1.0, burst or rate * BURST_SECONDS))


def producer_config(settings: Settings) -> dict[str, Any]:
    """librdkafka's settings: tuned where nothing else is asked for, and what "stored" means, whatever is asked for."""
    portal = settings.portal
    client = client_config(settings.kafka)
    del client["logger"]  # confluent-kafka's own; the outlet hands its lines over
    tuned: dict[str, Any] = {"compression.type": "lz4", "batch.size": 1_000_000}
    fixed: dict[str, Any] = {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": PARTITIONER,
        "linger.ms": portal.linger * 1000,
        "message.timeout.ms": max(round(portal.answer_timeout * 1000), round(portal.linger * 1000) + 1),
        # The portal's own budget is the bound; librdkafka's must not be hit before.
        "queue.buffering.max.messages": min(10_000_000, portal.memory // REPORT_OVERHEAD + 1),
        "queue.buffering.max.kbytes": min(2_147_483_647, portal.memory // 1024 + 1024),
        "message.max.bytes": portal.max_body + 64 * 2**10,
    }
    # An alias set by the user must not come after its fixed value: librdkafka takes the last.
    return tuned | {name: value for name, value in client.items() if name not in fixed} | fixed


def open_outlet(settings: Settings) -> Outlet:
    """A producer to the topic of the settings; nothing is sent yet. Raises ConfigError for what librdkafka refuses."""
    try:
        return Outlet(producer_config(settings), settings.kafka.topic, embedded=settings.kafka.bootstrap is None)
    except ValueError as error:
        raise ConfigError([ConfigProblem("settings", "kafka.librdkafka", str(error).rstrip("."))]) from None
