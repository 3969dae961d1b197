"""Where one measured consumer works: a topic, tables and an archive of its own on a stack, gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hdfs_native
from confluent_kafka.admin import AdminClient

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.config.model import Kafka
from flurry_fast.operations import topics
from flurry_fast.stack import Stack
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL


@dataclass(frozen=True)
class Ground:
    """`settings`: what `flurry-fast` commands are told, by dotted key. `stack`: whose servers they are."""

    stack: Stack
    name: str
    topic: str
    partitions: int
    address: HBaseAddress
    settings: dict[str, str]

    def store(self) -> HBaseStore:
        """A connection of one's own to the counters; the tables must be there. Raises StoreError."""
        return HBaseStore(self.address, timeout=300, create=False)


@contextmanager
def ground(stack: Stack, folder: Path, partitions: int, topic: str | None = None) -> Iterator[Ground]:
    """On Kafka and HBase of a stack, and on its HDFS, else in `folder`. `topic`: one that is there, and stays."""
    name = f"bench_{secrets.token_hex(4)}"
    addresses = stack.addresses
    assert addresses.kafka is not None
    assert addresses.hbase_thrift is not None
    address = HBaseAddress(*addresses.hbase_thrift, f"{name}_")
    if topic is None:
        topics.create(Kafka(bootstrap=addresses.kafka, topic=name), topics.Wanted(name, partitions, 1))
    try:
        yield Ground(stack, name, topic or name, partitions, address, {
            "kafka.bootstrap": addresses.kafka,
            "kafka.topic": topic or name,
            "kafka.group": name,
            "counters.store": str(address),
            "archive.root": f"{addresses.hdfs}/{name}" if addresses.hdfs else str(folder / "archive"),
            "log.format": "json",
        })  # fmt: skip
    finally:
        drop_tables(address)
        if addresses.hdfs is not None:
            hdfs_native.Client(addresses.hdfs).delete(f"/{name}", True)
        if topic is None:
            delete_topic(addresses.kafka, name)


def drop_tables(address: HBaseAddress) -> None:
    """All tables of a prefix. Raises StoreError."""
    store = HBaseStore(address, timeout=300)
    try:
        for table in (*store.tables(), CONTROL):
            store.admin.drop(table)
    finally:
        store.close()


def delete_topic(bootstrap: str, name: str) -> None:
    """Raises KafkaException."""
    admin = AdminClient({"bootstrap.servers": bootstrap})  # kept until it has answered
    admin.delete_topics([name])[name].result(60)
