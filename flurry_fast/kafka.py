"""What both ends of Kafka share: client settings, and which log a topic is (its incarnation)."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from flurry_fast.broker import BrokerFile, read_broker_file
from flurry_fast.config.model import Kafka
from flurry_fast.errors import ConfigError, ConfigProblem, FlurryFastError

_SEE_TO_THE_BROKERS = "See that the brokers run, and that kafka.bootstrap names them."
FIRST_ASK_SECONDS = 3.0  # for an answer of brokers that are alive; see Cluster.describe


class KafkaUnavailable(FlurryFastError):
    """A broker did not answer in time, or answered with an error."""

    def __init__(self, message: str, *, way_out: str = _SEE_TO_THE_BROKERS) -> None:
        super().__init__(message, way_out=way_out)


class TopicMissing(FlurryFastError):
    """The topic does not exist, or this user may not see it."""


@dataclass(frozen=True)
class TopicIdentity:
    """`incarnation` tells a recreated topic from the one of the same name before it; u32, never 0."""

    name: str
    partitions: int
    incarnation: int


def client_config(kafka: Kafka, **extra: Any) -> dict[str, Any]:
    """Settings of a confluent-kafka client: address, what is passed through, secrets from files, then `extra`.

    Raises BrokerNotRunning where the embedded broker is meant and its file is missing; ConfigError for a secret file
    that can not be read.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap or read_broker_file(kafka.broker_file).bootstrap,
        "client.id": "flurry-fast",
        "socket.timeout.ms": max(2000, round(kafka.request_timeout * 1000)),
        "log.connection.close": False,
        "logger": logging.getLogger("flurry_fast.librdkafka"),
    }
    config |= kafka.librdkafka
    for name, path in kafka.secret_files.items():
        try:
            config[name] = path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ConfigError(
                [ConfigProblem(str(path), f"kafka.secret_files.{name}", f"can not be read ({error.strerror})")]
            ) from None
    return config | extra


def broker_file(kafka: Kafka) -> BrokerFile | None:
    """What the embedded broker says of itself, where the settings mean it; None for a real cluster."""
    return None if kafka.bootstrap else read_broker_file(kafka.broker_file)


class Cluster:
    """Asks the brokers about topics, each time anew. One per process; safe to use from any thread."""

    def __init__(self, kafka: Kafka) -> None:
        """Connects nothing yet. Raises as `client_config` does."""
        self._kafka = kafka
        self._config = client_config(kafka)
        # The embedded broker is known by its file alone: no client, no threads for it.
        self._admin = None if broker_file(kafka) else AdminClient(self._config)

    def describe(self, topic: str | None = None) -> TopicIdentity:
        """The topic of the settings (or `topic`) as it is at this moment.

        Raises TopicMissing, KafkaUnavailable (after kafka.request_timeout and a little), or BrokerNotRunning.
        """
        topic = topic or self._kafka.topic
        if self._admin is None:
            embedded = read_broker_file(self._kafka.broker_file)
            # The mock cluster makes up topics when asked for them: only its file tells which there are.
            if topic not in embedded.topics:
                raise TopicMissing(
                    f"The embedded broker has no topic {topic}.",
                    way_out=f"Start it with: flurry-fast broker --topic {topic}",
                )
            return TopicIdentity(topic, embedded.topics[topic], embedded.incarnation)
        first = min(FIRST_ASK_SECONDS, self._kafka.request_timeout)
        try:
            return self._ask(self._admin, topic, first)
        except KafkaUnavailable:
            # A client asks the broker that it takes for the controller. Where that one is dead it goes on trying to
            # connect, without a pause (librdkafka 2.16), until it learns of another after minutes; a new one asks anew.
            self._admin = AdminClient(self._config)
            return self._ask(self._admin, topic, self._kafka.request_timeout)

    def incarnation(self, topic: str | None = None) -> int:
        """As `describe`."""
        return self.describe(topic).incarnation

    def _ask(self, admin: AdminClient, topic: str, timeout: float) -> TopicIdentity:
        admin.poll(0)  # hands over what it has to log
        try:
            futures = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)
            described = futures[topic].result(timeout + 5)
        except KafkaException as error:
            if error.args[0].name() in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"):
                raise TopicMissing(f"There is no topic {topic}.", way_out="Create it, or set kafka.topic.") from None
            raise KafkaUnavailable(f"Topic {topic} can not be described: {error.args[0].str()}.") from None
        except FutureTimeoutError:
            raise KafkaUnavailable(f"Topic {topic} was not described within {timeout:g} s.") from None
        identity = described.topic_id
        most, least = identity.get_most_significant_bits(), identity.get_least_significant_bits()
        if most == least == 0:
            raise KafkaUnavailable(
                f"The brokers give topic {topic} no id, so that a recreated topic could not be told from it.",
                way_out="Kafka 2.8 and later have topic ids.",
            )
        return TopicIdentity(topic, len(described.partitions), incarnation_of(most, least))


def incarnation_of(most: int, least: int) -> int:
    """The first 4 bytes, big-endian, of SHA-256 over a topic id's 16 bytes. 0 would read as none: it becomes 1."""
    digest = hashlib.sha256((most % 2**64).to_bytes(8, "big") + (least % 2**64).to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:4], "big") or 1


def topic_incarnation(kafka: Kafka) -> int:
    """As `Cluster.incarnation`, for those who ask once."""
    return Cluster(kafka).incarnation()
