"""Topics of a real cluster, made and deleted for good: brokers say that it is done a little before they know it."""

from __future__ import annotations

import time

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

SECONDS = 60


def make_topic(admin: AdminClient, new: NewTopic) -> None:
    """Returns when it can be described."""
    name = new.topic
    admin.create_topics([new], operation_timeout=30)[name].result(30)
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            admin.describe_topics(TopicCollection([name]))[name].result(30)
        except KafkaException:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def delete_topic(admin: AdminClient, name: str) -> None:
    """Returns when brokers have forgotten it."""
    admin.delete_topics([name], operation_timeout=30)[name].result(30)
    deadline = time.monotonic() + SECONDS
    while name in admin.list_topics(timeout=30).topics:
        assert time.monotonic() < deadline
        time.sleep(0.05)
