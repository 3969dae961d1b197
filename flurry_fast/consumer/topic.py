"""What a topic must be like for counters to be exact over it: checked once, at the start."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from flurry_fast.config.model import Kafka
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import client_config


class TopicUnsuitable(FlurryFastError):
    """A setting of the topic rules out exact counters."""


def check_topic(kafka: Kafka) -> None:
    """Ask the brokers for the topic's settings and refuse what can not be exact.

    The embedded broker has no such settings and is passed by. Settings that may not be read are only warned about.
    Raises TopicUnsuitable.
    """
    if kafka.bootstrap is None:
        return
    log = structlog.get_logger("flurry_fast.topic")
    admin = AdminClient(client_config(kafka))
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic)
    try:
        futures = admin.describe_configs([resource], request_timeout=kafka.request_timeout)
        entries = futures[resource].result(kafka.request_timeout + 1)
    except (KafkaException, TimeoutError) as error:
        log.warning("the topic's settings could not be checked", topic=kafka.topic, error=str(error))
        return
    found = {name: str(entry.value) for name, entry in entries.items()}
    reasons = refusals(found)
    if reasons:
        raise TopicUnsuitable(f"Topic {kafka.topic} can not be counted exactly: {'; '.join(reasons)}.")
    for warning in warnings(found):
        log.warning(warning, topic=kafka.topic)


def refusals(config: Mapping[str, str]) -> list[str]:
    """Why a topic with these settings is refused; empty if it is not. Settings that are missing are not judged."""
    reasons = []
    if config.get("cleanup.policy", "delete") != "delete":
        reasons.append(f"cleanup.policy is {config['cleanup.policy']}, compaction removes records before they are read")
    if config.get("unclean.leader.election.enable", "false") == "true":
        reasons.append("unclean.leader.election.enable is true, acknowledged records can vanish")
    return reasons


def warnings(config: Mapping[str, str]) -> list[str]:
    """What is worth knowing and no reason to refuse."""
    if config.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        return ["message.timestamp.type is not LogAppendTime: receive times are the producers' own"]
    return []
