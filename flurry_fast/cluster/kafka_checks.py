"""Kafka's side: brokers, the topic, the group, and whether the topic is the one that was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]

from flurry_fast.cluster.ask import Admin, BrokerFacts, TopicFacts
from flurry_fast.cluster.findings import Finding, Level
from flurry_fast.cluster.topic_rules import PARTITIONS, alter, check_replicas, check_settings
from flurry_fast.config.model import Kafka, Settings
from flurry_fast.consumer.membership import SESSION, decide
from flurry_fast.errors import StoreError
from flurry_fast.kafka import Cluster, KafkaUnavailable
from flurry_fast.registry import Registry
from flurry_fast.stores import open_store

BROKERS = 3
FEW_PARTITIONS = 100


def brokers(settings: Settings) -> list[Finding]:
    """How many there are, and what they do with topics that nobody made. The embedded broker is passed by."""
    if settings.kafka.bootstrap is None:
        return []
    return judge_brokers(Admin(settings.kafka).brokers(), settings.kafka)


def judge_brokers(found: Sequence[BrokerFacts], kafka: Kafka) -> list[Finding]:
    """The rules, over what brokers said."""
    findings = []
    if len(found) < BROKERS:
        why = "three replicas need as many; with fewer, one that is down stops the topic"
        findings.append(Finding("advice", "brokers", "number", str(len(found)), f"{BROKERS} or more", why))
    for broker in found:
        subject, config = f"broker {broker.id}", broker.config
        if config.get("auto.create.topics.enable") == "true":
            why = "a topic that was deleted, or is misspelt, is made with the brokers' defaults by whoever asks for it:"
            why += " set it in server.properties"
            findings.append(Finding("advice", subject, "auto.create.topics.enable", "true", "false", why))
        findings += _session_bounds(subject, config, kafka)
    return findings


def _session_bounds(subject: str, config: Mapping[str, str], kafka: Kafka) -> list[Finding]:
    if kafka.protocol == "consumer":
        return []
    wanted = round(kafka.session_timeout * 1000)
    low = int(config.get("group.min.session.timeout.ms", 0))
    high = int(config.get("group.max.session.timeout.ms", 2**31))
    if low <= wanted <= high:
        return []
    setting = "group.min.session.timeout.ms" if wanted < low else "group.max.session.timeout.ms"
    why = "brokers refuse a member with such a kafka.session_timeout: change that, or server.properties"
    level: Level = "refused" if kafka.protocol == "classic" or kafka.instance_id is not None else "advice"
    return [Finding(level, subject, setting, config[setting], str(wanted), why)]


def topic(settings: Settings) -> list[Finding]:
    """Its settings, replicas and leaders. Raises TopicMissing, KafkaUnavailable."""
    kafka = settings.kafka
    if kafka.bootstrap is None:
        Cluster(kafka).describe()
        return []
    return judge_topic(Admin(kafka).topic(kafka.topic), kafka.bootstrap)


def judge_topic(facts: TopicFacts, bootstrap: str) -> list[Finding]:
    """The rules, over what brokers said of a topic."""
    subject = f"topic {facts.name}"
    findings = check_settings(facts.name, facts.config, bootstrap)
    findings += check_replicas(facts.name, facts.replication, facts.config, bootstrap)
    findings += _few_partitions(facts)
    if facts.without_leader:
        why = "nobody can write to these partitions, or read them: look at the brokers"
        findings.append(
            Finding("unknown", subject, "leader", f"none: {_listed(facts.without_leader)}", "one each", why)
        )
    if facts.behind:
        why = "a replica of these partitions is not in sync: look at the brokers"
        findings.append(Finding("advice", subject, "replicas in sync", f"not all: {_listed(facts.behind)}", "all", why))
    return findings


def group(settings: Settings) -> list[Finding]:
    """How soon a dead member is noticed, by the protocol that the settings come to."""
    kafka = settings.kafka
    if kafka.bootstrap is None or kafka.protocol == "classic":
        return []
    admin = Admin(kafka)
    try:
        config = admin.config(ResourceType.GROUP, kafka.group)
    except KafkaUnavailable:  # brokers before 3.8 know no such thing
        config = {}
    return judge_group(config, kafka)


def judge_group(config: dict[str, str], kafka: Kafka) -> list[Finding]:
    """The rules, over what brokers have in force for the group."""
    assert kafka.bootstrap is not None
    subject, offered = f"group {kafka.group}", config.get(SESSION)
    if offered is None:
        if kafka.protocol != "consumer":
            return []
        why = "these brokers do not say that they have the new protocol: set kafka.protocol to auto or classic"
        return [Finding("unknown", subject, SESSION, "not known", "known", why)]
    session = int(offered) / 1000
    if session <= kafka.session_timeout or (kafka.instance_id is not None and kafka.protocol == "auto"):
        return []
    chosen = decide(kafka, session)
    wanted = str(round(kafka.session_timeout * 1000))
    command = alter(kafka.bootstrap, "groups", kafka.group, SESSION, wanted)
    if chosen.protocol == "consumer":
        why = f"a worker that was killed is noticed, and under a static name let in again, after {session:g} s only"
    else:
        why = "kafka.protocol = auto stays with the classic protocol because of it"
    return [Finding("advice", subject, SESSION, offered, f"{wanted} or less (kafka.session_timeout)", why, command)]


def registered(settings: Settings) -> list[Finding]:
    """Whether the topic is as it was when it was counted first; nothing where it never was."""
    try:
        store = open_store(settings.counters, create=False)
    except StoreError:
        return []
    try:
        cluster = Cluster(settings.kafka)
        identity = cluster.describe()
        before = Registry(store, identity.name, cluster.incarnation).partitions(identity.incarnation)
    finally:
        store.close()
    if before in (None, identity.partitions):
        return []
    why = "sessions now meet other partitions: make a new topic, and let this one run dry"
    subject = f"topic {identity.name}"
    return [Finding("refused", subject, "partitions", str(identity.partitions), str(before), why)]


def _few_partitions(facts: TopicFacts) -> list[Finding]:
    """A topic can not be grown later."""
    if facts.partitions >= FEW_PARTITIONS:
        return []
    why = "a topic can not be grown without miscounting, and no more workers can share it than it has partitions"
    return [Finding("advice", f"topic {facts.name}", "partitions", str(facts.partitions), str(PARTITIONS), why)]


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return shown if len(numbers) <= 10 else f"{shown} and {len(numbers) - 10} more"
