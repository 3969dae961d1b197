"""Topics as brokers tell of them, through the admin client and a mock cluster's own topic ids."""

from __future__ import annotations

from typing import Any

import pytest

from flurry_fast.config.model import Kafka
from flurry_fast.kafka import Cluster, KafkaUnavailable, TopicMissing


def test_a_topic_is_known_by_its_id(mock_cluster: Any) -> None:
    one, other = mock_cluster.topic(3), mock_cluster.topic(1)
    cluster = Cluster(Kafka(bootstrap=mock_cluster.bootstrap, topic=one))
    identity = cluster.describe()
    assert (identity.name, identity.partitions) == (one, 3)
    assert 0 < identity.incarnation < 2**32
    assert cluster.describe() == identity
    assert cluster.describe(other).partitions == 1
    assert cluster.incarnation(other) != identity.incarnation


def test_no_such_topic(mock_cluster: Any) -> None:
    cluster = Cluster(Kafka(bootstrap=mock_cluster.bootstrap, topic="never-made"))
    with pytest.raises(TopicMissing, match="never-made"):
        cluster.describe()


def test_nobody_there() -> None:
    cluster = Cluster(Kafka(bootstrap="127.0.0.1:1", request_timeout=0.2, librdkafka={"log_level": 0}))
    with pytest.raises(KafkaUnavailable):
        cluster.describe()
