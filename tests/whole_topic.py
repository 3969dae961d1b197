"""Everything that a topic holds."""

from __future__ import annotations

from confluent_kafka import Consumer, Message, TopicPartition

from flurry_fast.broker import EmbeddedBroker


def read_topic(broker: EmbeddedBroker, topic: str) -> list[Message]:
    """All records of a topic of the embedded broker, by partition and offset."""
    return read_records(broker.file.bootstrap, topic, broker.file.topics[topic])


def read_records(bootstrap: str, topic: str, partitions: int) -> list[Message]:
    """The same of any broker."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "fetch.wait.max.ms": 10})
    try:
        found: list[Message] = []
        for partition in range(partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            assert low == 0, "the broker forgot records"
            consumer.assign([TopicPartition(topic, partition, low)])
            wanted = len(found) + high - low
            while len(found) < wanted:
                for message in consumer.consume(wanted - len(found), timeout=10):
                    assert message.error() is None
                    found.append(message)
        return found
    finally:
        consumer.close()
