"""Everything that a topic of the embedded broker holds."""

from __future__ import annotations

from confluent_kafka import Consumer, Message, TopicPartition

from flurry_fast.broker import EmbeddedBroker


def read_topic(broker: EmbeddedBroker, topic: str) -> list[Message]:
    """All records, by partition and offset."""
    consumer = Consumer({"bootstrap.servers": broker.file.bootstrap, "group.id": "reader", "fetch.wait.max.ms": 10})
    try:
        found: list[Message] = []
        for partition in range(broker.file.topics[topic]):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            assert low == 0, "the embedded broker forgot records"
            consumer.assign([TopicPartition(topic, partition, low)])
            wanted = len(found) + high - low
            while len(found) < wanted:
                for message in consumer.consume(wanted - len(found), timeout=10):
                    assert message.error() is None
                    found.append(message)
        return found
    finally:
        consumer.close()
