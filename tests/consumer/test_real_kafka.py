"""Real processes around real Kafka: what the mock can not show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import real_kafka
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from pipeline import Pipeline, caught_up, pipelines, wait_until

from flurry_fast.operations import group

MakePipeline = Callable[..., Pipeline]
PROTOCOLS = ["classic", "consumer"]


@pytest.fixture
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePipeline]:
    """Pipelines over real Kafka; what they started is gone after the test."""
    with pipelines(tmp_path, cluster=real_kafka(request)) as make:
        yield make


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reports_are_counted_and_archived(pipeline: MakePipeline, protocol: str) -> None:
    line = pipeline(overrides={"kafka.protocol": protocol}, topic_config={"message.timestamp.type": "LogAppendTime"})
    line.produce(500)
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "everything committed", consumer=consumer)
    line.produce(300)
    wait_until(lambda: caught_up(line), "the rest committed", consumer=consumer)
    status = json.loads((line.folder / "status.json").read_text())
    assert status["healthy"], status["problems"]
    assert status["native_drain"]
    assert status["records"] == line.sent
    assert consumer.stop() == 0, consumer.said()
    assert f'"protocol": "{protocol}"' in consumer.said()
    line.assert_exact()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ["", "static"], ids=["dynamic", "static"])
def test_a_killed_process_comes_back(pipeline: MakePipeline, protocol: str, name: str) -> None:
    line = pipeline(overrides={"kafka.protocol": protocol, "kafka.instance_id": name})
    line.produce(400)
    first = line.consumer("first")
    wait_until(lambda: sum(line.committed().values()) > 0, "something committed", consumer=first)
    line.produce(200)
    first.kill()
    (line.folder / "status.json").unlink()
    second = line.consumer("second")
    line.produce(200)
    wait_until(lambda: caught_up(line), "everything committed", consumer=second)
    assert second.stop() == 0, second.said()
    line.assert_exact()
    waited = "still has its name in the group" in second.said()
    assert waited == (protocol == "consumer" and name == "static")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_of_one_name_are_told_apart(pipeline: MakePipeline, protocol: str) -> None:
    """Classic: the newer one takes over. KIP-848: the older one keeps it. Either way the other ends, and says why."""
    line = pipeline(overrides={"kafka.protocol": protocol, "kafka.instance_id": "same"})
    line.produce(100)
    first = line.consumer("first")
    wait_until(lambda: caught_up(line), "everything committed", consumer=first)
    second = line.consumer("second", **{"consume.status_file": str(line.folder / "second.json")})
    loser = first if protocol == "classic" else second
    assert loser.process.wait(90) == (4 if protocol == "classic" else 3)
    assert "Is another process running with the same kafka.instance_id?" in loser.said()
    winner = second if protocol == "classic" else first
    assert winner.stop() == 0, winner.said()
    line.assert_exact()


def test_a_topic_that_is_made_again_under_a_consumer_stops_it(pipeline: MakePipeline) -> None:
    line = pipeline()
    line.produce(200)
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "everything committed", consumer=consumer)
    before = line.incarnation()
    line.assert_exact()
    line.delete_topic()
    line.make_topic()
    line.truth.records.clear()
    line.produce(150)
    assert line.incarnation() != before
    assert consumer.process.wait(90) == 4, consumer.said()
    said = consumer.said().splitlines()[-1]
    assert said.startswith("flurry-fast: "), said
    (line.folder / "status.json").unlink()
    for path in (line.folder / "archive").rglob("*.parquet"):
        path.rename(path.with_suffix(".before"))  # they are of another incarnation; `archived` does not tell them apart
    second = line.consumer("second")
    wait_until(lambda: caught_up(line), "the new topic", consumer=second)
    assert second.stop() == 0, second.said()
    line.assert_exact()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_at_work_is_seen(pipeline: MakePipeline, protocol: str) -> None:
    line = pipeline(overrides={"kafka.protocol": protocol})
    line.produce(50)
    kafka = line.settings().kafka
    group.look(kafka, 4).refuse_if_active()
    consumer = line.consumer()
    wait_until(lambda: caught_up(line), "everything committed", consumer=consumer)
    with pytest.raises(group.GroupActive, match="is at work: flurry-fast on"):
        group.look(kafka, 4).refuse_if_active()
    assert consumer.stop() == 0, consumer.said()
    group.look(kafka, 4).refuse_if_active()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_commits_that_an_operator_moves_or_deletes_change_nothing(pipeline: MakePipeline, protocol: str) -> None:
    line = pipeline(overrides={"kafka.protocol": protocol})
    line.produce(300)
    for number, change in enumerate(("rewound", "ahead", "deleted")):
        consumer = line.consumer(f"consumer-{number}")
        wait_until(lambda: caught_up(line), "everything committed", consumer=consumer)
        assert consumer.stop() == 0, consumer.said()
        (line.folder / "status.json").unlink()
        line.produce(100)
        if change == "deleted":
            line.admin.delete_consumer_groups([line.topic])[line.topic].result(30)
        else:
            offset = 0 if change == "rewound" else 10**6
            moved = ConsumerGroupTopicPartitions(line.topic, [TopicPartition(line.topic, p, offset) for p in range(4)])
            line.admin.alter_consumer_group_offsets([moved])[line.topic].result(30)
    last = line.consumer("last")
    wait_until(lambda: caught_up(line), "everything committed", consumer=last)
    assert last.stop() == 0, last.said()
    line.assert_exact()
