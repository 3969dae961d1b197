"""Running a plan up to chosen offsets and no further: the consumer's own loop over a source that ends.

The partitions are read without a group, each up to its end; counters are the only sink. Everything else is what
`flurry-fast consume` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flurry_fast import trials
from flurry_fast._core import Plan
from flurry_fast.config.model import Settings
from flurry_fast.consumer.loop import Consumer
from flurry_fast.consumer.ports import Listener, Source, SourceStats
from flurry_fast.consumer.start import assemble, make_engine, make_sinks
from flurry_fast.consumer.state import LoopState
from flurry_fast.errors import FlurryFastError
from flurry_fast.ports import Clock, ThreadWorker, Worker
from flurry_fast.registry import Registration, Registry
from flurry_fast.sinks.counters import CountersSink
from flurry_fast.stores.base import CellStore


class PartitionStuck(FlurryFastError):
    """A partition can not be counted to its end."""


class BoundedSource:
    """Another source's partitions, each up to its end. Joins no group, and commits nothing."""

    def __init__(self, inner: Source, ends: Mapping[int, int]) -> None:
        """`ends`: partition -> the first offset that is not taken any more. Closes `inner` when it is closed."""
        self._inner = inner
        self._ends = dict(ends)
        self._listener: Listener | None = None
        self._assigned = False

    @property
    def stats(self) -> SourceStats:
        return self._inner.stats

    def subscribe(self, listener: Listener) -> None:
        self._listener = listener

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        if not self._assigned and self._listener is not None:
            self._assigned = True
            self._listener.assigned(set(self._ends))
        batch, errors = self._inner.drain(max_messages, max_bytes, timeout)
        if batch is not None and not trials.seeded("x_not_respected"):
            reached = batch.cut(self._ends)
            if reached:
                self._inner.pause(reached)
        return (batch if batch is not None and len(batch) else None), errors

    def assign(self, offsets: Mapping[int, int]) -> None:
        self._inner.assign(offsets)

    def unassign(self, partitions: set[int]) -> None:
        self._inner.unassign(partitions)

    def seek(self, partition: int, offset: int) -> None:
        self._inner.seek(partition, offset)
        self._inner.resume({partition})  # it may have come to its end before

    def pause(self, partitions: set[int]) -> None:
        self._inner.pause(partitions)

    def resume(self, partitions: set[int]) -> None:
        self._inner.resume(partitions)

    def watermarks(self, partition: int) -> tuple[int, int]:
        return self._inner.watermarks(partition)

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        return self._inner.offset_for_time(partition, timestamp)

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        return self._inner.committed(partitions)

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        """The commit is the group's."""

    def close(self) -> None:
        if self._assigned and self._listener is not None:
            self._listener.revoked(set(self._ends))
        self._inner.close()


def run_to(
    settings: Settings,
    plan: Plan,
    source: Source,
    store: CellStore,
    registry: Registry,
    registration: Registration,
    ends: Mapping[int, int],
    clock: Clock,
    *,
    worker: Callable[[str], Worker] = ThreadWorker,
    stop: Callable[[], bool] = lambda: False,
    publish: Callable[[LoopState], None] = lambda _: None,
) -> None:
    """Count with `plan` until every partition of `ends` stands at its end, durably, or `stop()`.

    `source` is closed at the end. What is unwritten at a `stop()` is written first, if that can be done in time.
    Raises PartitionStuck for a partition that has to be stopped, and what ends a consumer.
    """
    consume = settings.consume.model_copy(update={"sinks": (CountersSink.name,)})
    settings = settings.model_copy(update={"consume": consume})
    engine = make_engine(settings, plan, registration)
    (sink,) = make_sinks(settings, engine, store, registry, registration, clock, worker)
    bounded = BoundedSource(source, ends)
    consumer = assemble(settings, bounded, engine, [sink], registry, registration, clock, publish=publish)

    def done() -> bool:
        _refuse_stopped(consumer)
        if all((sink.durable(partition) or 0) >= end for partition, end in ends.items()):
            return True
        reached = {state.partition: state.next_offset for state in engine.partitions()}
        if all(reached.get(partition, -1) >= end for partition, end in ends.items()):
            sink.flush()  # nothing more comes: there is nothing to wait for
        return stop()

    consumer.run(done)


def _refuse_stopped(consumer: Consumer) -> None:
    for number, partition in consumer.assignment.partitions.items():
        for reason in partition.stopped.values():
            raise PartitionStuck(
                f"Partition {number} can not be counted to its end: {reason}",
                way_out="Take the switch back (`flurry-fast plan switch --abort`), put that right, and switch again.",
            )
