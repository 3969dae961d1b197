"""Is the consumer group at work? Operations on positions are refused while it is.

Exactness never depends on the answer: a consumer that runs on finds at its next registry read that it is over. But an
operator who resets under a running group has usually forgotten something, and the group would only stop.
"""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from flurry_fast.config.model import Kafka
from flurry_fast.consumer.source import consumer_config
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import KafkaUnavailable, client_config

POLL_SECONDS = 0.1


class GroupActive(FlurryFastError):
    """Consumers are at work; nothing was changed."""


@dataclass(frozen=True)
class Group:
    """A consumer group; `members` says who is in it, in words, and is empty when nobody is."""

    name: str
    members: list[str] = field(default_factory=list)

    def refuse_if_active(self) -> None:
        """Raises GroupActive while there are members."""
        if self.members:
            raise GroupActive(
                f"Group {self.name} is at work: {', '.join(self.members)}.",
                way_out="Stop its consumers first (one that was killed, or has a static name, is gone after the session"
                " time-out).",
            )


def look(kafka: Kafka, partitions: int) -> Group:
    """Who is in the group of the settings; `partitions` is how many the topic has.

    Asks the brokers. The embedded one can not be asked: there, this process joins the group, looks whether it is
    given every partition, and leaves; members that were killed are waited out. Raises KafkaUnavailable.
    """
    if kafka.bootstrap is None:
        return _join(kafka, partitions)
    admin = AdminClient(client_config(kafka))
    try:
        future = admin.describe_consumer_groups([kafka.group], request_timeout=kafka.request_timeout)[kafka.group]
        described = future.result(kafka.request_timeout + 1)
    except (KafkaException, FutureTimeoutError) as error:
        raise KafkaUnavailable(f"Group {kafka.group} can not be described: {error}.") from None
    return Group(kafka.group, [f"{member.client_id} on {member.host}" for member in described.members])


def _join(kafka: Kafka, partitions: int) -> Group:
    given: list[set[int]] = []
    config = consumer_config(kafka)
    config.pop("group.instance.id", None)  # with it we would throw out the member of that name
    consumer = Consumer(config)

    def assigned(joined: Consumer, found: list[TopicPartition]) -> None:
        given.append({item.partition for item in found})
        joined.incremental_assign([])  # nothing is read

    consumer.subscribe([kafka.topic], on_assign=assigned)
    deadline = time.monotonic() + 2 * kafka.session_timeout + kafka.request_timeout
    try:
        while not given and time.monotonic() < deadline:
            consumer.poll(POLL_SECONDS)
    finally:
        consumer.close()
    if given and len(given[0]) == partitions:
        return Group(kafka.group)
    if given:
        return Group(kafka.group, [f"others hold {partitions - len(given[0])} of {partitions} partitions"])
    return Group(kafka.group, ["somebody who does not let others in"])
