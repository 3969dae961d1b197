"""Quix Streams: a StreamingDataFrame with one stateless update a record, raw bytes, nothing produced.

In its favour: no state store, no changelog topic, commits at the end only.
"""

from __future__ import annotations

import secrets
import tempfile

from quixstreams import Application

from bench.frameworks.job import Counter, OneByOne, serve
from bench.topic import TUNED, Backlog


def run(backlog: Backlog, counter: Counter) -> None:
    """Every record once; `count` ends the run."""
    settings = {name: value for name, value in TUNED.items() if name.startswith(("fetch", "queued"))}
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=backlog.brokers, consumer_group=secrets.token_hex(4), auto_offset_reset="earliest",
            auto_create_topics=False, use_changelog_topics=False, state_dir=folder, loglevel="WARNING",
            commit_interval=3600, consumer_extra_config=settings,
        )  # fmt: skip
        topic = app.topic(backlog.topic, value_deserializer="bytes", key_deserializer="bytes")
        each = OneByOne(counter)
        frame = app.dataframe(topic)
        frame.update(lambda value, _key, timestamp, _headers: each.add(value, timestamp), metadata=True)
        app.run(count=backlog.records)
        each.finish()


if __name__ == "__main__":
    serve(run)
