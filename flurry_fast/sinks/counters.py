"""Counter blocks into a cell store.

A flush is a snapshot: all unwritten blocks of some partitions and the positions they were counted up to, frozen at one
instant. Its blocks are written first, each at the position of its partition; the positions only after every block is
acknowledged. Until then the same frozen bytes are sent again and again; counting goes on meanwhile, in the engine's
next buffers.

What is frozen is in memory twice. So a flush takes the partitions that have waited longest, and no more of them than
come to `counters.flush_slice`; the others follow, one flush behind the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa

from flurry_fast import trials
from flurry_fast._core import CellCorrupt, Engine, Flush, NeedGroup
from flurry_fast.config.model import Counters
from flurry_fast.errors import RegistryMismatch, StoreCorrupt, StoreError
from flurry_fast.ports import Clock, Job, Worker
from flurry_fast.positions import CountersPosition, PositionTable
from flurry_fast.registry import Registration, Registry
from flurry_fast.sinks.base import Backoff, FlushReport, Rewind, Sink, SinkEvent, SinkStatus
from flurry_fast.stores.base import CellColumn, Cells, CellStore, Column, as_column, to_bytes

FATAL = (RegistryMismatch, StoreCorrupt)


@dataclass
class Snapshot:
    """A frozen flush and how much of it is acknowledged. The worker advances it, one clean return at a time."""

    flush: Flush
    blocks: list[CellColumn]  # of one table and partition each
    positions: list[tuple[int, CountersPosition]]
    since: dict[int, float]  # partition -> when its oldest record in here was taken
    bytes: int
    rows: int
    blocks_done: int = 0
    rows_done: int = 0
    seconds: float = 0.0  # of the last attempt

    def covers(self, partitions: Collection[int]) -> bool:
        return any(partition in partitions for partition, _ in self.positions)

    def report(self, *, ok: bool) -> FlushReport:
        return FlushReport(CountersSink.name, ok, self.seconds, self.rows, self.bytes)


class CountersSink(Sink[CountersPosition]):
    """See the module; the contract is base.Sink."""

    name: ClassVar[str] = "counters"

    def __init__(
        self,
        engine: Engine,
        settings: Counters,
        store: CellStore,
        registry: Registry,
        registration: Registration,
        worker: Worker,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._store = store
        self._registry = registry
        self._registration = registration
        self._positions: PositionTable = registry.positions(registration)
        self._worker = worker
        self._clock = clock
        self._backoff = Backoff(clock, settings.retry_wait, settings.retry_wait_max)
        self._durable: dict[int, CountersPosition] = {}
        self._snapshot: Snapshot | None = None
        self._job: Job[None] | None = None
        self._probe: Job[dict[int, CountersPosition]] | None = None
        self._shed = False
        self._since: dict[int, float] = {}  # partition -> when its first unwritten record was noticed
        self._asked = False
        self._flushes = self._failures = 0
        self._frozen_at = float("-inf")
        self._took = 0.0  # seconds, the last flush that was acknowledged
        self._row_bytes: float | None = None  # of the last flush that had rows, on average
        self._replica: dict[tuple[str, bytes, bytes], Any] = {}  # of a seeded bug

    # --- assignment ----------------------------------------------------------------------------------------------

    def locate(self, partition: int) -> CountersPosition | None:
        return self._positions.get(partition)

    def origin(self, partition: int) -> int | None:
        return self._positions.began(self.name, partition)

    def begin(self, partition: int, offset: int) -> CountersPosition:
        self._registry.verify(self._registration)
        trials.fail_point("counters.begin.before")
        position = self._positions.put_if_absent(partition, CountersPosition(offset))
        trials.fail_point("counters.begin.after")
        return position

    def assign(self, partition: int, position: CountersPosition) -> None:
        self._durable[partition] = position

    def durable(self, partition: int) -> int | None:
        position = self._durable.get(partition)
        return None if position is None else position.position

    def drop(self, partitions: Collection[int]) -> None:
        if self._snapshot is not None and self._snapshot.covers(partitions):
            # What is left of the snapshot belongs to the next one. The worker may still write it: every cell in it
            # is the truth at its own timestamp, so that is legal.
            self._abandon(self._snapshot)
        for partition in partitions:
            self._durable.pop(partition, None)
            self._since.pop(partition, None)

    # --- base reads ----------------------------------------------------------------------------------------------

    def seed(self, groups: Iterable[NeedGroup], log_end: Callable[[int], int]) -> None:
        """Read the stored blocks that a batch needs, and hand them to the engine.

        `log_end(partition)` asks the broker, after the reads: no cell may claim more records than the log has.
        Blocks on the store. Raises StoreError; what was read before is read again then, which is harmless.
        """
        groups = list(groups)
        trials.fail_point("counters.base.before")
        found = self._read(groups)
        ends = {group.partition: -1 for group in groups}
        for partition in {group.partition for group, cells in zip(groups, found, strict=True) if len(cells.indices)}:
            ends[partition] = log_end(partition)
        trials.fail_point("counters.base.after")
        for group, cells in zip(groups, found, strict=True):
            trials.fail_point("counters.base.inside")
            try:
                self._engine.seed(group, cells.indices, cells.timestamps, cells.values, ends[group.partition])
            except CellCorrupt as error:
                raise StoreCorrupt(f"A stored block failed its self-check: {error}.") from None

    def _read(self, groups: list[NeedGroup]) -> list[Cells]:
        columns = [as_column(group.rows) for group in groups]
        asked = [(group.table, group.qualifier, rows) for group, rows in zip(groups, columns, strict=True)]
        found = self._store.read_columns(asked)
        if trials.seeded("base_from_stale_replica"):
            found = [self._first_read(*each) for each in zip(groups, columns, found, strict=True)]
        return found

    # --- flushing ------------------------------------------------------------------------------------------------

    def poll(self) -> list[SinkEvent]:
        self._note_unwritten()
        self._collect()
        if self._shed:
            return self._recover()
        if self._snapshot is not None:
            if self._job is None and self._backoff.ready:
                self._send(self._snapshot)
        elif self._due():
            self._freeze(self._slice(self._since.keys()))
        return []

    def flush(self) -> None:
        self._asked = True

    def drain(self, partitions: Collection[int], deadline: float) -> bool:
        if self._shed:
            return False
        while True:
            self._collect()
            self._note_unwritten()
            left = deadline - self._clock.monotonic()
            if self._snapshot is None and not self._freeze(self._slice(self._since.keys() & set(partitions))):
                return True
            if left <= 0:
                return False
            if self._job is None:
                self._clock.sleep(max(0.0, min(self._backoff.next_try - self._clock.monotonic(), left)))
                self._send(self._snapshot)
            self._wait(left)

    def shed(self) -> int:
        if self._backoff.failing_since is None or self._shed:
            return 0
        before = self._engine.memory()["blocks"]
        trials.fail_point("counters.shed.before")
        if self._snapshot is not None:
            self._abandon(self._snapshot)
        trials.fail_point("counters.shed.inside")
        for partition, position in self._durable.items():
            self._engine.counters_shed(partition, position)
        self._since.clear()
        self._shed, self._asked = True, False
        trials.fail_point("counters.shed.after")
        return before - self._engine.memory()["blocks"]

    def held_bytes(self) -> int:
        return self._snapshot.bytes if self._snapshot is not None else 0

    def status(self) -> SinkStatus:
        flying = self._snapshot.since if self._snapshot is not None else {}
        return SinkStatus(
            name=self.name,
            in_flight=self._snapshot is not None,
            unwritten_bytes=self._engine.memory()["dirty"] + self.held_bytes(),
            oldest_unwritten=min((*flying.values(), *self._since.values()), default=None),
            failing_since=self._backoff.failing_since,
            last_error=self._backoff.last_error,
            flushes=self._flushes,
            failures=self._failures,
        )

    def close(self) -> None:
        self._worker.close()

    # --- on the loop's thread ------------------------------------------------------------------------------------

    def _note_unwritten(self) -> None:
        if not self._engine.memory()["unwritten"]:
            self._since.clear()
            return
        now = self._clock.monotonic()
        unwritten = {state.partition for state in self._engine.partitions() if state.counters_unwritten}
        self._since = {partition: self._since.get(partition, now) for partition in unwritten}

    def _due(self) -> bool:
        if not self._since:
            self._asked = False
            return False
        now, memory = self._clock.monotonic(), self._engine.memory()
        oldest = min(self._since.values())
        return (
            self._asked
            or memory["dirty"] >= self._settings.flush_bytes
            or memory["dirty_blocks"] >= self._settings.flush_rows
            or now - oldest >= self._longest
            # What waits for its turn behind other partitions has waited for this flush only since the last one.
            or now - max(oldest, self._frozen_at) >= self.interval
        )

    def _slice(self, partitions: Collection[int]) -> list[int]:
        """Those of these partitions that have waited longest, as many as a flush takes."""
        each = self._row_bytes
        if each is None:  # more than it will be: a block that is counted in takes several times its bytes in a row
            memory = self._engine.memory()
            each = memory["dirty"] / max(1, memory["dirty_blocks"])
        blocks = {state.partition: state.dirty_blocks for state in self._engine.partitions()}
        taken: list[int] = []
        size = 0.0
        for partition in sorted(partitions, key=lambda partition: (self._since[partition], partition)):
            size += each * blocks[partition]
            if taken and size > self._settings.flush_slice:
                break
            taken.append(partition)
        return taken

    @property
    def _longest(self) -> float:
        """Seconds that a record waits at most."""
        settings = self._settings
        return max(settings.flush_age, settings.flush_age_behind) if self.behind else settings.flush_age

    @property
    def interval(self) -> float:
        """Seconds until a record is flushed, now. Short while flushes are cheap: what was received is soon seen. Where
        they are not, and behind a backlog, more records share a row of the store."""
        settings = self._settings
        if self.behind:
            return self._longest
        wanted = max(settings.flush_age_min, self._took / settings.flush_share)
        return min(self._longest, wanted)

    def _freeze(self, partitions: list[int]) -> bool:
        flush = self._engine.freeze(partitions) if partitions else None
        if flush is None:
            return False
        self._frozen_at = self._clock.monotonic()
        blocks = [
            CellColumn(part.table, part.qualifier, part.timestamp, as_column(part.rows), as_column(part.values))
            for part in flush.parts
        ]
        positions = [
            (p.partition, CountersPosition(p.position, p.max_bucket, p.crc, p.max_timestamp)) for p in flush.positions
        ]
        if trials.seeded("stale_m"):
            positions = [(n, replace(p, max_bucket=self._durable[n].max_bucket)) for n, p in positions]
        since = {partition: self._since.pop(partition) for partition, _ in positions}
        size, rows = sum(part.bytes for part in flush.parts), sum(part.count for part in flush.parts)
        self._snapshot = Snapshot(flush, blocks, positions, since, size, rows)
        if rows:
            self._row_bytes = size / rows
        self._asked = False
        trials.fail_point("counters.freeze.after")
        self._send(self._snapshot)
        return True

    def _send(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            self._job = self._worker.submit(lambda: self._push(snapshot))

    def _collect(self) -> None:
        """Take the worker's answer, if there is one. Only here is a flush acknowledged."""
        if self._job is None or self._snapshot is None or not self._job.done():
            return
        job, snapshot, self._job = self._job, self._snapshot, None
        try:
            job.result()
        except Exception as error:
            self._failures += 1
            self.observe(snapshot.report(ok=False))
            if isinstance(error, FATAL):
                raise
            self._backoff.failed(error)
            if trials.seeded("flush_abandoned_position_advanced"):
                self._engine.acknowledge(snapshot.flush)
                self._snapshot = None
            return
        trials.fail_point("counters.ack.before")
        self._engine.acknowledge(snapshot.flush)
        trials.fail_point("counters.ack.inside")
        for partition, position in snapshot.positions:
            if partition in self._durable:
                self._durable[partition] = position
        self._snapshot, self._took = None, snapshot.seconds
        self._flushes += 1
        self._backoff.succeeded()
        trials.fail_point("counters.ack.after")
        self.observe(snapshot.report(ok=True))

    def _wait(self, seconds: float) -> None:
        if self._job is not None:
            try:
                self._job.result(timeout=max(0.0, seconds))
            except Exception:
                return  # _collect looks at it; a time-out leaves it under way

    def _abandon(self, snapshot: Snapshot) -> None:
        self._engine.abandon(snapshot.flush)
        self._since |= snapshot.since
        self._snapshot = self._job = None

    def _recover(self) -> list[SinkEvent]:
        """After a shed: ask for a rewind once the store takes writes again."""
        if self._probe is None:
            if self._backoff.ready:
                held = dict(self._durable)
                self._probe = self._worker.submit(lambda: self._try_writing(held))
            return []
        if not self._probe.done():
            return []
        probe, self._probe = self._probe, None
        try:
            positions = probe.result()
        except FATAL:
            raise
        except Exception as error:
            self._failures += 1
            self._backoff.failed(error)
            return []
        trials.fail_point("counters.recover.after")
        self._shed = False
        self._backoff.succeeded()
        events: list[SinkEvent] = []
        for partition, position in positions.items():
            if partition in self._durable:
                self._durable[partition] = position
                self._engine.counters_shed(partition, position)
                events.append(Rewind(partition, position.position))
        return events

    # --- on the worker's thread ----------------------------------------------------------------------------------

    def _push(self, snapshot: Snapshot) -> None:
        """One attempt at what is left of a snapshot. Raising means: not acknowledged, send the same again."""
        started = self._clock.monotonic()
        try:
            if not trials.seeded("no_registry_read_before_put"):
                self._registry.verify(self._registration)
            if trials.seeded("delete_with_default_timestamp") and self._backoff.failing_since is not None:
                self._delete(snapshot)
            if trials.seeded("position_before_ack"):
                self._push_positions(snapshot)
            self._push_blocks(snapshot)
            self._push_positions(snapshot)
        finally:
            snapshot.seconds = self._clock.monotonic() - started

    def _push_blocks(self, snapshot: Snapshot) -> None:
        while snapshot.blocks_done < len(snapshot.blocks):
            chunk, blocks_done, rows_done = self._next_chunk(snapshot)
            trials.fail_point("counters.chunk.before")
            self._put(chunk)
            trials.fail_point("counters.chunk.after")
            snapshot.blocks_done, snapshot.rows_done = blocks_done, rows_done
            trials.fail_point("counters.chunk.noted")

    def _next_chunk(self, snapshot: Snapshot) -> tuple[list[CellColumn], int, int]:
        """Up to chunk_rows blocks, of as many partitions as they come from; and how much is done after them."""
        chunk: list[CellColumn] = []
        left, at, done = self._settings.chunk_rows, snapshot.blocks_done, snapshot.rows_done
        while left and at < len(snapshot.blocks):
            column = snapshot.blocks[at].slice(done, left)
            chunk.append(column)
            left, done = left - len(column.rows), done + len(column.rows)
            if done == len(snapshot.blocks[at].rows):
                at, done = at + 1, 0
        return chunk, at, done

    def _push_positions(self, snapshot: Snapshot) -> None:
        trials.fail_point("counters.position.before")
        self._positions.put_all(snapshot.positions)
        trials.fail_point("counters.position.after")

    def _put(self, chunk: list[CellColumn]) -> None:
        if trials.seeded("put_without_timestamp"):
            few = self._settings.chunk_rows
            chunk = [replace(part, timestamp=self._now_ms()) if len(part.rows) < few else part for part in chunk]
        try:
            self._store.write_columns(chunk)
        except StoreError as error:
            if not self._taken_as_done(error):
                raise

    def _try_writing(self, held: dict[int, CountersPosition]) -> dict[int, CountersPosition]:
        """Put the recorded positions once more (the same bytes: nothing changes), and read them."""
        trials.fail_point("counters.recover.before")
        self._registry.verify(self._registration)
        positions = {}
        for partition, position in held.items():
            self._positions.put(partition, position)
            positions[partition] = self._positions.get(partition) or position
        return positions

    # --- seeded bugs ---------------------------------------------------------------------------------------------

    def _first_read(self, group: NeedGroup, rows: Column, cells: Cells) -> Cells:
        """What each of these rows held when this process read it first."""
        read = zip(cells.timestamps.to_pylist(), cells.values.to_pylist(), strict=True)
        now = dict(zip(cells.indices.to_pylist(), read, strict=True))
        keys = [(group.table, group.qualifier, row) for row in to_bytes(rows)]
        first = [(place, self._replica.setdefault(key, now.get(place))) for place, key in enumerate(keys)]
        found = [(place, *cell) for place, cell in first if cell is not None]
        return Cells(
            pa.array([place for place, _, _ in found], pa.int32()),
            pa.array([timestamp for _, timestamp, _ in found], pa.int64()),
            pa.array([value for _, _, value in found], pa.binary()),
        )

    def _taken_as_done(self, error: StoreError) -> bool:
        if isinstance(error, StoreCorrupt):
            return trials.seeded("conflict_swallowed")
        # The late reply to a failed write is taken for the reply to the next one.
        false_ack = self._backoff.failing_since is not None and trials.seeded("false_ack_from_reused_connection")
        return false_ack or trials.seeded("position_after_partial_flush")

    def _delete(self, snapshot: Snapshot) -> None:
        """As HBase does it: a marker at the time of day, which hides every cell below it."""
        for part in snapshot.blocks:
            markers = pa.array([b""] * len(part.rows), pa.binary())
            self._store.write(part.table, part.qualifier, self._now_ms(), part.rows, markers)

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)
