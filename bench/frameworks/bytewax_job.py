"""Bytewax: its Kafka source in batches, and `flat_map_batch`, which hands a batch to one call.

In its favour: counters stand beside its state, so nothing is keyed, exchanged or recoverable.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from confluent_kafka import OFFSET_BEGINNING

from bench.frameworks.job import Counter, serve
from bench.topic import TUNED, Backlog

BATCH = 10_000


def run(backlog: Backlog, counter: Counter) -> None:
    """Every record once; the source ends at the end of every partition."""

    def count(messages: list) -> list:
        counter.absorb([message.value for message in messages], [message.timestamp[1] for message in messages])
        return []

    flow = Dataflow("reports")
    settings = {name: str(value) for name, value in TUNED.items() if name.startswith(("fetch", "queued"))}
    source = KafkaSource(
        [backlog.brokers], [backlog.topic], tail=False, starting_offset=OFFSET_BEGINNING, batch_size=BATCH,
        add_config=settings,
    )  # fmt: skip
    stream = op.input("kafka", flow, source)
    counted = op.flat_map_batch("count", stream, count)
    op.output("nothing", counted, TestingSink([]))
    run_main(flow)


if __name__ == "__main__":
    serve(run)
