"""A mock cluster within the test process, where no process boundary is needed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Producer

from flurry_fast import _wire


@dataclass
class MockCluster:
    """`topic(n)` makes a new topic of n partitions; `send` delivers and returns nothing before it is there."""

    owner: Producer
    bootstrap: str
    topic: Callable[[int], str]

    def send(self, topic: str, partition: int, values: list[bytes | None], **extra: Any) -> None:
        failures: list[Any] = []
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 1})
        for value in values:
            producer.produce(
                topic,
                value,
                partition=partition,
                on_delivery=lambda error, _: failures.append(error) if error else None,
                **extra,
            )
        assert producer.flush(30) == 0
        assert not failures


@pytest.fixture(scope="session")
def mock_cluster() -> MockCluster:
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 3})
    _wire.mock_rebalance_delay(owner, 0)
    _wire.mock_controller(owner, 1)

    def topic(partitions: int) -> str:
        name = f"t-{uuid.uuid4().hex[:12]}"
        _wire.mock_create_topic(owner, name, partitions)
        return name

    return MockCluster(owner, _wire.mock_bootstrap(owner), topic)
