"""librdkafka as a member of the group: its settings, and an end that does not hang."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flurry_fast.config.model import Kafka
from flurry_fast.kafka import client_config

HEARTBEAT_MS = 1000  # members hear of a rebalance by it: 1.5 s to share with a newcomer, 4.5 s at librdkafka's 3000


def consumer_config(kafka: Kafka) -> dict[str, Any]:
    """librdkafka's settings for a member of the group: what exactness needs, and what is measured to be fast.

    `kafka.protocol` as consumer.membership decided it; `auto` is taken as classic.
    """
    session_ms = round(kafka.session_timeout * 1000)
    config = client_config(
        kafka,
        **{
            "group.id": kafka.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
        },
    )
    if kafka.instance_id is not None:
        config["group.instance.id"] = kafka.instance_id
    tuned: dict[str, Any] = {
        "fetch.queue.backoff.ms": 2,  # the default of a second starves consume()
        "queued.max.messages.kbytes": 32 * 1024,  # larger queues cost page faults
        "allow.auto.create.topics": False,
    }
    if kafka.protocol == "consumer":  # the brokers decide on sessions and assignments
        tuned["group.protocol"] = "consumer"
        for name in ("heartbeat.interval.ms", "partition.assignment.strategy"):
            config.pop(name, None)  # librdkafka would refuse to start
    else:
        tuned |= {"session.timeout.ms": session_ms, "heartbeat.interval.ms": min(HEARTBEAT_MS, session_ms // 3)}
        config["partition.assignment.strategy"] = "cooperative-sticky"  # whoever keeps a partition reads on
    return tuned | config


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """Should librdkafka not let go of the group, the process ends by itself, with status 1 and all stacks on stderr.

    It would wait with the GIL held, so that neither a thread nor a signal's handler of Python could. Everything is
    written and committed, or may not be: the group learns of the death when the session ends.
    """
    if sys.__stderr__ is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
