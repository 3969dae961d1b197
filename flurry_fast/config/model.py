"""Every setting of flurry_fast: one frozen value, parsed once and passed down.

A field's `json_schema_extra={"unit": ...}` is what documentation and `config show` print it in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from flurry_fast.config.hbase import parse_hbase
from flurry_fast.config.places import ArchiveRoot
from flurry_fast.config.portal import Portal
from flurry_fast.config.section import BYTES, SECONDS, Section
from flurry_fast.config.units import ByteSize, Duration

SECRET_WORDS = ("password", "secret", "ssl.key", "token", "jaas", "oauthbearer.config")

# Set by the consumer itself: the scheme is only exact with these values (docs/exactness.md).
RESERVED_LIBRDKAFKA = {
    "bootstrap.servers": "use kafka.bootstrap",
    "metadata.broker.list": "use kafka.bootstrap",
    "group.id": "use kafka.group",
    "group.instance.id": "use kafka.instance_id",
    "session.timeout.ms": "use kafka.session_timeout",
    "group.protocol": "use kafka.protocol",
    "enable.auto.commit": "positions are committed only after every sink has them",
    "enable.auto.offset.store": "positions are committed only after every sink has them",
    "auto.offset.reset": "a reset would lose or repeat records, it is always error",
    "isolation.level": "offsets below a position must not appear later",
    "enable.partition.eof": "the drain expects records only",
    "partitioner": "a session must always meet the same partition",
}


class Kafka(Section):
    """Where reports come from."""

    bootstrap: str | None = Field(
        None, description="Brokers as host:port, comma-separated. Unset: the embedded broker named by broker_file."
    )
    topic: str = Field("reports", min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$", description="The topic.")
    group: str = Field("flurry-fast", min_length=1, description="The consumer group.")
    broker_file: Path = Field(
        Path("data/broker.json"), description="Where `flurry-fast broker` writes its address; read without bootstrap."
    )
    connect_timeout: Duration = Field(
        30.0, gt=0, le=3600, description="How long to wait for a broker at the start.", json_schema_extra=SECONDS
    )
    request_timeout: Duration = Field(
        10.0, gt=0, le=300, description="Deadline of one metadata, watermark or commit call.", json_schema_extra=SECONDS
    )
    session_timeout: Duration = Field(
        10.0,
        ge=1,
        le=1800,
        description="A consumer silent for this long loses its partitions; a third of it is what a revoke may drain."
        " With the new protocol the brokers' own holds instead.",
        json_schema_extra=SECONDS,
    )
    protocol: Literal["auto", "classic", "consumer"] = Field(
        "auto",
        description="How the group is kept: `classic`, or `consumer` for the new protocol of KIP-848 (Kafka 4.0)."
        " auto: consumer where the brokers offer it with a session no longer than session_timeout and no instance_id is"
        " set, else classic.",
    )
    instance_id: str | None = Field(
        None,
        min_length=1,
        description="Static member name: a restarted process takes its partitions back at once. One per process; with"
        " several workers the beginning of their names (unset: the host's name).",
    )
    librdkafka: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Passed to librdkafka as they are (TLS, SASL, fetch tuning)."
    )
    secret_files: dict[str, Path] = Field(
        default_factory=dict, description="librdkafka settings whose value is the content of a file (passwords)."
    )

    @field_validator("librdkafka", "secret_files")
    @classmethod
    def _refuse_reserved(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in RESERVED_LIBRDKAFKA:
                raise ValueError(f"{name} can not be set here: {RESERVED_LIBRDKAFKA[name]}")
        return value


class Consume(Section):
    """The consumer loop."""

    sinks: tuple[Literal["counters", "archive"], ...] = Field(
        ("counters", "archive"), min_length=1, description="What this process writes, in its own consumer group."
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes on this host; above 1 they are supervised. Everything else holds for each of them.",
    )
    batch_messages: int = Field(10_000, ge=1, le=1_000_000, description="Most messages of one turn of the loop.")
    batch_bytes: ByteSize = Field(
        16 * 2**20, ge=2**16, le=2**30, description="Most payload bytes of one turn.", json_schema_extra=BYTES
    )
    batch_wait: Duration = Field(
        0.1, ge=0.001, le=5, description="Longest wait for a message in one turn.", json_schema_extra=SECONDS
    )
    memory: ByteSize = Field(
        2**30,
        ge=96 * 2**20,
        description="Budget over the fetch queue (32 MiB), batch, blocks, archive buffers and flushes in flight; each"
        " worker has one.",
        json_schema_extra=BYTES,
    )
    drain_timeout: Duration | None = Field(
        None,
        gt=0,
        description="What a revoke or a SIGTERM may spend on writing. Unset: a third of the session time-out in force.",
        json_schema_extra=SECONDS,
    )
    commit_interval: Duration = Field(
        1.0, ge=0.05, le=300, description="How often the durable minimum is committed.", json_schema_extra=SECONDS
    )
    unhealthy_after: Duration = Field(
        120.0,
        gt=0,
        description="Health turns red when nothing became durable for this long although there is something to write.",
        json_schema_extra=SECONDS,
    )
    status_file: Path | None = Field(
        None,
        description="Rewritten atomically every second with what the consumer is doing, as one JSON line. With several"
        " workers it sums them up, and each has its own beside it, with its number.",
    )


class Counters(Section):
    """The counters sink."""

    store: str = Field(
        "sqlite:data/counters.sqlite",
        description="Cell store: sqlite:PATH, hbase://HOST[:PORT][/PREFIX] (its Thrift gateway; docs/hbase.md), or"
        " memory: (forgotten at exit; for tries and tests).",
    )

    @field_validator("store")
    @classmethod
    def _known_store(cls, value: str) -> str:
        kind, _, rest = value.partition(":")
        if kind == "hbase":
            parse_hbase(value)
        elif kind not in ("sqlite", "memory") or (kind == "sqlite" and not rest):
            raise ValueError(f"{value!r} names no cell store, there are sqlite:PATH, hbase://HOST:PORT and memory:")
        return value

    flush_bytes: ByteSize = Field(
        512 * 2**20,
        ge=1,
        description="Flush when blocks that are unwritten take this much memory, with all that was in them before.",
        json_schema_extra=BYTES,
    )
    flush_rows: int = Field(1_000_000, ge=1, description="Flush when this many blocks are unwritten.")
    flush_slice: ByteSize = Field(
        64 * 2**20,
        ge=1,
        description="A flush takes the partitions that have waited longest, until their blocks are about so many bytes;"
        " the others follow. What is being written is in memory twice.",
        json_schema_extra=BYTES,
    )
    flush_age: Duration = Field(
        10.0,
        gt=0,
        le=86400,
        description="Flush when the oldest unwritten record is this old, at the latest (unset with the embedded broker:"
        " 2s).",
        json_schema_extra=SECONDS,
    )
    flush_age_min: Duration = Field(
        0.5,
        gt=0,
        le=86400,
        description="How soon an idle consumer flushes. A busy one waits longer, up to counters.flush_age:"
        " see counters.flush_share.",
        json_schema_extra=SECONDS,
    )
    flush_age_behind: Duration = Field(
        60.0,
        gt=0,
        le=86400,
        description="The same as counters.flush_age while reading is behind the log (batches come full): newer records"
        " wait for older ones then, and the longer blocks are added to, the fewer are written.",
        json_schema_extra=SECONDS,
    )
    flush_share: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Flushes may take this share of the time: the next one waits until the last one's duration was"
        " no more of it. 1: at once after counters.flush_age_min.",
    )
    chunk_rows: int = Field(
        20_000, ge=1, le=100_000, description="Blocks of one store call, of however many partitions."
    )
    gateway_sockets: int = Field(
        2, ge=1, le=16, description="Connections to an HBase gateway over which blocks go at the same time."
    )
    gateway_calls: int = Field(
        2, ge=1, le=8, description="Calls to an HBase gateway that may be unanswered on one connection."
    )
    write_timeout: Duration = Field(
        30.0, gt=0, le=3600, description="Deadline of one store call.", json_schema_extra=SECONDS
    )
    retry_wait: Duration = Field(
        0.2,
        gt=0,
        le=60,
        description="First pause before a failed flush is sent again; it doubles.",
        json_schema_extra=SECONDS,
    )
    retry_wait_max: Duration = Field(
        10.0, gt=0, le=600, description="Longest pause between two tries.", json_schema_extra=SECONDS
    )


class Archive(Section):
    """The archive sink."""

    root: ArchiveRoot = Field(
        "data/archive",
        description="Folder of the raw data log archive (Parquet): a local path, hdfs://HOST:PORT/FOLDER or"
        " hdfs://NAMESERVICE/FOLDER.",
    )
    roll_bytes: ByteSize = Field(
        128 * 2**20, ge=2**10, description="Close a file at this many wire bytes.", json_schema_extra=BYTES
    )
    roll_rows: int = Field(200_000, ge=1, le=10_000_000, description="Close a file at this many reports.")
    roll_age: Duration = Field(
        60.0,
        gt=0,
        le=86400,
        description="Close a file when its first report waited this long (unset with the embedded broker: 2s).",
        json_schema_extra=SECONDS,
    )
    writer: Literal["native", "pyarrow"] = Field(
        "native",
        description="Who encodes the files: our own encoder, or pyarrow, several times slower. Columns are the same.",
    )
    compression_level: int = Field(1, ge=1, le=19, description="Zstandard level; higher ones gain little.")
    retry_wait: Duration = Field(
        0.5,
        gt=0,
        le=60,
        description="First pause before a failed file is tried again; it doubles.",
        json_schema_extra=SECONDS,
    )
    retry_wait_max: Duration = Field(
        30.0, gt=0, le=600, description="Longest pause between two tries.", json_schema_extra=SECONDS
    )
    call_timeout: Duration = Field(
        60.0,
        gt=0,
        le=3600,
        description="Deadline of one HDFS call; what has no answer by then is tried again.",
        json_schema_extra=SECONDS,
    )
    parallel_files: int = Field(
        4,
        ge=1,
        le=64,
        description="Files of different partitions that are published at once on HDFS, where a close may take half a"
        " second; local files go one after the other.",
    )


class PlanFile(Section):
    """What is counted."""

    path: Path | None = Field(None, description="A plan in TOML (docs/counters.md). Unset: the plan of the package.")


class Metrics(Section):
    """Prometheus."""

    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="Port of /metrics and /health; 0: none. With several workers, worker n has the n-th port above."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")


class Log(Section):
    """What the process says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="console for people, json for collectors; auto: console on a terminal, else json."
    )


class Settings(Section):
    """All settings; every section has defaults that work on an empty machine, below ./data."""

    kafka: Kafka = Kafka()
    consume: Consume = Consume()
    counters: Counters = Counters()
    archive: Archive = Archive()
    plan: PlanFile = PlanFile()
    portal: Portal = Portal()
    metrics: Metrics = Metrics()
    log: Log = Log()

    @model_validator(mode="after")
    def _flushes_fit(self) -> Settings:
        if self.consume.batch_bytes * 4 > self.consume.memory:
            raise ValueError("consume.memory must be at least four times consume.batch_bytes")
        return self


def is_secret(key: str) -> bool:
    """Whether a dotted key's value must never be shown."""
    return any(word in key.lower() for word in SECRET_WORDS) and not key.startswith("kafka.secret_files")
