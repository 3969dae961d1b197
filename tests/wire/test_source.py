"""KafkaSource over a mock cluster: group membership, positions, errors; native and by the fallback."""

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

from flurry_fast import _wire
from flurry_fast.config.model import Kafka
from flurry_fast.consumer import source as source_module
from flurry_fast.consumer.ports import Source
from flurry_fast.consumer.source import KafkaSource, SourceFatal, consumer_config
from flurry_fast.kafka import KafkaUnavailable


class Member:
    """A source that keeps what it read, and reads on where its predecessor said (`positions`, shared)."""

    def __init__(self, kafka: Kafka, positions: dict[int, int], native: bool) -> None:
        self.source = KafkaSource(kafka, native=native)
        self.positions = positions
        self.mine: set[int] = set()
        self.read: list[tuple[int, int]] = []
        self.errors: list[Any] = []
        self.source.subscribe(self)

    def assigned(self, partitions: set[int]) -> None:
        self.mine |= partitions
        self.source.assign({partition: self.positions.get(partition, 0) for partition in partitions})

    def revoked(self, partitions: set[int]) -> None:
        self.source.commit({p: (self.positions.get(p, 0), f"meta {p}") for p in partitions}, asynchronous=False)
        self.mine -= partitions

    def lost(self, partitions: set[int]) -> None:
        self.mine -= partitions

    def turn(self, max_messages: int = 500) -> int:
        batch, errors = self.source.drain(max_messages, 2**20, 0.05)
        self.errors += errors
        if batch is None:
            return 0
        for partition, offset, *_ in batch.rows():
            assert partition in self.mine
            assert offset == self.positions.get(partition, 0), "a gap or a repetition"
            self.positions[partition] = offset + 1
            self.read.append((partition, offset))
        return len(batch)

    def read_until(self, done: Callable[[], bool]) -> None:
        for _ in range(2000):  # a turn waits 50 ms at most
            if done():
                return
            self.turn()
        raise AssertionError(f"never done: {self.positions} {self.errors} {self.source.stats}")


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
    members: list[Member] = []

    def new(positions: dict[int, int], **changes: Any) -> Member:
        members.append(Member(settings.model_copy(update=changes), positions, native))
        return members[-1]

    yield new
    for member in members:
        member.source.close()


def test_it_is_a_source(join: Callable[..., Member]) -> None:
    source: Source = join({}).source
    assert source is not None


def test_says_which_way_it_reads(join: Callable[..., Member], native: bool) -> None:
    stats = join({}).source.stats
    assert stats.native is native
    assert (stats.fallback_reason is None) is native


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


def test_two_members_share_without_gap(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    for partition in range(4):
        mock_cluster.send(settings.topic, partition, [b"x"] * 500)
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: len(one.read) >= 200)
    two = join(positions)  # takes two partitions over where one stood

    def both(done: Callable[[], bool]) -> None:
        for _ in range(2000):
            if done():
                return
            one.turn()
            two.turn()
        raise AssertionError("never done")

    both(lambda: len(two.mine) == 2 and len(one.mine) == 2)
    for partition in range(4):
        mock_cluster.send(settings.topic, partition, [b"y"] * 500)
    both(lambda: sum(positions.values()) == 4000)
    assert one.mine | two.mine == {0, 1, 2, 3}
    assert sorted(one.read + two.read) == [(p, o) for p in range(4) for o in range(1000)]
    assert {p for p, o in two.read if o >= 500} == two.mine
    one.source.close()
    assert one.source.stats.revocations >= 1
    two.read_until(lambda: len(two.mine) == 4)
    assert one.source.stats.strays == two.source.stats.strays == 0


