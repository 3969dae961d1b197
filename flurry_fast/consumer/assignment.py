"""Which partitions are ours, and where each of them is read from.

On assignment every sink says where it stands, from its own storage; reading starts at the lowest of these, one record
earlier if the log still has it, so that its CRC shows whether this is the log that was counted. A partition that
begins here and now is begun in a fixed order: the archive claims its origin, then the counters put their position at
the same offset, then the first record is read. Whatever would be a guess is a stop with a way out instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog

from flurry_fast import trials
from flurry_fast.archive.chain import Chain
from flurry_fast.consumer.frontier import Frontier
from flurry_fast.consumer.past import Past, Pasts
from flurry_fast.consumer.ports import Source
from flurry_fast.errors import FlurryFastError, PositionMissing, PositionOutsideLog, RegistryMismatch, StoreCorrupt
from flurry_fast.ports import Clock
from flurry_fast.positions import CountersPosition, PositionTable
from flurry_fast.sinks.base import Backoff, Sink, Standing

if TYPE_CHECKING:
    from flurry_fast._core import Engine

P = TypeVar("P", bound=Standing)
FATAL = (RegistryMismatch, StoreCorrupt)
BEGIN_ORDER = ("archive", "counters")


@dataclass
class Partition:
    """A partition that is ours. `active`: the engine takes its records; else it waits (for a store) or is stopped."""

    number: int
    active: bool = False
    log_start: int = 0
    stopped: dict[str, str] = field(default_factory=dict)  # sink -> why it takes nothing more
    waiting_for: str | None = None  # what kept it from being started, so far


class Assignment:
    """The listener of the source. All of it runs on the loop's thread."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        sinks: Sequence[Sink[Any]],
        frontier: Frontier,
        positions: PositionTable,
        clock: Clock,
        *,
        drain_seconds: float,
        archive: Callable[[int], Chain] | None = None,
        retry: tuple[float, float] = (0.2, 5.0),
        drained: Callable[[bool], None] = lambda _: None,
        rebalanced: Callable[[str, set[int]], None] = lambda _kind, _partitions: None,
    ) -> None:
        """`drain_seconds`: what a revoke may spend on writing. `archive(partition)`: where whose sessions came before
        can be looked up, beside the log. `retry`: first and longest pause between two tries to
        start a partition. `drained(complete)` and `rebalanced(kind, partitions)` are told, for metrics."""
        self._source = source
        self._engine = engine
        self._sinks = sorted(sinks, key=lambda sink: BEGIN_ORDER.index(sink.name))
        if trials.seeded("counters_begun_before_archive"):
            self._sinks.reverse()
        self._frontier = frontier
        self._positions = positions
        self._clock = clock
        self._pasts = Pasts(engine, source, positions, archive)
        self._drain_seconds = drain_seconds
        self._backoff = Backoff(clock, *retry)
        self._drained = drained
        self._rebalanced = rebalanced
        self._log = structlog.get_logger("flurry_fast.assignment")
        self._rewinds: dict[int, dict[str, int]] = {}  # partition -> sink -> offset
        self.partitions: dict[int, Partition] = {}
        self.giving_up = False  # after a failure: what is unwritten may not be written any more

    @property
    def active(self) -> set[int]:
        """Partitions whose records are taken."""
        return {number for number, partition in self.partitions.items() if partition.active}

    # --- the source's listener -----------------------------------------------------------------------------------

    def assigned(self, partitions: set[int]) -> None:
        trials.fail_point("assignment.assign.before")
        self._rebalanced("assigned", partitions)
        self._log.info("partitions assigned", partitions=sorted(partitions))
        new = {number: Partition(number) for number in sorted(partitions)}
        self.partitions |= new
        starts = {number: self._try_start(partition) for number, partition in new.items()}
        # What can not be started yet is ours all the same: it stands still until `poll` gets it going.
        self._source.assign({number: start if start is not None else 0 for number, start in starts.items()})
        waiting = {number for number, start in starts.items() if start is None}
        if waiting:
            self._source.pause(waiting)
        trials.fail_point("assignment.assign.after")

    def revoked(self, partitions: set[int]) -> None:
        """Write what was taken, commit, let go: somebody else goes on from there."""
        if self.giving_up:
            self.lost(partitions)
            return
        trials.fail_point("assignment.revoke.before")
        self._rebalanced("revoked", partitions)
        ours = partitions & self.active
        complete = self._drain(ours)
        self._drained(complete)
        trials.fail_point("assignment.drain.after")
        self._frontier.commit(ours, asynchronous=False)
        self._log.info("partitions revoked", partitions=sorted(partitions), everything_written=complete)
        self._forget(partitions)
        trials.fail_point("assignment.revoke.after")

    def lost(self, partitions: set[int]) -> None:
        """They left some time ago: drop, commit nothing."""
        trials.fail_point("assignment.lost.before")
        self._rebalanced("lost", partitions)
        self._log.warning("partitions lost", partitions=sorted(partitions))
        self._forget(partitions)
        trials.fail_point("assignment.lost.after")

    # --- every turn ----------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Start what could not be started before, read again what a sink asked for. Blocks while it tries."""
        waiting = [p for p in self.partitions.values() if not p.active and p.waiting_for is not None]
        if not self._backoff.ready:
            return
        for partition in waiting:
            start = self._try_start(partition)
            if start is not None:
                self._source.seek(partition.number, start)
                self._source.resume({partition.number})
        for number, asked in list(self._rewinds.items()):
            try:
                if number in self.active:
                    self._rewind(number, asked)
                self._rewinds.pop(number, None)
            except FlurryFastError as error:
                self._backoff.failed(error)
                return

    def stop(self, number: int, reason: str, sinks: Sequence[str] | None = None) -> None:
        """Take nothing more of a partition for these sinks (None: all); the others go on from where they stand."""
        partition = self.partitions.get(number)
        if partition is None:
            return
        for sink in self._sinks:
            if (sinks is None or sink.name in sinks) and sink.name not in partition.stopped:
                self._note_stop(partition, sink.name, reason)
        if not partition.active:
            return
        self._release(partition)
        if len(partition.stopped) == len(self._sinks):
            self._source.pause({number})
        else:  # the engine is told anew whom it feeds; what is read until then is passed by
            partition.waiting_for = "It starts again without the sink that stopped."

    def rewind(self, number: int, offset: int, sink: str) -> None:
        """Read a partition again from `offset`, for one sink, at the next `poll`; the others pass by what they have."""
        asked = self._rewinds.setdefault(number, {})
        asked[sink] = min(offset, asked.get(sink, offset))

    def _rewind(self, number: int, asked: Mapping[str, int]) -> None:
        log_start, _ = self._source.watermarks(number)
        gone = {sink: wanted for sink, wanted in asked.items() if wanted < log_start}
        if gone:
            self.stop(number, str(_below(min(gone.values()), log_start)), [*gone])
            return  # it starts again, for whoever is left
        offset = min(asked.values())
        read = next(state.next_offset for state in self._engine.partitions() if state.partition == number)
        # Where another sink is far behind, or another process was faster, the sink's records are still to come.
        start = min(offset - (offset > log_start), read)
        trials.fail_point("assignment.rewind.before")
        if "counters" not in asked:
            self._source.seek(number, start)
        elif (past := self._wake_counters(number, start, log_start)) is not None:
            start = past
        else:
            return
        trials.fail_point("assignment.rewind.inside")
        self._engine.rewind(number, start)
        trials.fail_point("assignment.rewind.after")
        self._log.info("partition rewound", partition=number, offset=offset)

    def _wake_counters(self, number: int, start: int, log_start: int) -> int | None:
        """After a shed: what they knew of sessions is gone, too. Where to read from; None if they had to be stopped."""
        position = self._positions.get(number)
        try:
            past = None if position is None else self._pasts.find(number, position, log_start)
        except PositionMissing as error:
            self.stop(number, str(error), ["counters"])
            return None
        if past is None or position is None:
            self._source.seek(number, start)
            return start
        start = min(start, past.logged)
        try:
            self._engine.counters_shed(number, position, recall_from=past.start)
            self._pasts.recall(number, past)
            self._source.seek(number, start)
        except BaseException:
            self._engine.counters_shed(number, position)  # asleep again, until the next try
            raise
        # Another owner may have moved it while the sink was looking; the engine goes on from here, so must the sink.
        next(sink for sink in self._sinks if sink.name == "counters").assign(number, position)
        return start

    # --- starting a partition ------------------------------------------------------------------------------------

    def _try_start(self, partition: Partition) -> int | None:
        """Where to read from; None if it can not be started now (it waits) or ever (it is stopped)."""
        try:
            start = self._start(partition)
        except FATAL:
            raise
        except PositionOutsideLog as error:
            for sink in self._sinks:
                self._note_stop(partition, sink.name, str(error))
            partition.waiting_for = None
            return None
        except FlurryFastError as error:
            pause = self._backoff.failed(error)
            partition.waiting_for = f"{type(error).__name__}: {error}"
            self._log.warning(
                "partition waits", partition=partition.number, reason=partition.waiting_for, pause=round(pause, 3)
            )
            return None
        self._backoff.succeeded()
        partition.waiting_for = None
        return start

    def _start(self, partition: Partition) -> int | None:
        number = partition.number
        found = self._locate(partition)
        log_start, log_end = self._source.watermarks(number)  # after the positions: they may only lag behind it
        trials.fail_point("assignment.locate.after")
        standing: dict[str, Any] = {}  # sink -> its own kind of position
        for sink in self._sinks:
            if sink.name in partition.stopped:
                continue
            try:
                position = self._noted(sink, number, found[sink.name]) or self._begin(sink, partition, log_start)
                standing[sink.name] = self._within(sink, number, position, log_start, log_end)
            except PositionMissing as error:
                self._note_stop(partition, sink.name, str(error))
        if trials.ENABLED and standing:
            self._misplace(number, standing)
        past = self._find_past(partition, standing, log_start)
        if not standing:
            return None
        start: int = min(position.position for position in standing.values())
        start -= start > log_start  # the record before: only its CRC is compared
        if past is not None:
            start = min(start, past.logged)
        self._engine.assign(
            number,
            log_start=log_start,
            counters=standing.get("counters"),
            archive=standing.get("archive"),
            read_from=start,
            recall_from=None if past is None else past.start,
        )
        partition.active, partition.log_start = True, log_start
        trials.fail_point("assignment.start.inside")
        try:
            if past is not None:
                self._pasts.recall(number, past)
            for sink in self._sinks:
                if sink.name in standing:
                    sink.assign(number, standing[sink.name])
        except BaseException:
            self._release(partition)
            raise
        return start

    def _find_past(self, partition: Partition, standing: dict[str, Any], log_start: int) -> Past | None:
        """What the counters must know of sessions that came before; without it they stop, and the others go on."""
        position: CountersPosition | None = standing.get("counters")
        try:
            return None if position is None else self._pasts.find(partition.number, position, log_start)
        except PositionMissing as error:
            self._note_stop(partition, "counters", str(error))
            del standing["counters"]
            return None

    def _locate(self, partition: Partition) -> dict[str, Standing | None]:
        """Where each sink stands; one that has lost its beginning stops, and the counters are not begun beside it."""
        found: dict[str, Standing | None] = {}
        for sink in self._sinks:
            try:
                found[sink.name] = None if sink.name in partition.stopped else sink.locate(partition.number)
            except PositionMissing as error:
                self._note_stop(partition, sink.name, str(error))
        return found

    def _begin(self, sink: Sink[Any], partition: Partition, log_start: int) -> Standing:
        """A sink without a position: begin it, if this is a beginning, and nothing that was lost."""
        number = partition.number
        try:
            offset = self._first_offset(sink.name, partition, log_start)
        except PositionMissing:
            found = self._noted(sink, number, sink.locate(number))
            if found is not None:  # another process began it since we looked
                return found
            raise
        position: Standing = sink.begin(number, offset)
        trials.fail_point("assignment.begin.inside")
        self._positions.note_began(sink.name, number, offset)
        trials.fail_point("assignment.begin.after")
        self._log.info("partition begun", partition=number, sink=sink.name, offset=position.position)
        return position

    def _noted(self, sink: Sink[Any], number: int, position: Standing | None) -> Standing | None:
        """The position, and a note of where the sink began: whoever began it may have died before he noted it.

        Nobody moves a position before there is a note, so without one it is where the sink began.
        """
        if position is not None and self._positions.began(sink.name, number) is None:
            origin = sink.origin(number)
            self._positions.note_began(sink.name, number, position.position if origin is None else origin)
        return position

    def _first_offset(self, name: str, partition: Partition, log_start: int) -> int:
        """Where a sink that has no position may begin. Raises PositionMissing where that would be a guess."""
        number = partition.number
        if partition.stopped:
            raise PositionMissing(f"Partition {number} has no {name} yet, and what it has beside them is not whole.")
        if self._positions.began(name, number) is not None:
            raise PositionMissing(
                f"The {name} of partition {number} began once, and their position is gone.",
                way_out="Restore the store from a backup that has its control table.",
            )
        if name == "archive":
            if number in self._positions.counted_partitions():
                raise PositionMissing(
                    f"Partition {number} was counted without an archive, so an archive would have a hole that nobody"
                    " recorded.",
                    way_out="Archive from a new topic on, or run without the archive sink.",
                )
            return log_start
        archived = next((sink.origin(number) for sink in self._sinks if sink.name == "archive"), None)
        origin = archived if archived is not None else self._positions.began("archive", number)
        if origin is not None and origin < log_start:
            raise PositionMissing(
                f"Partition {number} is archived from offset {origin} on, but the log begins at {log_start}: counters"
                " that begin now would miss what was between.",
                way_out="Restore the store from a backup that has its control table.",
            )
        if origin is None and self._frontier.hints([number]).get(number, 0) > log_start:
            raise PositionMissing(
                f"The group committed partition {number} for this very store, but the store has no position.",
                way_out="Restore the control table from a backup, or use another consumer group for a new store.",
            )
        if trials.seeded("reset_to_latest"):
            return self._source.watermarks(number)[1]
        return origin if origin is not None else log_start

    def _within(self, sink: Sink[Any], number: int, position: Standing, log_start: int, log_end: int) -> Standing:
        if position.position < log_start:  # somebody may have moved it since it was read
            position = sink.locate(number) or position
        if position.position < log_start:
            if trials.seeded("retention_skipped"):
                return _moved(position, log_start)
            raise _below(position.position, log_start)
        beyond = position.position > max(log_end, self._source.watermarks(number)[1])
        if beyond and not trials.seeded("truncation_unchecked"):
            raise PositionOutsideLog(
                f"The {sink.name} of partition {number} stand at {position.position}, the log ends at {log_end}: it was"
                " truncated.",
                way_out="Find out what the brokers lost (unclean leader election?) before anything else.",
            )
        return position

    def _drain(self, partitions: set[int]) -> bool:
        """Every sink writes what it has, until the deadline that they share; whether all of it is durable."""
        deadline = self._clock.monotonic() + self._drain_seconds
        complete = True
        for sink in self._sinks:
            complete = (not partitions or sink.drain(partitions, deadline)) and complete
            trials.fail_point("assignment.drain.inside")
        return complete or trials.seeded("drain_reports_complete")

    def _misplace(self, number: int, standing: dict[str, Any]) -> None:
        """Seeded bugs: the counters do not start at their own position."""
        counters, archive = standing.get("counters"), standing.get("archive")
        if trials.seeded("m_of_another_sink") and counters and archive and archive.position > counters.position:
            standing["counters"] = _moved(counters, archive.position)
        if trials.seeded("commit_taken_as_truth") and counters:
            committed = self._frontier.hints([number]).get(number, counters.position)
            standing["counters"] = _moved(counters, committed)

    def _note_stop(self, partition: Partition, sink: str, reason: str) -> None:
        partition.stopped[sink] = reason
        self._log.error("partition stopped", partition=partition.number, sink=sink, reason=reason)

    def _release(self, partition: Partition) -> None:
        """Sinks and engine forget it; flushes under way are theirs to abandon first."""
        for sink in self._sinks:
            sink.drop([partition.number])
            trials.fail_point("assignment.release.inside")
        if partition.active:
            self._engine.drop(partition.number)
        partition.active = False
        self._rewinds.pop(partition.number, None)

    def _forget(self, partitions: set[int]) -> None:
        for number in partitions:
            partition = self.partitions.pop(number, None)
            if partition is not None:
                self._release(partition)
        self._frontier.forget(partitions)
        self._source.unassign(partitions)


def _moved(position: P, to: int) -> P:
    """For seeded bugs: what a position says, said of another offset."""
    moved: P = replace(cast("Any", position), position=to, crc=None)
    return moved


def _below(position: int, log_start: int) -> PositionMissing:
    return PositionMissing(
        f"The position is {position}, but retention removed everything below {log_start}.",
        way_out="The records between are gone: stop the group, then record that and go on with"
        " `flurry-fast gap record` (docs/operations.md).",
    )
