"""The log and the group as operations see them, at the embedded broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from flurry_fast.broker import EmbeddedBroker, read_broker_file
from flurry_fast.config.model import Kafka
from flurry_fast.consumer.client import consumer_config
from flurry_fast.kafka import KafkaUnavailable
from flurry_fast.operations import group
from flurry_fast.operations.group import GroupActive
from flurry_fast.operations.log import KafkaLog
from flurry_fast.operations.ports import Bounds, Record

BODIES = [b"one", b"", b"three", b"four"]
TIMES = [1_000_000, 3_000_000, 2_000_000, 4_000_000]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    path = tmp_path_factory.mktemp("broker") / "broker.json"
    with EmbeddedBroker(path, {"reports": 3}) as broker:
        producer = Producer({"bootstrap.servers": broker.file.bootstrap, "log_level": 0})
        for body, timestamp in zip(BODIES, TIMES, strict=True):
            producer.produce("reports", body, partition=1, timestamp=timestamp)
        assert producer.flush(30) == 0
        yield Kafka(broker_file=path, request_timeout=10, session_timeout=3)


class TestLog:
    def test_bounds_records_and_times(self, kafka: Kafka) -> None:
        with KafkaLog(kafka) as log:
            assert log.bounds(1) == Bounds(0, 4)
            assert log.bounds(0) == Bounds(0, 0)
            assert [log.record(1, at) for at in (3, 0, 1)] == [
                Record(google_crc32c.value(BODIES[at]), TIMES[at]) for at in (3, 0, 1)
            ]
            assert log.max_timestamp(1, 0, 3) == 3_000_000
            assert log.max_timestamp(1, 2, 3) == 2_000_000
            assert log.max_timestamp(1, 2, 2) == -1
            assert [log.offset_at(1, time) for time in (0, 2_000_000, 3_000_001, 4_000_001)] == [0, 1, 3, None]
            assert log.offset_at(0, 0) is None
            assert log.record(1, 0).timestamp == TIMES[0]  # a search that ended early is no trouble
            assert log.committed([0, 1, 2]) == {}

    def test_commits_are_seen_without_joining(self, kafka: Kafka) -> None:
        named = kafka.model_copy(update={"group": "committing"})
        member = Consumer(consumer_config(named))
        member.commit(offsets=[TopicPartition("reports", 1, 3, "words")], asynchronous=False)
        member.close()
        with KafkaLog(named) as log:
            assert log.committed([0, 1]) == {1: (3, "words")}

    def test_what_does_not_come_is_said(self, kafka: Kafka) -> None:
        with KafkaLog(kafka.model_copy(update={"request_timeout": 0.5})) as log:
            with pytest.raises(KafkaUnavailable, match="record 4"):
                log.record(1, 4)
            with pytest.raises(KafkaUnavailable):
                log.record(1, 9)


class TestGroup:
    def test_nobody(self, kafka: Kafka) -> None:
        found = group.look(kafka.model_copy(update={"group": "nobody", "instance_id": "me"}), 3)
        assert found.members == []
        found.refuse_if_active()

    def test_brokers_that_can_not_say(self, kafka: Kafka) -> None:
        """librdkafka's mock cluster as if it were a real one: it knows no such request."""
        real = kafka.model_copy(update={"bootstrap": read_broker_file(kafka.broker_file).bootstrap})
        with pytest.raises(KafkaUnavailable, match="Group flurry-fast can not be described"):
            group.look(real, 3)

    @pytest.mark.parametrize("partitions", [3, 1])
    def test_a_member_is_noticed_until_it_is_gone(self, kafka: Kafka, tmp_path: Path, partitions: int) -> None:
        with EmbeddedBroker(tmp_path / "broker.json", {"reports": partitions}):
            named = kafka.model_copy(update={"group": "working", "broker_file": tmp_path / "broker.json"})
            member = Consumer(consumer_config(named))
            owned: set[int] = set()

            def assigned(consumer: Consumer, found: list[TopicPartition]) -> None:
                owned.update(item.partition for item in found)
                consumer.incremental_assign(found)

            member.subscribe(["reports"], on_assign=assigned)
            while len(owned) < partitions:
                member.poll(0.1)
            stop = keep_polling(member)
            found = group.look(named, partitions)
            with pytest.raises(GroupActive, match="Group working is at work"):
                found.refuse_if_active()
            stop()
            member.close()
            group.look(named, partitions).refuse_if_active()


def keep_polling(member: Consumer) -> Callable[[], None]:
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            member.poll(0.1)

    thread = threading.Thread(target=work)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join()

    return stop
