"""Settings of the HTTP front door."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from flurry_fast.config.section import BYTES, SECONDS, Section
from flurry_fast.config.units import ByteSize, Duration


class Portal(Section):
    """The Agent Portal (docs/portal.md)."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; `::` or `0.0.0.0` for all.")
    port: int = Field(8080, ge=0, le=65535, description="Port of reports, /healthz and /readyz; 0: any free one.")
    workers: int = Field(
        1, ge=1, le=256, description="Processes on this host; above 1 they are supervised and share one socket."
    )
    certificate: Path | None = Field(
        None, description="PEM file with the certificate chain: HTTPS in place of HTTP, TLS 1.2 and 1.3."
    )
    key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    memory: ByteSize = Field(
        256 * 2**20,
        ge=2**20,
        description="Bytes of bodies, with 2 KiB a report, from the first that is read until Kafka has them. A full"
        " budget makes requests wait, then be closed. Each worker has one.",
        json_schema_extra=BYTES,
    )
    connections: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Open connections of each worker; further ones wait in the system's backlog.",
    )
    max_body: ByteSize = Field(
        4 * 2**20, ge=2**10, le=16 * 2**20, description="Longest body that is taken.", json_schema_extra=BYTES
    )
    max_head: ByteSize = Field(
        16 * 2**10,
        ge=8 * 2**10,
        le=2**20,
        description="Longest request head, and the read buffer of a connection.",
        json_schema_extra=BYTES,
    )
    max_headers: int = Field(64, ge=8, le=1024, description="Most headers of a request.")
    head_timeout: Duration = Field(
        10.0,
        gt=0,
        le=3600,
        description="From the accept (or the answer before) to a whole request head; a TLS handshake has as much.",
        json_schema_extra=SECONDS,
    )
    body_timeout: Duration = Field(
        60.0, gt=0, le=3600, description="From the head to the end of the body.", json_schema_extra=SECONDS
    )
    min_rate: ByteSize = Field(
        2**10,
        ge=1,
        description="Slowest body, bytes a second, after the grace time.",
        json_schema_extra=BYTES,
    )
    grace: Duration = Field(
        5.0, gt=0, le=600, description="For which a body may be slower than that.", json_schema_extra=SECONDS
    )
    answer_timeout: Duration = Field(
        10.0,
        ge=0.1,
        le=300,
        description="How long Kafka may take for a report before its connection is closed. Agents up to 148 wait 15 s.",
        json_schema_extra=SECONDS,
    )
    room_timeout: Duration = Field(
        1.0,
        gt=0,
        le=60,
        description="How long a request waits for memory before its connection is closed.",
        json_schema_extra=SECONDS,
    )
    hold: Duration = Field(
        0.2,
        ge=0,
        le=10,
        description="How long a connection that was refused is held before it is closed: agents repeat a post that is"
        " closed at once, up to four times within 100 ms.",
        json_schema_extra=SECONDS,
    )
    keep_alive_requests: int = Field(
        1000, ge=1, description="Most requests of one connection, for clients that ask for more than one."
    )
    linger: Duration = Field(
        0.005, ge=0, le=1, description="How long a report waits for others in its batch.", json_schema_extra=SECONDS
    )
    drain_timeout: Duration = Field(
        20.0,
        gt=0,
        le=600,
        description="After SIGTERM: what requests that are open may take to end.",
        json_schema_extra=SECONDS,
    )
    headers: tuple[Literal["protocol", "network", "address"], ...] = Field(
        ("protocol",),
        description="Headers of each record: the agent's protocol; the client's address, cut to its first 24 bits"
        " (IPv6: 48) by `network`, whole by `address`.",
    )
    forwarded: bool = Field(
        False, description="Take the client's address from the last entry of X-Forwarded-For (behind a proxy only)."
    )
    apps: str | None = Field(
        None, description="Registry of API keys: a TOML file, or sqlite:PATH (docs/portal.md). Read at the start."
    )
    unknown_keys: Literal["accept", "refuse", "cap"] = Field(
        "accept",
        description="API keys that are not in the registry: accepted, refused, or accepted up to unknown_keys_cap.",
    )
    unknown_keys_cap: int = Field(
        10_000, ge=1, le=10_000_000, description="Most different unknown keys that a worker accepts with `cap`."
    )
    key_rate: float = Field(
        0,
        ge=0,
        description="Reports a second of one API key that each worker takes, bursts of ten seconds' worth; 0: any.",
    )
    address_rate: float = Field(
        0, ge=0, description="The same of one client address (IPv6: of its first 64 bits); 0: any."
    )
    access_log: float = Field(
        0, ge=0, le=1, description="Share of reports that the log tells of: outcome, bytes, seconds, protocol."
    )
    status_file: Path | None = Field(
        None, description="Rewritten atomically every second with what the portal is doing, as one JSON line."
    )

    @model_validator(mode="after")
    def _fits(self) -> Portal:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("portal.certificate and portal.key come together")
        if self.max_body + 2**12 > self.memory:
            raise ValueError("portal.memory must have room for a body of portal.max_body")
        return self
