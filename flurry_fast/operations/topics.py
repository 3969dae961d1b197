"""Makes the topic of the settings on a real cluster, as exactness and speed want it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from flurry_fast.cluster.ask import Admin
from flurry_fast.cluster.topic_rules import PARTITIONS, REPLICATION, SETTINGS
from flurry_fast.config.model import Kafka
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import KafkaUnavailable, TopicMissing

OPERATION_SECONDS = 60.0  # 400 partitions take brokers a while


class TopicExists(FlurryFastError):
    """It is there already; nothing was changed."""


class TopicRefused(FlurryFastError):
    """The brokers, or we, do not make a topic like that."""

    exit_code = 2


@dataclass(frozen=True)
class Wanted:
    """`min_insync` None: two, or as many as there are replicas. `settings`: over those that we set anyway."""

    name: str
    partitions: int = PARTITIONS
    replication: int = REPLICATION
    min_insync: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, str]:
        """All settings of the topic. Raises TopicRefused where no producer could ever be acknowledged."""
        least = self.min_insync if self.min_insync is not None else min(2, self.replication)
        if least > self.replication:
            raise TopicRefused(
                f"With {self.replication} replicas, {least} can not be in sync: no producer would be acknowledged.",
                way_out="Lower --min-insync, or raise --replication.",
            )
        return {**SETTINGS, **self.settings, "min.insync.replicas": str(least)}


def create(kafka: Kafka, wanted: Wanted) -> None:
    """Make the topic, and wait until it is known.

    Raises TopicExists, TopicRefused (with the way out where the cluster is too small), KafkaUnavailable.
    """
    if kafka.bootstrap is None:
        raise TopicRefused(
            "The embedded broker makes its topics itself.",
            way_out=f"flurry-fast broker --topic {wanted.name}:PARTITIONS, or set kafka.bootstrap to real brokers.",
        )
    new = NewTopic(wanted.name, wanted.partitions, wanted.replication, config=wanted.config())
    admin = Admin(kafka)
    available = len(admin.brokers())
    if available < wanted.replication:
        raise TopicRefused(
            f"{wanted.replication} replicas need as many brokers, and there are {available}.",
            way_out=f"Start more brokers, or say --replication {available}: then the loss of a broker may lose what was"
            " acknowledged.",
        )
    asked = admin.client.create_topics([new], operation_timeout=OPERATION_SECONDS, request_timeout=OPERATION_SECONDS)[
        wanted.name
    ]
    try:
        asked.result(OPERATION_SECONDS + 5)
    except KafkaException as error:
        reason = error.args[0]
        if reason.name() == "TOPIC_ALREADY_EXISTS":
            raise TopicExists(
                f"Topic {wanted.name} exists already.", way_out="flurry-fast topics check says whether it will do."
            ) from None
        if reason.name() in ("INVALID_CONFIG", "INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR", "POLICY_VIOLATION"):
            raise TopicRefused(f"The brokers do not make topic {wanted.name}: {reason.str()}") from None
        raise KafkaUnavailable(f"Topic {wanted.name} can not be made: {reason.str()}.") from None
    except FutureTimeoutError:
        raise KafkaUnavailable(
            f"Topic {wanted.name} was not made within {OPERATION_SECONDS:g} s.",
            way_out="Look with: flurry-fast topics check.",
        ) from None
    # Brokers say that it is done a little before they know it.
    Retrying(
        retry=retry_if_exception_type(TopicMissing),
        stop=stop_after_delay(OPERATION_SECONDS),
        wait=wait_fixed(0.1),
        reraise=True,
    )(admin.topic, wanted.name)
