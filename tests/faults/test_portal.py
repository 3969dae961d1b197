"""Real brokers are killed under a portal's load: 200 was said of nothing that is not in the topic."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from flurry_fast._core import HttpFleet, Simulator
from flurry_fast.stack import Stack

from .. import real_stack
from ..real_topics import make_topic

sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))

from doors import Door, has_stored, wait_until

PARTITIONS = 6
REPORTS = 6000
RATE = 400


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three brokers that nobody else needs."""
    with real_stack.running(tmp_path_factory, "--brokers", "3", "--no-hdfs", "--no-hbase") as stack:
        yield stack


def read(bootstrap: str, topic: str) -> Counter[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_committed"})
    try:
        found: Counter[bytes] = Counter()
        for partition in range(PARTITIONS):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            consumer.assign([TopicPartition(topic, partition, low)])
            wanted = found.total() + high - low
            while found.total() < wanted:
                messages = consumer.consume(wanted - found.total(), timeout=10)
                assert all(message.error() is None for message in messages)
                found.update(message.value() or b"" for message in messages)
        return found
    finally:
        consumer.close()


@pytest.mark.timeout(real_stack.TIMEOUT)
def test_brokers_are_killed_under_load(cluster: Stack, tmp_path: Path) -> None:
    bootstrap = str(cluster.addresses.kafka)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    make_topic(admin, NewTopic("portal", PARTITIONS, 3, config={"min.insync.replicas": "2"}))
    bodies = Simulator(11, apps=300, devices=5000).next_batch(REPORTS).payloads()
    settings = {"kafka.bootstrap": bootstrap, "portal.answer_timeout": "3s"}
    with Door(tmp_path, None, "portal", **settings) as door:
        fleet = HttpFleet("{}:{}".format(*door.address), host="x", devices=64, resends=200, resend_wait=0.2)

        enough = threading.Event()
        posted = 0

        def offer() -> None:
            nonlocal posted
            while not enough.wait(20 / RATE):
                posted += fleet.post([bodies[number % REPORTS] for number in range(posted, posted + 20)])
            fleet.finish()

        load = threading.Thread(target=offer)
        load.start()
        for number in (1, 2, 3):
            before = door.status()["records"]
            cluster.kill(f"kafka{number}")
            time.sleep(1)
            cluster.start(f"kafka{number}")
            wait_until(partial(has_stored, door, before + 200), "reports are stored again")
        # Two at once: fewer than min.insync.replicas are left, and nothing may be acknowledged.
        cluster.kill("kafka1")
        cluster.kill("kafka2")
        time.sleep(4)
        quiet: int = door.status()["records"]
        time.sleep(2)
        assert door.status()["records"] == quiet, "stored without the replicas that must have it"
        cluster.start("kafka1", "kafka2")
        enough.set()
        load.join(300)
        assert not load.is_alive()
        counts = fleet.counts()
        assert (counts["stored"], counts["dropped"]) == (posted, 0), counts
        assert counts["unanswered"] > 0, "no post met a dead broker"
        acknowledged = Counter(bodies[number % REPORTS] for number in fleet.take_stored())
        missing = acknowledged - read(bootstrap, "portal")
        assert not missing, f"{missing.total()} acknowledged reports are not in the topic"
        assert door.stop() == 0
