"""Reports to Kafka: idempotent, acknowledged by all replicas, every failed delivery counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from flurry_fast.agent.manifest import ManifestWriter
from flurry_fast.agent.simulator import Chunk
from flurry_fast.agent.throttle import OVERHEAD, CommitThrottle

# A session must always meet the same partition, also from other clients: Java's hash, said aloud.
PARTITIONER = "murmur2"
_QUEUE_REPORTS = 200_000
_QUEUE_KILOBYTES = 256 * 1024
_PATIENCE = 0.1


def producer_config(client: dict[str, Any]) -> dict[str, Any]:
    """Settings of the producer over those of any client (`kafka.client_config`)."""
    return client | {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": PARTITIONER,
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": _QUEUE_REPORTS,
        "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
        "delivery.timeout.ms": 120_000,
    }


@dataclass
class Deliveries:
    """What became of the reports so far. `offsets`: partition -> (first, last, reports) of acknowledged ones."""

    produced: int = 0
    acked: int = 0
    failed: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    offsets: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def foreign(self) -> int:
        """Offsets between our own that are not ours: another producer's, or a report that the broker stored twice."""
        return sum(last - first + 1 - reports for first, last, reports in self.offsets.values())


class ReportProducer:
    """Sends chunks to one topic. With a manifest or a throttle every delivery is looked at, else only failed ones."""

    def __init__(
        self,
        client: dict[str, Any],
        topic: str,
        *,
        manifest: ManifestWriter | None = None,
        throttle: CommitThrottle | None = None,
        stopped: Callable[[], bool] = lambda: False,
        waits: Callable[[], None] = lambda: None,
        embedded: bool = False,
    ) -> None:
        """`client`: settings of a confluent-kafka client; `stopped` ends a wait for room, `waits` hears of each.

        `embedded`: the broker is librdkafka's mock cluster, which acknowledges every report with a made-up append
        time (1234) but keeps the producer's; the manifest must say what consumers will see.
        """
        self._topic = topic
        self._manifest = manifest
        self._throttle = throttle
        self._stopped = stopped
        self._waits = waits
        self._embedded = embedded
        self._in_flight = 0  # bytes; only where deliveries are watched
        self._fatal: KafkaError | None = None
        self._watched = manifest is not None or throttle is not None
        self.deliveries = Deliveries()
        self._producer = Producer(
            producer_config(client)
            | {
                "on_delivery": self._failed,
                "delivery.report.only.error": not self._watched,
                "error_cb": self._troubled,
            }
        )

    def send(self, chunk: Chunk) -> int:
        """Queue the chunk, waiting for room; returns how many reports were queued (fewer only when stopped).

        Raises KafkaException when the producer has failed for good, OSError where the manifest cannot be written.
        """
        budget = 0
        queued = 0
        for key, payload in zip(chunk.keys, chunk.payloads, strict=True):
            if self._throttle is not None:
                if budget <= 0:
                    budget = self._wait_for_budget(self._throttle)
                    if budget <= 0:
                        break
                budget -= len(payload) + OVERHEAD
            if not self._produce(key, payload):
                break
            queued += 1
        self.deliveries.produced += queued
        self.poll(0)
        return queued

    def poll(self, seconds: float) -> None:
        """Serve deliveries for at most `seconds`. Raises as `send`."""
        self._producer.poll(seconds)
        if self._manifest is not None:
            self._manifest.flush()
        if not self._watched:
            self.deliveries.acked = self.deliveries.produced - self.deliveries.failed - len(self._producer)
        if self._fatal is not None:
            raise KafkaException(self._fatal)

    def finish(self) -> None:
        """Wait until every report is acknowledged or has failed (delivery.timeout.ms bounds it)."""
        while self._producer.flush(_PATIENCE * 5):
            if self._manifest is not None:
                self._manifest.flush()
        self.poll(0)

    def _wait_for_budget(self, throttle: CommitThrottle) -> int:
        """Bytes that may be sent; 0 or less only when stopped."""
        started = time.monotonic()
        while (budget := throttle.budget(self._in_flight)) <= 0 and not self._stopped():
            self.poll(_PATIENCE)
            self._waits()
        throttle.waited += time.monotonic() - started
        return budget

    def _produce(self, key: bytes, payload: bytes) -> bool:
        while True:
            try:
                if self._watched:
                    now_ms = time.time_ns() // 1_000_000
                    delivered = partial(self._delivered, now_ms)
                    self._producer.produce(self._topic, payload, key, timestamp=now_ms, on_delivery=delivered)
                else:
                    self._producer.produce(self._topic, payload, key)
            except BufferError:
                if self._stopped():
                    return False
                self.poll(_PATIENCE)
                self._waits()
            except KafkaException as error:
                # Refused before it was queued, as a report above message.max.bytes is.
                self._count_failure(error.args[0])
                return True
            else:
                self._in_flight += len(payload)
                return True

    def _failed(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._count_failure(error)

    def _delivered(self, sent_ms: int, error: KafkaError | None, message: Message) -> None:
        payload = message.value() or b""
        self._in_flight -= len(payload)
        if error is not None:
            self._count_failure(error)
            return
        deliveries = self.deliveries
        deliveries.acked += 1
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        first, _, reports = deliveries.offsets.get(partition, (offset, offset, 0))
        deliveries.offsets[partition] = (first, offset, reports + 1)
        if self._throttle is not None:
            self._throttle.stored(partition, offset, len(payload))
        if self._manifest is not None:
            kind, timestamp_ms = message.timestamp()
            if self._embedded or kind != TIMESTAMP_LOG_APPEND_TIME:
                timestamp_ms = sent_ms
            self._manifest.write(payload, message.key() or b"", partition, offset, timestamp_ms)

    def _count_failure(self, error: KafkaError) -> None:
        self.deliveries.failed += 1
        name = error.name()
        self.deliveries.errors[name] = self.deliveries.errors.get(name, 0) + 1

    def _troubled(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
