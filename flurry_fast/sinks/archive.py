"""Every record into Parquet files, claimed one after the other.

The engine gathers rows a partition at a time. What is due becomes frozen chunks; the worker makes a file of each and
claims its name. A chunk is offered again until the chain says that its offsets are archived: by us, or by somebody who
was faster. In that case we go on from where the chain stands, and ask for a rewind if that is behind us.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from flurry_fast import trials
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.files import open_files
from flurry_fast.archive.filesystem import ArchiveFileSystem
from flurry_fast.archive.format import Format, chosen
from flurry_fast.archive.writer import publish
from flurry_fast.config.model import Archive
from flurry_fast.errors import RegistryMismatch, StoreCorrupt
from flurry_fast.ports import Clock, Crew, InlineCrew, Job, Worker
from flurry_fast.positions import ArchivePosition
from flurry_fast.registry import Registration, Registry
from flurry_fast.sinks.base import Backoff, FlushReport, Rewind, Sink, SinkEvent, SinkStatus, Stop

FATAL = (RegistryMismatch, StoreCorrupt)
ASKED_SHARE = 0.25  # of the rows' memory, which is written where memory is short: few files, large ones


@dataclass
class Pending:
    """A frozen chunk on its way into the chain. The worker sets `outcome`; a `dropped` one concerns nobody here."""

    partition: int
    chunk: Any
    since: float  # when its first row was noticed
    dropped: bool = False
    outcome: ArchivePosition | None = None
    seconds: float = 0.0  # of the last attempt
    tried: bool = False

    def report(self, *, ok: bool) -> FlushReport:
        return FlushReport(ArchiveSink.name, ok, self.seconds, self.chunk.rows, self.chunk.wire_bytes)


class ArchiveSink(Sink[ArchivePosition]):
    """See the module; the contract is base.Sink."""

    name: ClassVar[str] = "archive"
    share: ClassVar[float] = 0.15

    def __init__(
        self,
        engine: Any,
        settings: Archive,
        topic: str,
        registry: Registry,
        registration: Registration,
        worker: Worker,
        clock: Clock,
        files: ArchiveFileSystem | None = None,
        file_format: Format | None = None,
        crew: Crew | None = None,
    ) -> None:
        """`files` is the file system of `settings.root` if not given, `file_format` what `settings.writer` says.

        `crew`: who publishes the chunks of different partitions for the worker; one after the other if not given.

        Raises FileSystemRefused where names can not be claimed, StoreUnavailable.
        """
        self._engine = engine
        self._settings = settings
        self._topic = topic
        self._registry = registry
        self._registration = registration
        self._worker = worker
        self._clock = clock
        self._files = files if files is not None else open_files(settings)
        self._format = file_format if file_format is not None else chosen(settings)
        self._crew = crew if crew is not None else InlineCrew()
        self._files.check()
        self._backoff = Backoff(clock, settings.retry_wait, settings.retry_wait_max)
        self._durable: dict[int, ArchivePosition] = {}
        self._since: dict[int, float] = {}  # partition -> when its first waiting row was noticed
        self._pending: list[Pending] = []
        self._job: Job[None] | None = None
        self._in_job: list[Pending] = []
        self._probe: Job[dict[int, ArchivePosition]] | None = None
        self._shed = False
        self._asked = False
        self._events: list[SinkEvent] = []  # for the next poll
        self._flushes = self._failures = 0

    # --- assignment ----------------------------------------------------------------------------------------------

    def locate(self, partition: int) -> ArchivePosition | None:
        return self._chain(partition).locate()

    def origin(self, partition: int) -> int | None:
        return self._chain(partition).origin()

    def begin(self, partition: int, offset: int) -> ArchivePosition:
        self._verify()
        return self._chain(partition).begin(offset)

    def assign(self, partition: int, position: ArchivePosition) -> None:
        self._durable[partition] = position
        self._since.pop(partition, None)
        self._chain(partition).sweep(self._clock.time())

    def durable(self, partition: int) -> int | None:
        position = self._durable.get(partition)
        return None if position is None else position.position

    def drop(self, partitions: Collection[int]) -> None:
        for pending in self._pending:
            # The worker may still claim its name: whoever owns the partition then loses that claim, and follows.
            pending.dropped = pending.dropped or pending.partition in partitions
        self._pending = [pending for pending in self._pending if not pending.dropped]
        for partition in partitions:
            self._durable.pop(partition, None)
            self._since.pop(partition, None)

    # --- writing -------------------------------------------------------------------------------------------------

    def poll(self) -> list[SinkEvent]:
        self._collect()
        if self._shed:
            self._recover()
        elif self._job is None and self._backoff.ready:
            if not self._pending:
                self._take_due()
            self._send()
        events, self._events = self._events, []
        return events

    def flush(self) -> None:
        self._asked = self._backoff.failing_since is None

    def drain(self, partitions: Collection[int], deadline: float) -> bool:
        if self._shed:
            return False
        wanted = set(partitions) & self._durable.keys()
        while True:
            self._collect()
            if self._job is None:
                held = {pending.partition for pending in self._pending}
                self._take(wanted - held)
                if not any(pending.partition in wanted for pending in self._pending):
                    # A claim that was lost may have left us behind what was read; only a rewind helps then.
                    return not any(event.partition in wanted for event in self._events)
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            if self._job is None:
                self._clock.sleep(max(0.0, min(self._backoff.next_try - self._clock.monotonic(), left)))
                self._send()
            self._wait(deadline - self._clock.monotonic())

    def shed(self) -> int:
        if self._backoff.failing_since is None or self._shed:
            return 0
        before = self.held_bytes() + int(self._engine.memory()["archive"])
        trials.fail_point("archive.shed.before")
        in_flight = self._in_job if self._job is not None else []
        self._pending = [pending for pending in self._pending if pending in in_flight]
        for partition, position in self._durable.items():
            self._engine.archive_reset(partition, position)
        self._since.clear()
        self._shed, self._asked = True, False
        trials.fail_point("archive.shed.after")
        return before - self.held_bytes() - int(self._engine.memory()["archive"])

    def held_bytes(self) -> int:
        return sum(pending.chunk.memory for pending in self._pending)

    def status(self) -> SinkStatus:
        waiting = [pending.since for pending in self._pending] + list(self._since.values())
        return SinkStatus(
            name=self.name,
            in_flight=self._job is not None,
            unwritten_bytes=self.held_bytes() + int(self._engine.memory()["archive"]),
            oldest_unwritten=min(waiting, default=None),
            failing_since=self._backoff.failing_since,
            last_error=self._backoff.last_error,
            flushes=self._flushes,
            failures=self._failures,
        )

    def close(self) -> None:
        self._worker.close()

    # --- on the loop's thread ------------------------------------------------------------------------------------

    def _chain(self, partition: int) -> Chain:
        return Chain(self._files, self._topic, self._registration.incarnation, partition, self._format)

    def _take_due(self) -> None:
        """Freeze the rows of every partition that has enough of them, or has had them long enough."""
        now = self._clock.monotonic()
        due, held = set(), {}
        for waiting in self._engine.partitions():
            if waiting.partition not in self._durable or not waiting.archive_rows:
                self._since.pop(waiting.partition, None)
                continue
            held[waiting.partition] = waiting.archive_bytes
            since = self._since.setdefault(waiting.partition, now)
            if (
                waiting.archive_rows >= self._settings.roll_rows
                or waiting.archive_wire_bytes >= self._settings.roll_bytes
                or now - since >= self._settings.roll_age
            ):
                due.add(waiting.partition)
        if self._asked:
            due |= _largest(held, ASKED_SHARE)
        self._asked = False
        self._take(due)

    def _take(self, partitions: Collection[int]) -> None:
        for partition in sorted(partitions):
            trials.fail_point("archive.take.before")
            chunk = self._engine.archive_take(partition)
            trials.fail_point("archive.take.after")
            since = self._since.pop(partition, self._clock.monotonic())
            if chunk is not None:
                self._pending.append(Pending(partition, chunk, since))

    def _send(self) -> None:
        if self._pending:
            batch = self._in_job = list(self._pending)
            self._job = self._worker.submit(lambda: self._publish(batch))

    def _collect(self) -> None:
        """Take the worker's answers, if it is done. Only here does the sink's position move."""
        if self._job is None or not self._job.done():
            return
        job, self._job = self._job, None
        try:
            job.result()
        except FATAL:
            raise
        except Exception as error:
            self._backoff.failed(error)
        else:
            self._backoff.succeeded()
        trials.fail_point("archive.ack.before")
        for pending in self._in_job:
            if not pending.tried:
                continue
            self.observe(pending.report(ok=pending.outcome is not None))
            if pending.outcome is None:
                self._failures += 1
            elif not pending.dropped:
                self._flushes += 1
                self._stand(pending, pending.outcome)
        trials.fail_point("archive.ack.after")
        self._pending = [pending for pending in self._pending if pending.outcome is None]

    def _stand(self, pending: Pending, position: ArchivePosition) -> None:
        """The chain of a partition stands at `position` after our attempt."""
        partition = pending.partition
        self._durable[partition] = position
        if position.position != pending.chunk.end:
            # Another process archived from our start. What we gathered behind our chunk begins at the wrong offset.
            if not self._shed:
                self._follow(partition, position)
        elif position.crc != pending.chunk.last_crc:
            # Another process archived the same offsets, but not the same records.
            del self._durable[partition]
            self._events.append(
                Stop(
                    partition,
                    f"Partition {partition} has other records below offset {position.position} in the archive than in"
                    " the log: the log was truncated or replaced. Compare both, then begin a new topic.",
                )
            )

    def _follow(self, partition: int, position: ArchivePosition) -> None:
        trials.fail_point("archive.follow.before")
        self._since.pop(partition, None)
        read = {waiting.partition: waiting.next_offset for waiting in self._engine.partitions()}
        self._engine.archive_reset(partition, position)
        trials.fail_point("archive.follow.after")
        if partition in read and position.position < read[partition] and not trials.seeded("lost_claim_not_read_again"):
            self._events.append(Rewind(partition, position.position))

    def _wait(self, seconds: float) -> None:
        if self._job is not None:
            try:
                self._job.result(timeout=max(0.0, seconds))
            except Exception:
                return  # _collect looks at it; a time-out leaves it under way

    def _recover(self) -> None:
        """After a shed: look where the chains stand, and ask for a rewind, once names can be claimed again."""
        if self._probe is None:
            if self._backoff.ready:
                partitions = sorted(self._durable)
                self._probe = self._worker.submit(lambda: self._look(partitions))
            return
        if not self._probe.done():
            return
        probe, self._probe = self._probe, None
        try:
            positions = probe.result()
        except FATAL:
            raise
        except Exception as error:
            self._failures += 1
            self._backoff.failed(error)
            return
        trials.fail_point("archive.recover.after")
        self._shed = False
        self._pending.clear()
        self._backoff.succeeded()
        for partition in sorted(positions.keys() & self._durable.keys()):
            self._durable[partition] = positions[partition]
            self._follow(partition, positions[partition])

    # --- on the threads of worker and crew -----------------------------------------------------------------------

    def _publish(self, batch: list[Pending]) -> None:
        """One attempt at each chunk, until one fails. Raising means: what has no outcome is offered again.

        Partitions are independent of each other; the chunks of one are claimed in their order, on one thread. What
        ends the process is told before what can be tried again.
        """
        turns: dict[int, list[Pending]] = {}
        for pending in batch:
            pending.tried = False
            turns.setdefault(pending.partition, []).append(pending)
        errors = self._crew.each([partial(self._publish_turn, turn) for turn in turns.values()])
        for error in sorted(errors, key=lambda error: not isinstance(error, FATAL)):
            raise error

    def _publish_turn(self, turn: list[Pending]) -> None:
        for pending in turn:
            if pending.dropped:
                continue
            started = self._clock.monotonic()
            pending.tried = True
            try:
                publication = publish(
                    self._chain(pending.partition),
                    pending.chunk,
                    self._verify,
                )
                pending.outcome = publication.position
            finally:
                pending.seconds = self._clock.monotonic() - started

    def _verify(self) -> None:
        if not trials.seeded("no_registry_read_before_claim"):
            self._registry.verify(self._registration)

    def _look(self, partitions: list[int]) -> dict[int, ArchivePosition]:
        trials.fail_point("archive.recover.before")
        self._verify()
        self._files.check()
        positions = {partition: self._chain(partition).locate() for partition in partitions}
        return {partition: position for partition, position in positions.items() if position is not None}


def _largest(held: Mapping[int, int], share: float) -> set[int]:
    """The fewest partitions that hold so much of all bytes."""
    wanted = share * sum(held.values())
    taken: set[int] = set()
    for partition in sorted(held, key=lambda partition: (-held[partition], partition)):
        if wanted <= 0:
            break
        taken.add(partition)
        wanted -= held[partition]
    return taken
