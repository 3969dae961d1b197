"""Topics of brokers that are not there; the rest is in consumer/test_source_contract.py."""

from __future__ import annotations

import pytest

from flurry_fast.config.model import Kafka
from flurry_fast.kafka import Cluster, KafkaUnavailable


def test_nobody_there() -> None:
    cluster = Cluster(Kafka(bootstrap="127.0.0.1:1", request_timeout=0.2, librdkafka={"log_level": 0}))
    with pytest.raises(KafkaUnavailable):
        cluster.describe()
