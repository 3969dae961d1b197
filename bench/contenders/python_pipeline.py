"""A contender in Python over the real topic: ``python -m bench.contenders.python_pipeline NAME BACKLOG [I/N]``.

Answers the lines of bench/child.py: ``prepare`` (not timed: connect), ``round`` (timed: from the first record to the
last), ``digest``. No contender writes or commits anything; every librdkafka consumer has the same settings.
I/N: ours takes every Nth partition only, from I on, as one of N processes.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer

from bench import native
from bench.contenders.python_struct import PythonStruct
from bench.digest import digest
from bench.topic import Backlog
from flurry_fast._core import Engine
from flurry_fast._wire import Batch, Drain
from flurry_fast.positions import CountersPosition

TURN = 10_000  # records of a batch
TURN_BYTES = 32 * 2**20


class Native:
    """Our drain, with or without our engine."""

    def __init__(self, backlog: Backlog, *, count: bool, share: str = "0/1") -> None:
        self._backlog = backlog
        first, step = map(int, share.split("/"))
        self._partitions = range(first, backlog.partitions, step)
        self._left = 0
        self._count = count
        self._consumer: Consumer | None = None
        self._drain: Drain | None = None
        self._engine: Engine | None = None
        self._bytes = 0

    def prepare(self) -> None:
        self.close()
        self._consumer = self._backlog.consumer()
        self._drain = Drain(self._consumer)
        for partition in self._partitions:
            self._drain.attach(self._backlog.topic, partition)
        places = [place for place in self._backlog.beginning() if place.partition in self._partitions]
        self._left = sum(self._consumer.get_watermark_offsets(place, 30)[1] for place in places)
        self._engine = new_engine(self._backlog.partitions) if self._count else None

    def batches(self, take: Callable[[Batch], None]) -> None:
        """Every record of the backlog, in batches."""
        consumer, drain = self._consumer, self._drain
        assert consumer is not None
        assert drain is not None
        consumer.assign([place for place in self._backlog.beginning() if place.partition in self._partitions])
        left = self._left
        while left > 0:
            consumer.poll(0)
            batch, errors = drain.drain(TURN, TURN_BYTES, 100)
            assert not errors, errors
            left -= len(batch)
            if len(batch):
                take(batch)

    def round(self) -> None:
        self._bytes = 0
        self.batches(self._absorb if self._engine is not None else self._pass)

    def _absorb(self, batch: Batch) -> None:
        assert self._engine is not None
        needs = self._engine.absorb(batch)
        assert needs is None
        batch.release()

    def _pass(self, batch: Batch) -> None:
        self._bytes += batch.payload_bytes
        batch.release()

    def digest(self) -> str:
        return f"bytes {self._bytes} 0" if self._engine is None else engine_digest(self._engine)

    def close(self) -> None:
        if self._drain is not None and self._consumer is not None:
            self._drain.close()
            self._consumer.close()
        self._drain = self._consumer = None


class Memory(Native):
    """Decode and aggregate alone: the batches were drained before, and stand where librdkafka put them."""

    def __init__(self, backlog: Backlog) -> None:
        super().__init__(backlog, count=True)
        self._kept: list[Batch] = []

    def prepare(self) -> None:
        if not self._kept:
            super().prepare()
            self.batches(self._kept.append)
        self._engine = new_engine(self._backlog.partitions)

    def round(self) -> None:
        assert self._engine is not None
        for batch in self._kept:
            needs = self._engine.absorb(batch)
            assert needs is None

    def close(self) -> None:
        for batch in self._kept:
            batch.release()
        self._kept.clear()
        super().close()


class Plain:
    """confluent-kafka's consume() in batches, precompiled struct, dicts."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._consumer: Consumer | None = None
        self._counter = PythonStruct()

    def prepare(self) -> None:
        self.close()
        self._consumer = self._backlog.consumer()
        self._counter = PythonStruct()

    def round(self) -> None:
        consumer, counter = self._consumer, self._counter
        assert consumer is not None
        consumer.assign(self._backlog.beginning())
        left = self._backlog.records
        while left > 0:
            messages = consumer.consume(TURN, 0.1)
            left -= len(messages)
            counter.absorb(
                [message.value() or b"" for message in messages], [message.timestamp()[1] for message in messages]
            )

    def digest(self) -> str:
        return f"{digest(self._counter.lines())} {self._counter.unreadable}"

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None


def new_engine(partitions: int) -> Engine:
    """At offset 0 of every partition, over an empty store, with the five rollups."""
    engine = Engine(native.load_plan("five"), incarnation=1, secret=bytes(range(16)), archive=False)
    for partition in range(partitions):
        engine.assign(partition, log_start=0, counters=CountersPosition(0), archive=None, read_from=0)
    return engine


def engine_digest(engine: Engine) -> str:
    """All partitions' counters added up."""
    lines = native.lines(native.load_plan("five"), native.frozen(engine))
    return f"{digest(lines)} {sum(engine.stats()['unreadable'].values())}"


def main() -> None:
    """See the module's words."""
    name, backlog = sys.argv[1], Backlog.of(sys.argv[2:6])
    worker: Any = {
        "drain": lambda: Native(backlog, count=False),
        "ours": lambda: Native(backlog, count=True, share=sys.argv[6] if len(sys.argv) > 6 else "0/1"),
        "memory": lambda: Memory(backlog),
        "python": lambda: Plain(backlog),
    }[name]()
    print("ready", flush=True)
    for line in map(str.strip, sys.stdin):
        if line == "digest":
            print("digest", worker.digest(), flush=True)
            continue
        if line == "prepare":
            worker.prepare()
            gc.collect()
            gc.freeze()
            print("prepared", flush=True)
        elif line == "round":
            gc.disable()
            worker.round()
            gc.enable()
            print("done", flush=True)
        else:
            raise ValueError(line)
    worker.close()


if __name__ == "__main__":
    main()