def test_close_commits_through_the_listener(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    mock_cluster.send(settings.topic, 1, [b"x"] * 20)
    one = join({})
    one.read_until(lambda: len(one.read) == 20 and len(one.mine) == 4)
    one.source.close()
    one.source.close()
    two = join({1: 20})
    two.read_until(lambda: len(two.mine) == 4)
    assert two.source.committed({0, 1, 2, 3}) == {
        0: (0, "meta 0"),
        1: (20, "meta 1"),
        2: (0, "meta 2"),
        3: (0, "meta 3"),
    }


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
    code = "import time; from flurry_fast.consumer.source import _ending_within as w\nwith w(0.2): time.sleep(60)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 1
    assert "Timeout" in done.stderr


def test_what_comes_while_it_leaves_is_not_taken(join: Callable[..., Member], monkeypatch: pytest.MonkeyPatch) -> None:
    member = join({})
    member.read_until(lambda: len(member.mine) == 4)
    assignments = member.source.stats.assignments

    def revoked(partitions: set[int]) -> None:
        """librdkafka may serve a rebalance that was under way from inside close()."""
        member.mine -= partitions
        member.source._on_assign({0})

    monkeypatch.setattr(member, "revoked", revoked)
    member.source.close()
    assert member.mine == set()
    assert member.source.stats.assignments == assignments


def test_asynchronous_commits_are_counted(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    mock_cluster.send(settings.topic, 0, [b"x"] * 5)
    one = join({})
    one.read_until(lambda: len(one.read) == 5)
    assert one.source.committed({0}) == {}
    one.source.commit({0: (3, "half")}, asynchronous=True)
    one.source.commit({}, asynchronous=True)
    one.read_until(lambda: one.source.stats.commits == 1)
    assert one.source.committed({0, 1}) == {0: (3, "half")}


def test_seek_and_watermarks(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    mock_cluster.send(settings.topic, 2, [b"x"] * 1000)
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: positions.get(2, 0) >= 300)
    assert one.source.watermarks(2) == (0, 1000)
    positions[2] = 10
    one.source.seek(2, 10)
    one.read_until(lambda: positions[2] == 1000)  # in order from 10, or `turn` fails
    mock_cluster.send(settings.topic, 2, [b"x"])
    assert one.source.watermarks(2) == (0, 1001)
    with pytest.raises(ValueError, match="not assigned"):
        one.source.seek(77, 0)


def test_offsets_by_time(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    """The mock cluster does not look times up: then nobody knows, and the log is read from its start."""
    mock_cluster.send(settings.topic, 2, [b"x"] * 10)
    one = join({})
    one.read_until(lambda: len(one.read) == 10)
    assert one.source.offset_for_time(2, 1) is None


def test_pause_and_resume(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    for partition in (0, 1):
        mock_cluster.send(settings.topic, partition, [b"x"] * 2000)
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: positions.get(0, 0) > 0)
    one.source.pause({0})
    held = positions[0]
    one.read_until(lambda: positions.get(1, 0) == 2000)
    assert positions[0] == held
    one.source.resume({0})
    one.read_until(lambda: positions[0] == 2000)


def test_a_paused_partition_that_comes_back_is_read(
    join: Callable[..., Member], settings: Kafka, mock_cluster: Any
) -> None:
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: len(one.mine) == 4)
    one.source.pause({0, 1, 2, 3})
    two = join(positions)
    for _ in range(2000):
        if len(two.mine) == len(one.mine) == 2:
            break
        one.turn()
        two.turn()
    lent = set(two.mine)
    assert len(lent) == 2
    two.source.close()
    one.read_until(lambda: len(one.mine) == 4)
    for partition in range(4):
        mock_cluster.send(settings.topic, partition, [b"x"] * 100)
    one.read_until(lambda: all(positions.get(partition) == 100 for partition in lent))
    assert {partition for partition, _ in one.read} == lent  # whoever stayed is still paused


def test_a_position_outside_the_log_is_told(join: Callable[..., Member], settings: Kafka, mock_cluster: Any) -> None:
    mock_cluster.send(settings.topic, 0, [b"x"] * 5)
    one = join({3: 999})
    one.read_until(lambda: bool(one.errors))
    assert [(error.partition, error.name) for error in one.errors] == [(3, "_AUTO_OFFSET_RESET")]
    one.read_until(lambda: one.positions.get(0) == 5)  # the others go on


def test_a_fenced_member_stops(join: Callable[..., Member]) -> None:
    one = join({})
    one.source._error(KafkaError(KafkaError.FENCED_INSTANCE_ID, "somebody else"))
    with pytest.raises(SourceFatal, match=r"somebody else.*FENCED_INSTANCE_ID.*instance_id"):
        one.turn()


def test_static_members_come_back_at_once(join: Callable[..., Member]) -> None:
    one = join({}, instance_id="w1")
    one.read_until(lambda: len(one.mine) == 4)
    one.source.close()
    two = join({}, instance_id="w1")
    two.read_until(lambda: len(two.mine) == 4)


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
    kip848 = consumer_config(settings.model_copy(update={"librdkafka": {"group.protocol": "consumer"}}))
    assert not {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} & set(kip848)
