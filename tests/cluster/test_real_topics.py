"""`topics create|check` and `config check --cluster` against real Kafka, as a user runs them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from flurry_fast.cli import main
from flurry_fast.stack import Stack

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.addresses.kafka, "log_level": 0})


@pytest.fixture
def topic(admin: AdminClient) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    if name in admin.list_topics(timeout=30).topics:
        admin.delete_topics([name])[name].result(30)


@pytest.fixture
def run(stack: Stack, topic: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(str(tmp_path))
    flags = ["--set", f"kafka.bootstrap={stack.addresses.kafka}", "--set", f"kafka.topic={topic}"]
    return lambda *words: CliRunner().invoke(main, [*words, *flags])


def change(admin: AdminClient, topic: str, setting: str, value: str) -> None:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(30)
    asked = ConfigResource(ResourceType.TOPIC, topic)
    deadline = time.monotonic() + 60
    while (
        admin.describe_configs([asked])[asked].result(30)[setting].value != value
    ):  # brokers hear of it a little later
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_topic_is_made_checked_spoilt_and_put_right(run: Run, admin: AdminClient, topic: str) -> None:
    missing = run("topics", "check")
    assert missing.exit_code == 1
    assert "topics create" in missing.output
    dry = run("topics", "create", "--partitions", "12", "--replication", "1", "--dry-run")
    assert dry.output.startswith("Would make")
    made = run("topics", "create", "--partitions", "12", "--replication", "1", "--retention", "3d")
    assert made.exit_code == 0, made.output
    assert "retention.ms=259200000" in made.output
    again = run("topics", "create", "--partitions", "12", "--replication", "1")
    assert (again.exit_code, "exists already" in again.output) == (1, True)
    found = json.loads(run("topics", "check", "--json").output)
    assert found["ok"], found
    change(admin, topic, "message.timestamp.type", "CreateTime")
    spoilt = run("topics", "check", "--json")
    assert spoilt.exit_code == 1
    (finding,) = [f for f in json.loads(spoilt.output)["findings"] if f["level"] == "exactness"]
    assert finding["command"].endswith("--add-config message.timestamp.type=LogAppendTime")
    assert "breaks exactness" in run("topics", "check").output
    change(admin, topic, "message.timestamp.type", "LogAppendTime")
    assert run("topics", "check").exit_code == 0
    change(admin, topic, "cleanup.policy", "compact")
    whole = run("config", "check", "--cluster")
    assert whole.exit_code == 1
    assert "the consumer does not start" in whole.output
    refused = run("consume", "--set", "log.level=error")
    assert refused.exit_code == 3
    assert "can not be counted exactly: cleanup.policy is compact" in refused.output


def test_a_cluster_that_is_too_small_is_told_with_the_way_out(run: Run, admin: AdminClient) -> None:
    available = len(admin.list_topics(timeout=30).brokers)
    refused = run("topics", "create", "--replication", str(available + 1))
    assert refused.exit_code == 2
    assert f"or say --replication {available}" in refused.output
    bad = run("topics", "create", "--partitions", "1", "--replication", "1", "--setting", "no.such=1")
    assert bad.exit_code == 2
    assert "no.such" in bad.output


def test_the_whole_check_names_what_it_looked_at(run: Run) -> None:
    assert run("topics", "create", "--partitions", "2", "--replication", "1").exit_code == 0
    looked = json.loads(run("config", "check", "--cluster", "--json").output)
    assert {"brokers", "topic", "group", "registry", "archive"} <= set(looked["looked_at"])
    assert looked["ok"], looked
