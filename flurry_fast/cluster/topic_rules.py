"""The topic that exactness and speed want: its settings as we make them, and a rule for each one that matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flurry_fast.cluster.findings import Finding, Level

PARTITIONS = 400
REPLICATION = 3
LARGEST_REPORT = 16 * 2**20  # bytes: what the decoder reads (docs/wire-format.md)
DAY_MS = 86_400_000
RETENTION_MS = 7 * DAY_MS
NEVER = 10**9  # fsync after so many messages, or milliseconds, is as good as never

# What `flurry-fast topics create` sets, beside partitions and replicas; docs/tuning.md says why.
SETTINGS: dict[str, str] = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "max.message.bytes": str(LARGEST_REPORT + 2**20),
    "message.timestamp.type": "LogAppendTime",
    "min.insync.replicas": "2",
    "retention.bytes": "-1",
    "retention.ms": str(RETENTION_MS),
    "segment.bytes": str(256 * 2**20),
    "segment.ms": str(DAY_MS),
    "unclean.leader.election.enable": "false",
}


@dataclass(frozen=True)
class Rule:
    """One setting of a topic. `fits(value)`; `wanted` in words, `set_to` what puts it right."""

    level: Level
    setting: str
    fits: Callable[[str], bool]
    wanted: str
    set_to: str
    why: str


def _at_least(least: int) -> Callable[[str], bool]:
    return lambda value: int(value) < 0 or int(value) >= least


RULES: tuple[Rule, ...] = (
    Rule(
        "refused",
        "cleanup.policy",
        lambda value: value == "delete",
        "delete",
        "delete",
        "compaction removes records before they are read",
    ),
    Rule(
        "refused",
        "unclean.leader.election.enable",
        lambda value: value == "false",
        "false",
        "false",
        "acknowledged records can vanish",
    ),
    Rule(
        "exactness",
        "message.timestamp.type",
        lambda value: value == "LogAppendTime",
        "LogAppendTime",
        "LogAppendTime",
        "receive times are the producers' own, and deduplication relies on times that do not go back by a day",
    ),
    Rule(
        "advice",
        "retention.ms",
        _at_least(DAY_MS),
        "a day or more",
        str(RETENTION_MS),
        "consumers that stand still for longer than that lose records",
    ),
    Rule(
        "advice",
        "compression.type",
        lambda value: value in ("producer", "uncompressed"),
        "producer",
        "producer",
        "brokers would compress every batch again",
    ),
    Rule(
        "advice",
        "max.message.bytes",
        _at_least(LARGEST_REPORT),
        f"{LARGEST_REPORT} or more",
        SETTINGS["max.message.bytes"],
        "brokers refuse reports that could be read",
    ),
    Rule(
        "advice",
        "flush.messages",
        _at_least(NEVER),
        "unset",
        str(2**63 - 1),
        "replication keeps records, not fsync: it costs a disk write each time and adds nothing to acks=all",
    ),
    Rule(
        "advice",
        "flush.ms",
        _at_least(NEVER),
        "unset",
        str(2**63 - 1),
        "replication keeps records, not fsync: it costs a disk write each time and adds nothing to acks=all",
    ),
)


def check_settings(topic: str, config: Mapping[str, str], bootstrap: str) -> list[Finding]:
    """What is wrong with a topic's settings. Settings that are missing are not judged."""
    return [
        Finding(
            rule.level, f"topic {topic}", rule.setting, config[rule.setting], rule.wanted, rule.why,
            alter(bootstrap, "topics", topic, rule.setting, rule.set_to),
        )
        for rule in RULES
        if rule.setting in config and not rule.fits(config[rule.setting])
    ]  # fmt: skip


def check_replicas(topic: str, replication: int, config: Mapping[str, str], bootstrap: str) -> list[Finding]:
    """What a topic's replicas survive, and what stops its producers."""
    subject, least = f"topic {topic}", int(config.get("min.insync.replicas", "1"))
    found = []
    if replication < REPLICATION:
        why = "the loss of one broker may stop the topic, or lose what was acknowledged: add brokers, then"
        why += " kafka-reassign-partitions.sh with more replicas"
        found.append(Finding("advice", subject, "replication", str(replication), f"{REPLICATION} or more", why))
    elif least < 2:
        command = alter(bootstrap, "topics", topic, "min.insync.replicas", "2")
        why = "acks=all is satisfied by the leader alone while the others are behind"
        found.append(Finding("advice", subject, "min.insync.replicas", str(least), "2", why, command))
    if least >= replication > 1 or least > replication:
        wanted = max(1, replication - 1)
        command = alter(bootstrap, "topics", topic, "min.insync.replicas", str(wanted))
        why = "one broker less, and no producer is acknowledged any more"
        found.append(Finding("advice", subject, "min.insync.replicas", str(least), str(wanted), why, command))
    return found


def alter(bootstrap: str, kind: str, name: str, setting: str, value: str) -> str:
    """The command of Kafka's own tools that sets one setting."""
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type {kind} --entity-name {name}"
        f" --add-config {setting}={value}"
    )
