"""Is the consumer group at work? Operations on positions are refused while it is.

Exactness never depends on the answer: a consumer that runs on finds at its next registry read that it is over. But an
operator who resets under a running group has usually forgotten something, and the group would only stop.
"""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from flurry_fast.config.model import Kafka
from flurry_fast.consumer.client import consumer_config
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import KafkaUnavailable, client_config

POLL_SECONDS = 0.1
COMING = {"NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE"}


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
    asking = Retrying(
        retry=retry_if_exception(_passes),
        stop=stop_after_delay(kafka.request_timeout),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    try:
        described = asking(_describe, admin, kafka)
    except (KafkaException, FutureTimeoutError) as error:
        raise KafkaUnavailable(f"Group {kafka.group} can not be described: {error}.") from None
    return Group(kafka.group, [f"{member.client_id} on {member.host}" for member in described.members])


def _describe(admin: AdminClient, kafka: Kafka) -> Any:
    future = admin.describe_consumer_groups([kafka.group], request_timeout=kafka.request_timeout)[kafka.group]
    return future.result(kafka.request_timeout + 1)


def _passes(error: BaseException) -> bool:
    """Whether brokers are only deciding which of them has the group."""
    return isinstance(error, KafkaException) and error.args[0].name() in COMING


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
