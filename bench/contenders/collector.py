"""What plain Python collectors share: confluent-kafka behind an event loop, a report stored on its delivery report."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from confluent_kafka import Producer

from flurry_fast._core import message_key

BOOTSTRAP, TOPIC = "BENCH_BOOTSTRAP", "BENCH_TOPIC"  # in the environment


class Collector:
    """A producer and a thread that polls it. Made in the process that serves."""

    def __init__(self) -> None:
        self._topic = os.environ[TOPIC]
        self._producer = Producer(
            {
                "bootstrap.servers": os.environ[BOOTSTRAP],
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "lz4",
                "partitioner": "murmur2",
            }
        )
        threading.Thread(target=self._poll, daemon=True).start()

    async def store(self, body: bytes) -> None:
        """Returns when Kafka has it. Raises RuntimeError."""
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()

        def told(error: Any, _message: Any) -> None:
            loop.call_soon_threadsafe(settle, error)

        def settle(error: Any) -> None:
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(RuntimeError(str(error)))

        self._producer.produce(self._topic, body, message_key(body), on_delivery=told)
        await stored

    def _poll(self) -> None:
        while True:
            self._producer.poll(0.1)
