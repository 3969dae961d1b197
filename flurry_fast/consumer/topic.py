"""What a topic must be like for counters to be exact over it: checked once, at the start."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]

from flurry_fast.cluster.ask import Admin
from flurry_fast.cluster.findings import Finding
from flurry_fast.cluster.topic_rules import check_settings
from flurry_fast.config.model import Kafka
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import KafkaUnavailable


class TopicUnsuitable(FlurryFastError):
    """A setting of the topic rules out exact counters."""

    exit_code = 3


def check_topic(kafka: Kafka) -> None:
    """Ask the brokers for the topic's settings and refuse what can not be exact.

    The embedded broker has no such settings and is passed by. Settings that may not be read are only warned about.
    Raises TopicUnsuitable.
    """
    if kafka.bootstrap is None:
        return
    log = structlog.get_logger("flurry_fast.topic")
    try:
        config = Admin(kafka).config(ResourceType.TOPIC, kafka.topic)
    except KafkaUnavailable as error:
        log.warning("the topic's settings could not be checked", topic=kafka.topic, error=str(error))
        return
    reasons = refusals(config)
    if reasons:
        raise TopicUnsuitable(
            f"Topic {kafka.topic} can not be counted exactly: {'; '.join(reasons)}.",
            way_out="flurry-fast topics check says how to change it.",
        )
    for warning in warnings(config):
        log.warning(warning, topic=kafka.topic)


def refusals(config: Mapping[str, str]) -> list[str]:
    """Why a topic with these settings is refused; empty if it is not. Settings that are missing are not judged."""
    return [_words(found) for found in check_settings("", config, "") if found.level == "refused"]


def warnings(config: Mapping[str, str]) -> list[str]:
    """What is worth knowing at a start and no reason to refuse."""
    return [_words(found) for found in check_settings("", config, "") if found.level == "exactness"]


def _words(found: Finding) -> str:
    return f"{found.setting} is {found.found}, {found.why}"
