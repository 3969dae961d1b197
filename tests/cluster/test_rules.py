"""What is found wrong with topics, brokers and groups, from what they say of themselves."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from flurry_fast.cluster.archive_checks import archive
from flurry_fast.cluster.ask import BrokerFacts, TopicFacts
from flurry_fast.cluster.checks import CHECKS, look
from flurry_fast.cluster.findings import Finding, broken
from flurry_fast.cluster.kafka_checks import judge_brokers, judge_group, judge_topic, registered
from flurry_fast.cluster.topic_rules import RULES, SETTINGS
from flurry_fast.config import load
from flurry_fast.config.model import Kafka
from flurry_fast.errors import StoreUnavailable

KAFKA = Kafka(bootstrap="kafka:9092", topic="reports")
GOOD = TopicFacts("reports", 400, 3, (), (), SETTINGS | {"flush.messages": str(2**63 - 1), "flush.ms": str(2**63 - 1)})
GROUP = "consumer.session.timeout.ms"


def topic(config: dict[str, str] | None = None, **changes: Any) -> list[Finding]:
    facts = dataclasses.replace(GOOD, **changes)
    return judge_topic(dataclasses.replace(facts, config=facts.config | (config or {})), "kafka:9092")


def test_what_we_make_is_what_we_want() -> None:
    assert topic() == []
    assert {rule.setting for rule in RULES} <= set(GOOD.config)


@pytest.mark.parametrize(
    ("setting", "value", "level", "set_to"),
    [
        ("cleanup.policy", "compact", "refused", "delete"),
        ("cleanup.policy", "compact,delete", "refused", "delete"),
        ("unclean.leader.election.enable", "true", "refused", "false"),
        ("message.timestamp.type", "CreateTime", "exactness", "LogAppendTime"),
        ("retention.ms", "3600000", "advice", "604800000"),
        ("compression.type", "gzip", "advice", "producer"),
        ("max.message.bytes", "1048588", "advice", "17825792"),
        ("flush.messages", "1", "advice", str(2**63 - 1)),
        ("flush.ms", "1000", "advice", str(2**63 - 1)),
        ("min.insync.replicas", "1", "advice", "2"),
        ("min.insync.replicas", "3", "advice", "2"),
    ],
)
def test_each_rule_says_what_to_do(setting: str, value: str, level: str, set_to: str) -> None:
    (found,) = topic({setting: value})
    assert (found.level, found.setting, found.found) == (level, setting, value)
    assert found.why
    assert found.command == (
        "kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name reports"
        f" --add-config {setting}={set_to}"
    )
    assert found.breaks == (level != "advice")


def test_no_rule_is_without_a_test() -> None:
    tested = {mark[0] for mark in test_each_rule_says_what_to_do.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert {rule.setting for rule in RULES} <= tested


def test_retention_without_end_is_fine() -> None:
    assert topic({"retention.ms": "-1"}) == []


def test_replicas_leaders_and_partitions() -> None:
    assert [
        found.setting for found in topic(replication=1, config=dict(GOOD.config) | {"min.insync.replicas": "1"})
    ] == ["replication"]
    stuck = topic(replication=1)  # two in sync of one
    assert [found.setting for found in stuck] == ["replication", "min.insync.replicas"]
    assert "no producer is acknowledged" in stuck[1].why
    assert [found.setting for found in topic(partitions=8)] == ["partitions"]
    dead = topic(without_leader=tuple(range(12)))
    assert (dead[0].level, dead[0].found) == ("unknown", "none: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more")
    assert [(found.level, found.found) for found in topic(behind=(3,))] == [("advice", "not all: 3")]


def test_brokers() -> None:
    fine = {"auto.create.topics.enable": "false", "group.min.session.timeout.ms": "6000"}
    three = [BrokerFacts(number, fine) for number in (1, 2, 3)]
    assert judge_brokers(three, KAFKA) == []
    assert [found.setting for found in judge_brokers(three[:1], KAFKA)] == ["number"]
    loose = [*three[:2], BrokerFacts(3, fine | {"auto.create.topics.enable": "true"})]
    assert [(found.subject, found.setting) for found in judge_brokers(loose, KAFKA)] == [
        ("broker 3", "auto.create.topics.enable")
    ]
    short = KAFKA.model_copy(update={"session_timeout": 3.0, "protocol": "classic"})
    assert [(found.level, found.setting) for found in judge_brokers(three, short)] == [
        ("refused", "group.min.session.timeout.ms")
    ] * 3
    assert judge_brokers(three, short.model_copy(update={"protocol": "consumer"})) == []


def test_groups() -> None:
    assert judge_group({GROUP: "10000"}, KAFKA) == []
    (slow,) = judge_group({GROUP: "45000"}, KAFKA)
    assert (slow.level, slow.found) == ("advice", "45000")
    assert "stays with the classic protocol" in slow.why
    assert slow.command is not None
    assert slow.command.endswith(f"--entity-type groups --entity-name flurry-fast --add-config {GROUP}=10000")
    new = KAFKA.model_copy(update={"protocol": "consumer"})
    assert "after 45 s only" in judge_group({GROUP: "45000"}, new)[0].why
    assert judge_group({}, KAFKA) == []
    assert judge_group({}, new)[0].level == "unknown"
    assert judge_group({GROUP: "45000"}, KAFKA.model_copy(update={"instance_id": "w"})) == []


def test_local_archives(tmp_path: Path) -> None:
    def found(root: Path, **more: str) -> list[Finding]:
        return archive(load(None, {"archive.root": str(root), **more}, {}).settings)

    (tmp_path / "file").touch()
    assert [finding.level for finding in found(tmp_path / "file" / "archive")] == ["refused"]
    assert found(tmp_path / "file" / "archive", **{"consume.sinks": "counters"}) == []
    assert all(finding.level == "advice" for finding in found(tmp_path / "new" / "archive"))


def test_nothing_was_counted_yet(tmp_path: Path) -> None:
    assert registered(load(None, {"counters.store": f"sqlite:{tmp_path / 'none.sqlite'}"}, {}).settings) == []


def here(_settings: Any) -> list[Finding]:
    raise StoreUnavailable("nobody is there")


def test_another_check_can_be_added_and_a_failure_is_a_finding() -> None:
    module = sys.modules[__name__]
    sys.modules["a_check_of_a_test"] = module
    try:
        looked = list(look(load(None, {}, {}).settings, ("tables",), CHECKS | {"tables": "a_check_of_a_test:here"}))
    finally:
        del sys.modules["a_check_of_a_test"]
    assert [(name, [(f.level, f.why) for f in findings]) for name, findings in looked] == [
        ("tables", [("unknown", "nobody is there")])
    ]
    assert broken(looked[0][1])
