"""The Data Log Consumer's loop. Python decides; whatever touches a record is native (engine) or on a worker (sinks)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from flurry_fast import trials
from flurry_fast.archive.chain import Chain
from flurry_fast.config.model import Consume
from flurry_fast.consumer.assignment import Assignment
from flurry_fast.consumer.backlog import Backlog
from flurry_fast.consumer.frontier import Frontier
from flurry_fast.consumer.memory import Governor
from flurry_fast.consumer.ports import Source
from flurry_fast.consumer.state import STARTING, LoopState, PartitionState, Phase
from flurry_fast.errors import FlurryFastError, RegistryMismatch, StoreCorrupt
from flurry_fast.ports import Clock
from flurry_fast.positions import PositionTable
from flurry_fast.registry import Registration
from flurry_fast.sinks.base import Backoff, Rewind, Sink, Stop
from flurry_fast.sinks.counters import CountersSink

if TYPE_CHECKING:
    from flurry_fast._core import Engine

OUT_OF_RANGE = ("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET", "_LOG_TRUNCATION")
BASE_READ_RETRY = (0.2, 5.0)  # seconds: first and longest pause
STATE_SECONDS = 0.25
FETCH_QUEUE_BYTES = 32 * 2**20  # librdkafka's own queue (consumer.source), part of the budget


class Consumer:
    """One process's share of a topic: drains, counts, archives, commits. Everything it needs is handed in."""

    def __init__(
        self,
        settings: Consume,
        source: Source,
        engine: Engine,
        sinks: Sequence[Sink[Any]],
        registration: Registration,
        positions: PositionTable,
        clock: Clock,
        *,
        drain_seconds: float,
        verify: Callable[[], None],
        archive: Callable[[int], Chain] | None = None,
        publish: Callable[[LoopState], None] = lambda _: None,
    ) -> None:
        """`verify` asks the registry whether all is what this process started with, and raises RegistryMismatch if not.
        `archive(partition)`: the archive's chain, where there is one to be read. `publish` is given a fresh state
        several times a second, and a last one with phase "stopped"."""
        self._settings, self._source, self._engine, self._sinks = settings, source, engine, sinks
        self._clock, self._publish, self._verify = clock, publish, verify
        self._counters = next((sink for sink in sinks if isinstance(sink, CountersSink)), None)
        self._log = structlog.get_logger("flurry_fast.loop")
        self._rebalances: Counter[str] = Counter()
        self._incomplete_drains = self._records = self._bytes = 0
        self._committed_at = self._published_at = float("-inf")
        self._last_record: float | None = None
        self._commits = (0, 0)  # confirmed, failed: when last looked at
        self._commits_failing_since: float | None = None
        self._backlog = Backlog(settings, clock)
        self.frontier = Frontier(source, sinks, registration)
        reserved = FETCH_QUEUE_BYTES + settings.batch_bytes
        self.governor = Governor(engine, source, sinks, settings.memory, reserved)
        self.assignment = Assignment(
            source, engine, sinks, self.frontier, positions, clock,
            drain_seconds=drain_seconds, archive=archive, drained=self._note_drain, rebalanced=self._note_rebalance,
        )  # fmt: skip

    def run(self, stop: Callable[[], bool]) -> None:
        """Turn until `stop()`; then write everything, commit, leave the group. Raises what ended it otherwise."""
        self._publish(STARTING)
        self._source.subscribe(self.assignment)
        with self.leaving():
            while not stop():
                self.turn(stop)
            trials.fail_point("loop.stop.before")
            self._say("draining")

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Around all turns: at the end everything is written and committed, after a failure nothing is."""
        try:
            yield
        except BaseException:
            # What is unwritten may be wrong to write: the next process counts it.
            self.assignment.giving_up = not trials.seeded("flushed_after_exception")
            try:
                self._source.close()
            except Exception as error:  # what ended the loop is what must be told
                self._log.warning("the group could not be left in order", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._source.close()  # revokes: drain, commit, drop
            trials.fail_point("loop.stop.after")
            for sink in self._sinks:
                sink.close()
            self._say("stopped")

    def turn(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Drain a batch, absorb it, let every sink write what is due, commit what is durable."""
        settings = self._settings
        batch, errors = self._source.drain(settings.batch_messages, settings.batch_bytes, settings.batch_wait)
        size = (len(batch), batch.payload_bytes) if batch is not None else (0, 0)
        if batch is not None:
            self._absorb(batch, stop)
        behind = self._backlog.note(*size)
        for error in errors:
            self._partition_error(error)
        for stopped in self._engine.stopped():
            self.assignment.stop(stopped.partition, stopped.detail)
        for sink in self._sinks:
            sink.behind = behind
            for event in sink.poll():
                match event:
                    case Rewind(partition, offset):
                        self.assignment.rewind(partition, offset, sink.name)
                    case Stop(partition, reason):
                        self.assignment.stop(partition, reason, [sink.name])
        self.assignment.poll()
        self.governor.poll(lambda: self.assignment.active)
        self._commit()
        if self._clock.monotonic() - self._published_at >= STATE_SECONDS:
            self._say("running")

    def _commit(self) -> None:
        """Commit what became durable, now and then; again where it failed."""
        now, stats = self._clock.monotonic(), self._source.stats
        if now - self._committed_at < self._settings.commit_interval:
            return
        self._committed_at = now
        confirmed, failed = stats.commits > self._commits[0], stats.commit_failures > self._commits[1]
        self._commits = (stats.commits, stats.commit_failures)
        if confirmed:
            self._commits_failing_since = None
        elif failed:
            self.frontier.forget(self.assignment.active)
            self._commits_failing_since = self._commits_failing_since or now
        self.frontier.commit(self.assignment.active)

    def _absorb(self, batch: Any, stop: Callable[[], bool]) -> None:
        """Every record of the batch into the engine; blocks that are not in memory are read first."""
        self._records += len(batch)
        self._bytes += batch.payload_bytes
        self._last_record = self._clock.monotonic()
        trials.fail_point("loop.batch.before")
        needs = self._engine.absorb(batch)
        if needs is not None:
            self._seed(needs, stop)
            self._engine.resume(batch)
        trials.fail_point("loop.batch.after")
        batch.release()

    def _seed(self, needs: Any, stop: Callable[[], bool]) -> None:
        """Base reads until they succeed: nothing else may be counted before. Raises when it takes too long."""
        assert self._counters is not None  # only counters need base reads
        backoff = Backoff(self._clock, *BASE_READ_RETRY)
        give_up = self._clock.monotonic() + self._settings.unhealthy_after
        while True:
            try:
                return self._counters.seed(needs.groups, lambda partition: self._source.watermarks(partition)[1])
            except (RegistryMismatch, StoreCorrupt):
                raise
            except FlurryFastError as error:
                pause = backoff.failed(error)
                if stop() or self._clock.monotonic() + pause > give_up:
                    raise
                self._log.warning("base read failed, trying again", error=str(error), pause=round(pause, 3))
                self._clock.sleep(pause)

    def _partition_error(self, error: Any) -> None:
        if error.name in OUT_OF_RANGE and error.partition in self.assignment.active:
            try:
                self._verify()  # a topic that was made again is shorter, too: a new start goes on with it
            except RegistryMismatch:
                raise
            except FlurryFastError as failure:
                self._log.warning("whether the topic is still the same is not known", error=str(failure))
            self.assignment.stop(
                error.partition,
                f"Its next offset is no longer in the log ({error.reason}): retention passed it, or the log was"
                " truncated. Restart to see which (docs/operations.md).",
            )
        else:
            self._log.warning("partition error", partition=error.partition, error=error.name, reason=error.reason)

    def _note_drain(self, complete: bool) -> None:
        self._incomplete_drains += not complete

    def _note_rebalance(self, kind: str, partitions: set[int]) -> None:
        self._rebalances[kind] += 1
        self.governor.forget(partitions)  # they come and go unpaused

    # --- telling -------------------------------------------------------------------------------------------------

    def _say(self, phase: Phase) -> None:
        self._published_at = self._clock.monotonic()
        totals = dict(self._engine.stats())
        unreadable = totals.pop("unreadable", {})
        positions = {item.partition: item for item in self._engine.partitions()}
        stats = self._source.stats
        group = stats.librdkafka.get("cgrp")
        self._publish(
            LoopState(
                phase=phase,
                turned=self._published_at,
                held=self.governor.held(),
                records=self._records,
                payload_bytes=self._bytes,
                engine=totals,
                unreadable=unreadable,
                memory=dict(self._engine.memory()),
                sinks=tuple(sink.status() for sink in self._sinks),
                partitions={
                    number: PartitionState(
                        next=positions[number].next_offset if number in positions else None,
                        committed=self.frontier.committed(number),
                        durable={sink.name: sink.durable(number) for sink in self._sinks},
                        stopped=dict(partition.stopped),
                        waiting_for=partition.waiting_for,
                    )
                    for number, partition in self.assignment.partitions.items()
                },
                paused=len(self.governor.paused),
                evicted=self.governor.evicted,
                sheds=self.governor.sheds,
                rebalances=dict(self._rebalances),
                incomplete_drains=self._incomplete_drains,
                native_drain=stats.native,
                commits=stats.commits,
                commit_failures=stats.commit_failures,
                commits_failing_since=self._commits_failing_since,
                member=group.get("join_state") == "steady" if group else None,
                last_record=self._last_record,
            )
        )
