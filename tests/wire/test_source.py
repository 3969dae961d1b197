"""KafkaSource where only the mock cluster will do; what holds over any broker: consumer/test_source_contract.py."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError
from source_member import Member, joining

from flurry_fast import _wire
from flurry_fast.config.model import Kafka
from flurry_fast.consumer import source as source_module
from flurry_fast.consumer.client import consumer_config
from flurry_fast.consumer.source import KafkaSource, SourceFatal
from flurry_fast.kafka import KafkaUnavailable


@pytest.fixture(params=[True, False], ids=["native", "fallback"])
def native(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def settings(mock_cluster: Any) -> Kafka:
    return Kafka(
        bootstrap=mock_cluster.bootstrap,
        topic=mock_cluster.topic(4),
        group=f"g-{uuid.uuid4().hex[:12]}",
        session_timeout=2.0,  # the mock cluster lets a rebalance take all but a second of it
        librdkafka={"heartbeat.interval.ms": 100},
    )


@pytest.fixture
def join(settings: Kafka, native: bool) -> Iterator[Callable[..., Member]]:
    with joining(settings, native) as join:
        yield join


def test_falls_back_loudly(settings: Kafka, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def refuse(_: Any) -> Any:
        raise _wire.DrainUnavailable("no such symbol")

    monkeypatch.setattr(source_module, "Drain", refuse)
    with KafkaSource(settings) as source:
        assert not source.stats.native
        assert source.stats.fallback_reason == "no such symbol"
    said = "".join(capfd.readouterr())
    assert "no native drain" in said
    assert "no such symbol" in said


class Recorder:
    """confluent-kafka's consumer; what is called is noted."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.called = inner, []

    def __getattr__(self, name: str) -> Any:
        self.called.append(name)
        return getattr(self.inner, name)


def test_rebalances_are_answered_before_the_group_is_left(
    join: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka never answers what confluent-kafka asks of a group that has just ended, and the process would hang."""
    member = join({})
    member.read_until(lambda: len(member.mine) == 4)
    recorder = Recorder(member.source._consumer)
    monkeypatch.setattr(member.source, "_consumer", recorder)
    member.source.close()
    assert recorder.called[recorder.called.index("close") - 1] == "poll"


def test_who_leaves_answers_rebalances_himself(join: Callable[..., Member], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else confluent-kafka would, by asking what may never be answered."""
    member = join({})
    member.source.close()
    recorder = Recorder(SimpleNamespace(incremental_unassign=lambda partitions: partitions))
    monkeypatch.setattr(member.source, "_consumer", recorder)
    member.source._on_revoke({0})
    member.source._on_lost({0})
    assert recorder.called == ["incremental_unassign"] * 2


def test_a_group_that_can_not_be_left_is_left_by_ending() -> None:
    code = "import time; from flurry_fast.consumer.client import ending_within as w\nwith w(0.2): time.sleep(60)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 1
    assert "Timeout" in done.stderr


def test_offsets_by_time(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    """The mock cluster does not look times up: then nobody knows, and the log is read from its start."""
    mock_cluster.send(settings.topic, 2, [b"x"] * 10)
    one = join({})
    one.read_until(lambda: len(one.read) == 10)
    assert one.source.offset_for_time(2, 1) is None


def test_a_fenced_member_stops(join: Callable[..., Member]) -> None:
    one = join({})
    one.source._error(KafkaError(KafkaError.FENCED_INSTANCE_ID, "somebody else"))
    with pytest.raises(SourceFatal, match=r"somebody else.*FENCED_INSTANCE_ID.*instance_id"):
        one.turn()


def test_no_broker_is_no_hang(native: bool) -> None:
    gone = Kafka(bootstrap="127.0.0.1:1", request_timeout=0.2)
    source = KafkaSource(gone, native=native)
    try:
        with pytest.raises(KafkaUnavailable):
            source.watermarks(0)
        with pytest.raises(KafkaUnavailable):
            source.committed({0})
        batch, errors = source.drain(10, 100, 0)
        assert batch is None
        assert errors == []
    finally:
        closing = threading.Thread(target=source.close)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()


def test_statistics(settings: Kafka, native: bool) -> None:
    seen: list[dict[str, Any]] = []
    source = KafkaSource(settings, native=native, on_statistics=seen.append, statistics_interval_ms=50)
    with source:
        for _ in range(200):
            source.drain(10, 100, 0.05)
            if seen:
                break
        assert seen[0]["type"] == "consumer"
        assert source.stats.librdkafka["client_id"] == "flurry-fast"


def test_settings_that_exactness_needs(settings: Kafka) -> None:
    config = consumer_config(settings.model_copy(update={"instance_id": "i", "session_timeout": 6.0}))
    assert config["auto.offset.reset"] == "error"
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["partition.assignment.strategy"] == "cooperative-sticky"
    assert config["group.instance.id"] == "i"
    assert config["session.timeout.ms"] == 6000
    assert config["heartbeat.interval.ms"] == 100  # passed through
    kip848 = consumer_config(settings.model_copy(update={"protocol": "consumer"}))
    assert kip848["group.protocol"] == "consumer"
    assert not {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} & set(kip848)
