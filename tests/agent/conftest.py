"""A real broker (librdkafka's mock cluster, in a process of its own), and how to read it from the outside."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from whole_topic import read_topic as read_all

from flurry_fast.broker import EmbeddedBroker
from flurry_fast.config.model import Kafka

PARTITIONS = 3


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    topics = {f"t{number}": PARTITIONS for number in range(12)}
    with EmbeddedBroker(tmp_path_factory.mktemp("broker") / "broker.json", topics) as running:
        yield running


@pytest.fixture(scope="session")
def _unused(broker: EmbeddedBroker) -> Iterator[str]:
    return iter(broker.file.topics)


@pytest.fixture
def kafka(broker: EmbeddedBroker, _unused: Iterator[str]) -> Kafka:
    """Settings that mean the embedded broker, and a topic that nobody has used."""
    return Kafka(broker_file=broker.path, topic=next(_unused), group=f"group-{uuid.uuid4().hex}")


@pytest.fixture
def read_topic(kafka: Kafka, broker: EmbeddedBroker) -> Callable[[], list[Message]]:
    """Everything in the topic, by partition and offset."""

    return lambda: read_all(broker, kafka.topic)


@pytest.fixture
def commit(kafka: Kafka, broker: EmbeddedBroker) -> Callable[[dict[int, int]], None]:
    """Commits offsets for the group of the settings, as its consumers would."""

    def commit(offsets: dict[int, int]) -> None:
        consumer = Consumer({"bootstrap.servers": broker.file.bootstrap, "group.id": kafka.group})
        try:
            positions = [TopicPartition(kafka.topic, partition, offset) for partition, offset in offsets.items()]
            consumer.commit(offsets=positions, asynchronous=False)
        finally:
            consumer.close()

    return commit
