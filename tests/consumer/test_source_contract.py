"""KafkaSource by contract: the same over the mock cluster and over real Kafka, by either protocol of groups.

Native and by the fallback. What only one of them can show is in tests/wire/test_source.py and test_real_kafka.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from brokers import real_kafka
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from real_topics import delete_topic, make_topic
from source_member import Member, joining, turn_all

from flurry_fast import _wire, kafka
from flurry_fast.config.model import Kafka
from flurry_fast.consumer.ports import Source


@dataclass
class Cluster:
    """A broker of either kind. `real`: not the mock; `protocol`: of its groups."""

    bootstrap: str
    protocol: str
    owner: Producer | None = None  # of the mock cluster
    topics: list[str] = field(default_factory=list)

    @property
    def real(self) -> bool:
        return self.owner is None

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        self._producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 1, "log_level": 0})

    def topic(self, partitions: int) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        if self.owner is not None:
            _wire.mock_create_topic(self.owner, name, partitions)
        else:
            self.make(name, partitions)
        self.topics.append(name)
        return name

    def make(self, name: str, partitions: int) -> None:
        make_topic(self.admin, NewTopic(name, partitions, 1))

    def delete(self, name: str) -> None:
        """Returns when brokers have forgotten it."""
        delete_topic(self.admin, name)

    def send(self, topic: str, partition: int, values: list[bytes]) -> None:
        """Returns when all of them are acknowledged."""
        failures: list[Any] = []
        for value in values:
            self._producer.produce(
                topic,
                value,
                partition=partition,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
        assert self._producer.flush(30) == 0
        assert not failures


@pytest.fixture(scope="module", params=["mock", "kafka-classic", "kafka-consumer"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "mock":
        owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 3})
        _wire.mock_rebalance_delay(owner, 0)
        _wire.mock_controller(owner, 1)
        yield Cluster(_wire.mock_bootstrap(owner), "classic", owner)
        return
    made = Cluster(real_kafka(request), request.param.removeprefix("kafka-"))
    yield made
    for name in made.topics:
        made.delete(name)


@pytest.fixture(params=[True, False], ids=["native", "fallback"])
def native(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def settings(cluster: Cluster) -> Kafka:
    return Kafka(
        bootstrap=cluster.bootstrap,
        topic=cluster.topic(4),
        group=f"test-{uuid.uuid4().hex[:12]}",
        protocol=cluster.protocol,  # type: ignore[arg-type]
        session_timeout=6.0 if cluster.real else 2.0,  # the mock lets a rebalance take all but a second of it
        librdkafka={"heartbeat.interval.ms": 100},
    )


@pytest.fixture
def join(settings: Kafka, native: bool) -> Iterator[Callable[..., Member]]:
    with joining(settings, native) as join:
        yield join


def test_it_is_a_source(join: Callable[..., Member]) -> None:
    source: Source = join({}).source
    assert source is not None


def test_says_which_way_it_reads(join: Callable[..., Member], native: bool) -> None:
    stats = join({}).source.stats
    assert stats.native is native
    assert (stats.fallback_reason is None) is native


def test_two_members_share_without_gap(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    for partition in range(4):
        cluster.send(settings.topic, partition, [b"x"] * 500)
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: len(one.read) >= 200)
    two = join(positions)  # takes two partitions over where one stood

    turn_all([one, two], lambda: len(two.mine) == 2 and len(one.mine) == 2)
    for partition in range(4):
        cluster.send(settings.topic, partition, [b"y"] * 500)
    turn_all([one, two], lambda: sum(positions.values()) == 4000)
    assert one.mine | two.mine == {0, 1, 2, 3}
    assert sorted(one.read + two.read) == [(p, o) for p in range(4) for o in range(1000)]
    assert {p for p, o in two.read if o >= 500} == two.mine
    one.source.close()
    assert one.source.stats.revocations >= 1
    two.read_until(lambda: len(two.mine) == 4)
    assert one.source.stats.strays == two.source.stats.strays == 0


def test_close_commits_through_the_listener(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    cluster.send(settings.topic, 1, [b"x"] * 20)
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


def test_asynchronous_commits_are_counted(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    cluster.send(settings.topic, 0, [b"x"] * 5)
    one = join({})
    one.read_until(lambda: len(one.read) == 5)
    assert one.source.committed({0}) == {}
    one.source.commit({0: (3, "half")}, asynchronous=True)
    one.source.commit({}, asynchronous=True)
    one.read_until(lambda: one.source.stats.commits == 1)
    assert one.source.committed({0, 1}) == {0: (3, "half")}


def test_seek_and_watermarks(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    cluster.send(settings.topic, 2, [b"x"] * 1000)
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: positions.get(2, 0) >= 300)
    assert one.source.watermarks(2) == (0, 1000)
    positions[2] = 10
    one.source.seek(2, 10)
    one.read_until(lambda: positions[2] == 1000)  # in order from 10, or `turn` fails
    cluster.send(settings.topic, 2, [b"x"])
    assert one.source.watermarks(2) == (0, 1001)
    with pytest.raises(ValueError, match="not assigned"):
        one.source.seek(77, 0)


def test_pause_and_resume(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    for partition in (0, 1):
        cluster.send(settings.topic, partition, [b"x"] * 2000)
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
    join: Callable[..., Member], settings: Kafka, cluster: Cluster
) -> None:
    positions: dict[int, int] = {}
    one = join(positions)
    one.read_until(lambda: len(one.mine) == 4)
    one.source.pause({0, 1, 2, 3})
    two = join(positions)
    turn_all([one, two], lambda: len(two.mine) == len(one.mine) == 2)
    lent = set(two.mine)
    assert len(lent) == 2
    two.source.close()
    one.read_until(lambda: len(one.mine) == 4)
    for partition in range(4):
        cluster.send(settings.topic, partition, [b"x"] * 100)
    one.read_until(lambda: all(positions.get(partition) == 100 for partition in lent))
    assert {partition for partition, _ in one.read} == lent  # whoever stayed is still paused


def test_a_position_outside_the_log_is_told(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    cluster.send(settings.topic, 0, [b"x"] * 5)
    one = join({3: 999})
    one.read_until(lambda: bool(one.errors))
    assert [(error.partition, error.name) for error in one.errors] == [(3, "_AUTO_OFFSET_RESET")]
    one.read_until(lambda: one.positions.get(0) == 5)  # the others go on


def test_static_members_come_back_at_once(join: Callable[..., Member]) -> None:
    one = join({}, instance_id="w1")
    one.read_until(lambda: len(one.mine) == 4)
    one.source.close()
    two = join({}, instance_id="w1")
    two.read_until(lambda: len(two.mine) == 4)


def test_a_name_is_free_again_after_an_orderly_end(join: Callable[..., Member]) -> None:
    """Twice: the second time the group has known it for a while."""
    for _ in range(3):
        member = join({}, instance_id="again")
        member.read_until(lambda: len(member.mine) == 4)  # noqa: B023
        member.source.close()


def test_records_that_retention_took_are_told(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    if not cluster.real:
        pytest.skip("the mock cluster deletes by size alone")
    cluster.send(settings.topic, 0, [b"x"] * 100)
    asked = TopicPartition(settings.topic, 0, 60)
    assert cluster.admin.delete_records([asked])[asked].result(30).low_watermark == 60
    one = join({0: 10})
    one.read_until(lambda: bool(one.errors))
    assert [(error.partition, error.name) for error in one.errors] == [(0, "_AUTO_OFFSET_RESET")]
    assert one.source.watermarks(0) == (60, 100)


def test_times_are_looked_up(join: Callable[..., Member], settings: Kafka, cluster: Cluster) -> None:
    if not cluster.real:
        pytest.skip("the mock cluster keeps no index of times")
    cluster.send(settings.topic, 2, [b"x"] * 10)
    one = join({})
    one.read_until(lambda: len(one.read) == 10)
    assert one.source.offset_for_time(2, 1) == 0
    assert one.source.offset_for_time(2, 2**42) is None


def test_a_topic_is_known_by_its_id(cluster: Cluster) -> None:
    name, other = cluster.topic(3), cluster.topic(1)
    asked = kafka.Cluster(Kafka(bootstrap=cluster.bootstrap, topic=name))
    identity = asked.describe()
    assert (identity.name, identity.partitions) == (name, 3)
    assert 0 < identity.incarnation < 2**32
    assert asked.describe() == identity
    assert asked.incarnation(other) != identity.incarnation
    with pytest.raises(kafka.TopicMissing, match="never-made"):
        asked.describe("never-made")


def test_a_topic_that_is_made_again_is_another(cluster: Cluster) -> None:
    if not cluster.real:
        pytest.skip("the mock cluster can not delete a topic")
    name = cluster.topic(3)
    asked = kafka.Cluster(Kafka(bootstrap=cluster.bootstrap, topic=name))
    before = asked.describe()
    cluster.delete(name)
    with pytest.raises(kafka.TopicMissing):
        asked.describe()
    cluster.make(name, 3)
    after = asked.describe()
    assert after.partitions == before.partitions
    assert after.incarnation != before.incarnation
