"""What brokers say of themselves, of a topic and of a group. Each function asks anew and raises KafkaUnavailable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from flurry_fast.config.model import Kafka
from flurry_fast.kafka import KafkaUnavailable, TopicMissing, client_config

T = TypeVar("T")


@dataclass(frozen=True)
class TopicFacts:
    """`replication`: of the partition that has least. `without_leader`, `behind`: partitions, the second those of
    which a replica is not in sync. `config`: every setting in force."""

    name: str
    partitions: int
    replication: int
    without_leader: tuple[int, ...]
    behind: tuple[int, ...]
    config: Mapping[str, str]


@dataclass(frozen=True)
class BrokerFacts:
    """One broker: its id and every setting in force."""

    id: int
    config: Mapping[str, str]


class Admin:
    """One admin client and its deadline."""

    def __init__(self, kafka: Kafka) -> None:
        """Connects nothing yet. Raises as `client_config` does."""
        self._client = AdminClient(client_config(kafka))
        self._timeout = kafka.request_timeout

    @property
    def client(self) -> AdminClient:
        """confluent-kafka's."""
        return self._client

    def topic(self, name: str) -> TopicFacts:
        """Raises TopicMissing, KafkaUnavailable."""
        with _told(f"Topic {name} can not be described"), _known(name):
            asked = self._client.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[name]
            found = self._result(asked)
            settings = self._settings(ResourceType.TOPIC, name)  # another broker may not know it yet
        parts = found.partitions
        return TopicFacts(
            name,
            len(parts),
            min((len(part.replicas) for part in parts), default=0),
            tuple(part.id for part in parts if part.leader is None or part.leader.id < 0),
            tuple(part.id for part in parts if len(part.isr) < len(part.replicas)),
            settings,
        )

    def brokers(self) -> list[BrokerFacts]:
        """All that are alive. Raises KafkaUnavailable."""
        with _told("The brokers can not be described"):
            cluster = self._result(self._client.describe_cluster(request_timeout=self._timeout))
        ids = sorted(node.id for node in cluster.nodes)
        return [BrokerFacts(number, self.config(ResourceType.BROKER, str(number))) for number in ids]

    def config(self, kind: Any, name: str) -> dict[str, str]:
        """Every setting in force of a topic, a broker or a group. Raises KafkaUnavailable."""
        with _told(f"The settings of {kind.name.lower()} {name} can not be read"):
            return self._settings(kind, name)

    def _settings(self, kind: Any, name: str) -> dict[str, str]:
        resource = ConfigResource(kind, name)
        asked = self._client.describe_configs([resource], request_timeout=self._timeout)[resource]
        return {key: str(entry.value) for key, entry in self._result(asked).items()}

    def _result(self, future: Future[T]) -> T:
        return future.result(self._timeout + 1)


@contextmanager
def _known(topic: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        if error.args[0].name() in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"):
            raise TopicMissing(
                f"There is no topic {topic}.", way_out=f"Make it: flurry-fast topics create --set kafka.topic={topic}"
            ) from None
        raise


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise KafkaUnavailable(f"{what}: {error.args[0].str()}.") from None
    except FutureTimeoutError:
        raise KafkaUnavailable(f"{what}: no answer in time.") from None
