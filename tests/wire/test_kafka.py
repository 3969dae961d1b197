"""Topics of brokers that are not there; the rest is in consumer/test_source_contract.py."""

from __future__ import annotations

import pytest

from flurry_fast import kafka
from flurry_fast.config.model import Kafka
from flurry_fast.kafka import Cluster, KafkaUnavailable, TopicIdentity


def test_nobody_there() -> None:
    cluster = Cluster(Kafka(bootstrap="127.0.0.1:1", request_timeout=0.2, librdkafka={"log_level": 0}))
    with pytest.raises(KafkaUnavailable):
        cluster.describe()


def test_who_gets_no_answer_asks_with_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client waits for minutes for a controller that is dead; the storm does it to real brokers."""
    asked: list[tuple[object, float]] = []
    identity = TopicIdentity("reports", 4, 7)

    def ask(self: Cluster, admin: object, topic: str, timeout: float) -> TopicIdentity:
        asked.append((admin, timeout))
        if len(asked) == 1:
            raise KafkaUnavailable("no answer")
        return identity

    monkeypatch.setattr(kafka, "AdminClient", lambda config: object())
    monkeypatch.setattr(Cluster, "_ask", ask)
    cluster = Cluster(Kafka(bootstrap="127.0.0.1:1", request_timeout=20.0))
    assert cluster.describe() == identity
    assert [timeout for _, timeout in asked] == [kafka.FIRST_ASK_SECONDS, 20.0]
    assert asked[0][0] is not asked[1][0]
    assert cluster.describe() == identity
    assert asked[2] == (asked[1][0], kafka.FIRST_ASK_SECONDS)
