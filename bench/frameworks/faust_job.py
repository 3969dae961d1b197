"""Faust (faust-streaming): one agent over the raw topic, events taken in batches, nothing kept in tables.

In its favour: `take_events` hands over many at once, no table, no changelog, no web server.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile

import faust

from bench.frameworks.job import Counter, serve
from bench.topic import Backlog

BATCH = 1_000


def run(backlog: Backlog, counter: Counter) -> None:
    """Every record once; the application is stopped after the last one."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(backlog, counter, folder))


async def _run(backlog: Backlog, counter: Counter, folder: str) -> None:
    logging.getLogger("faust").setLevel(logging.ERROR)
    app = faust.App(
        secrets.token_hex(4), broker=f"kafka://{backlog.brokers}", store="memory://", value_serializer="raw",
        key_serializer="raw", consumer_auto_offset_reset="earliest", topic_disable_leader=True, web_enabled=False,
        broker_max_poll_records=BATCH, stream_buffer_maxsize=2 * BATCH, datadir=folder,
        broker_commit_interval=3600.0,
    )  # fmt: skip
    finished = asyncio.Event()
    seen = 0
    topic = app.topic(backlog.topic, value_type=bytes, value_serializer="raw")

    @app.agent(topic)
    async def count(stream: faust.Stream) -> None:
        nonlocal seen
        async for events in stream.noack().take_events(BATCH, within=0.2):
            counter.absorb(
                [event.message.value for event in events],
                [round(event.message.timestamp * 1000) for event in events],
            )
            seen += len(events)
            if seen >= backlog.records:
                finished.set()

    app.finalize()
    await app.start()
    await finished.wait()
    await app.stop()


if __name__ == "__main__":
    serve(run)
