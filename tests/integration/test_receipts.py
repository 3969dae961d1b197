"""What a portal's receipts say against what consumers of a real Kafka see, whichever time its topic stores."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka.admin import AdminClient, NewTopic

from flurry_fast._core import HttpFleet, Simulator
from flurry_fast.stack import Stack

from ..real_topics import make_topic

sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))

from doors import Door
from whole_topic import read_records

PARTITIONS, REPORTS = 3, 300


def read(bootstrap: str, topic: str, kind: int) -> dict[tuple[int, int, int], bytes]:
    found: dict[tuple[int, int, int], bytes] = {}
    for message in read_records(bootstrap, topic, PARTITIONS):
        stored_kind, timestamp = message.timestamp()
        assert stored_kind == kind
        found[message.partition() or 0, message.offset() or 0, timestamp] = message.value() or b""
    return found


@pytest.mark.parametrize(
    ("stored", "kind"), [("CreateTime", TIMESTAMP_CREATE_TIME), ("LogAppendTime", TIMESTAMP_LOG_APPEND_TIME)]
)
def test_a_receipt_is_what_consumers_see(stack: Stack, tmp_path: Path, stored: str, kind: int) -> None:
    bootstrap, topic = str(stack.addresses.kafka), f"receipts_{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    make_topic(admin, NewTopic(topic, PARTITIONS, 1, config={"message.timestamp.type": stored}))
    bodies = Simulator(3, apps=50, devices=500).next_batch(REPORTS).payloads()
    settings: dict[str, Any] = {"kafka.bootstrap": bootstrap}
    with Door(tmp_path, None, topic, **settings) as door:
        fleet = HttpFleet("{}:{}".format(*door.address), host="x", devices=16, receipts=True)
        assert fleet.post(bodies) == REPORTS
        fleet.finish()
        told = {place: bodies[number] for number, place in fleet.take_receipts()}
    assert told == read(bootstrap, topic, kind)
    assert len(told) == REPORTS
