"""One real topic that all pipelines read: lz4, timestamps and keys of the simulated fleet, 8 partitions.

A contender gets it as four words: brokers, topic, partitions, records.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench.corpus import SEED
from flurry_fast._core import Simulator
from flurry_fast.agent.manifest import ManifestWriter

PARTITIONS = 8
CHUNK = 5_000
TUNED = {  # what flurry_fast's own consumer sets (flurry_fast/consumer/client.py), for every librdkafka consumer here
    "fetch.queue.backoff.ms": 2,
    "queued.max.messages.kbytes": 32 * 1024,
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}


@dataclass(frozen=True)
class Backlog:
    """A topic with `records` reports in it."""

    brokers: str
    topic: str
    partitions: int
    records: int

    @classmethod
    def of(cls, words: list[str]) -> Backlog:
        """From a command line."""
        brokers, topic, partitions, records = words
        return cls(brokers, topic, int(partitions), int(records))

    @property
    def words(self) -> tuple[str, ...]:
        """For a command line."""
        return (self.brokers, self.topic, str(self.partitions), str(self.records))

    def consumer(self) -> Consumer:
        """Connected, nothing assigned; in a group of its own, which it never joins."""
        made = Consumer({"bootstrap.servers": self.brokers, "group.id": secrets.token_hex(4), **TUNED})
        made.list_topics(self.topic, timeout=30)
        return made

    def beginning(self) -> list[TopicPartition]:
        """All partitions, from their first record on."""
        return [TopicPartition(self.topic, partition, 0) for partition in range(self.partitions)]


@contextmanager
def backlog(
    brokers: str, records: int, partitions: int = PARTITIONS, apps: int | None = None, manifest: Path | None = None
) -> Iterator[Backlog]:
    """A new topic with that many reports; it goes with the context. `manifest`: where it is said what lies where, for
    an independent count. Raises KafkaException."""
    admin = AdminClient({"bootstrap.servers": brokers})
    name = f"bench_{secrets.token_hex(4)}"
    # The fleet lives in 2013: by its timestamps everything would be too old to keep.
    settings = {"retention.ms": "-1", "message.timestamp.type": "CreateTime", "compression.type": "producer"}
    for made in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
        made.result(60)
    try:
        with ManifestWriter(manifest) if manifest is not None else nullcontext() as writer:
            _fill(brokers, name, records, apps, writer)
        yield Backlog(brokers, name, partitions, records)
    finally:
        for gone in admin.delete_topics([name]).values():
            gone.result(60)


def _fill(brokers: str, name: str, records: int, apps: int | None, manifest: ManifestWriter | None) -> None:
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error:
            failed.append(str(error))
        elif manifest is not None:
            place = message.partition(), message.offset(), message.timestamp()[1]
            manifest.write(message.value(), message.key(), *place)

    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "compression.type": "lz4",
            "partitioner": "murmur2",
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.kbytes": 256 * 1024,
            "enable.idempotence": True,
            "delivery.report.only.error": manifest is None,
            "on_delivery": delivered,
        }
    )
    simulator = Simulator(SEED) if apps is None else Simulator(SEED, apps=apps)
    with ThreadPoolExecutor(1) as maker:  # the next chunk is made while this one is sent
        made = maker.submit(simulator.next_batch, min(CHUNK, records))
        for start in range(CHUNK, records + CHUNK, CHUNK):
            chunk = made.result()
            made = maker.submit(simulator.next_batch, max(0, min(CHUNK, records - start)))
            for key, payload, time in zip(chunk.keys(), chunk.payloads(), chunk.times_ms.tolist(), strict=True):
                while True:
                    try:
                        producer.produce(name, payload, key, timestamp=time)
                        break
                    except BufferError:
                        producer.poll(0.1)
            producer.poll(0)
    producer.flush()
    if failed:
        raise RuntimeError(f"{len(failed)} reports were not taken by the broker: {failed[0]}")
