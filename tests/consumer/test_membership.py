"""Which protocol keeps the group, and what session is in force."""

from __future__ import annotations

import pytest

from flurry_fast.config.model import Kafka
from flurry_fast.consumer.membership import decide, find_membership


@pytest.mark.parametrize(
    ("protocol", "name", "offered", "expected"),
    [
        ("classic", None, 5.0, ("classic", 10.0)),
        ("consumer", None, 45.0, ("consumer", 45.0)),
        ("consumer", "w", 45.0, ("consumer", 45.0)),
        ("consumer", None, None, ("consumer", 10.0)),
        ("auto", None, None, ("classic", 10.0)),
        ("auto", None, 45.0, ("classic", 10.0)),
        ("auto", None, 10.0, ("consumer", 10.0)),
        ("auto", "w", 5.0, ("classic", 10.0)),
    ],
)
def test_the_protocol(protocol: str, name: str | None, offered: float | None, expected: tuple[str, float]) -> None:
    kafka = Kafka(bootstrap="kafka:9092", protocol=protocol, instance_id=name)  # type: ignore[arg-type]
    found = decide(kafka, offered)
    assert (found.protocol, found.session) == expected
    assert found.reason


def test_brokers_that_can_not_be_asked_decide_nothing() -> None:
    gone = Kafka(bootstrap="127.0.0.1:1", request_timeout=0.2, librdkafka={"log_level": 0})
    assert find_membership(gone).protocol == "classic"
    assert find_membership(Kafka()).protocol == "classic"
