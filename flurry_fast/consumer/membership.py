"""How this process is a member of its group: by which protocol, and after which silence it is taken for dead.

The two protocols differ in what happens after a crash. *Classic*: the session time-out is ours, and a process that
comes back under a static name takes its partitions over at once. *Consumer* (KIP-848): the brokers assign and decide
on the session; a static name stays with the dead until their session is over, and whoever comes back waits for that.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Literal

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from flurry_fast.config.model import Kafka
from flurry_fast.kafka import client_config

SESSION = "consumer.session.timeout.ms"  # of a group; what the brokers use unless it is set for the group alone


@dataclass(frozen=True)
class Membership:
    """`session`: seconds of silence after which partitions go to somebody else. `reason`: why this protocol."""

    protocol: Literal["classic", "consumer"]
    session: float
    reason: str


def decide(kafka: Kafka, offered: float | None) -> Membership:
    """What `kafka.protocol` comes to. `offered`: the brokers' session by the new protocol, seconds; None: not known."""
    if kafka.protocol == "classic":
        return Membership("classic", kafka.session_timeout, "kafka.protocol says so")
    if kafka.protocol == "consumer":
        # Not known: what was asked for is rather too short a time to write in than too long.
        return Membership("consumer", kafka.session_timeout if offered is None else offered, "kafka.protocol says so")
    if kafka.instance_id is not None:
        reason = "a static name is taken over at once after a crash"
    elif offered is None:
        reason = "the brokers do not say that they have the new protocol"
    elif offered > kafka.session_timeout:
        reason = f"by the new protocol the brokers would wait {offered:g} s for a dead member"
    else:
        return Membership("consumer", offered, "the brokers have it, with a session that is short enough")
    return Membership("classic", kafka.session_timeout, reason)


def find_membership(kafka: Kafka) -> Membership:
    """As `decide`, with what the brokers say of the group; they are asked only where it matters. Never raises."""
    ask = kafka.bootstrap is not None and (
        kafka.protocol == "consumer" or (kafka.protocol == "auto" and kafka.instance_id is None)
    )
    found = decide(kafka, _offered(kafka) if ask else None)
    structlog.get_logger("flurry_fast").info(
        "group membership", protocol=found.protocol, session_seconds=found.session, reason=found.reason
    )
    return found


def group_config(admin: AdminClient, group: str, timeout: float) -> dict[str, str]:
    """What the brokers have in force for a group of the new protocol. Raises KafkaException, or TimeoutError."""
    resource = ConfigResource(ResourceType.GROUP, group)
    entries = admin.describe_configs([resource], request_timeout=timeout)[resource].result(timeout + 1)
    return {name: str(entry.value) for name, entry in entries.items()}


def _offered(kafka: Kafka) -> float | None:
    try:
        found = group_config(AdminClient(client_config(kafka)), kafka.group, kafka.request_timeout)
        return int(found[SESSION]) / 1000
    except (KafkaException, FutureTimeoutError, KeyError, ValueError) as error:
        structlog.get_logger("flurry_fast").info("the group's settings can not be asked", reason=str(error))
        return None
