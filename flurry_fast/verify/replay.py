"""Folding a partition's archive again, from its origin on, stopping at chosen offsets.

This is the audit's half that uses the engine: the archived bytes go through the same hot path as once the log did, but
into an engine that believes every block to be absent. (That the engine counts right is the independent count's matter;
here it is asked whether what is stored is what these records give.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flurry_fast import _core, _wire
from flurry_fast.archive import past as archived
from flurry_fast.archive.chain import Chain, Link
from flurry_fast.archive.footer import Footer
from flurry_fast.errors import FlurryFastError, StoreCorrupt
from flurry_fast.positions import CountersPosition
from flurry_fast.spans import Range

ROWS = 16_384


@dataclass
class ChainCheck:
    """What the chain of files says, before any row is read: `end` is where the archive stands, `gap` the first offset
    of the first recorded gap (nothing after it can be compared)."""

    origin: int
    end: int
    files: list[tuple[Link, Footer]] = field(default_factory=list)
    gap: int | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def comparable(self) -> int:
        """Records below this offset can be folded without a hole."""
        return self.end if self.gap is None else min(self.gap, self.end)


def check_chain(chain: Chain) -> ChainCheck | None:
    """Footers of every file, contiguity, rows against offsets. None if the archive never began the partition."""
    links = chain.links()
    origin = chain.origin()
    if origin is None:
        return ChainCheck(0, 0, problems=["there are files, but no origin"]) if links else None
    check = ChainCheck(origin, origin)
    for link in links:
        try:
            footer = chain.footer(link.start)
        except StoreCorrupt as error:
            check.problems.append(str(error))
            break
        if link.start != check.end:
            kind = "is missing" if link.start > check.end else "is there twice"
            check.problems.append(f"the chain breaks: {check.end} to {link.start} {kind} (before {link.path})")
            break
        if footer.gap is not None:
            check.gap = link.start if check.gap is None else check.gap
        elif footer.rows != footer.end - footer.start:
            check.problems.append(f"{link.path} has {footer.rows} rows for {footer.end - footer.start} offsets")
            break
        check.files.append((link, footer))
        check.end = footer.end
    return check


class Replay:
    """One partition's fold under one plan. `ranges`: the offsets that the plan counted, in order; archived records
    outside of them are passed by, and blocks go on from one range to the next."""

    def __init__(
        self, plan: _core.Plan, secret: bytes, chain: Chain, check: ChainCheck, ranges: Sequence[Range]
    ) -> None:
        """`secret` is the installation's: the archive's fingerprints are keyed with it."""
        self._chain, self._check = chain, check
        self._partition = chain.partition
        self._engine = _core.Engine(plan, incarnation=chain.incarnation, secret=secret, counters=True, archive=False)
        self._carried: dict[bytes, tuple[int, bytes]] = {}  # row -> end and value, at the end of the range before
        self._last: dict[bytes, int] = {}  # row -> last record counted in it, in ranges before
        self._range, *self._later = ranges
        self.at = self._range.start
        self.problems: list[str] = []
        self._assign(CountersPosition(self.at))
        self.rows = 0

    def stops(self, offsets: Sequence[int], progress: Callable[[int], None]) -> Iterator[int]:
        """Folds up to each of `offsets` (increasing, none past the comparable end) and yields it.

        Then folds on to the last one only; `progress` is called with the number of records just folded. Ends early,
        with a word in `problems`, where an archive file is not what it says.
        """
        pending = list(offsets)
        if self.problems:
            return
        yield from self._reached(pending)
        for rows in self._batches():
            last = int(rows.offsets[-1]) + 1
            while pending and self.at < last:
                until = min(pending[0], last, last if self._range.end is None else self._range.end)
                self._absorb(rows.slice(self.at, until))
                progress(until - self.at)
                self.rows += until - self.at
                self.at = until
                if self.problems:
                    return
                yield from self._reached(pending)
                if self.problems:
                    return
            if not pending:
                return

    def _reached(self, pending: list[int]) -> Iterator[int]:
        """The stops that ask for what is folded by now; goes on to the next range before one that lies in it."""
        while pending and (pending[0] <= self.at or self.at == self._range.end):
            if pending[0] > self.at and self._later and self._later[0].start < pending[0]:
                self._next_range()
            else:
                yield pending.pop(0)

    def block(self, row: bytes) -> bytes | None:
        """The canonical bytes of a block as it stands at the last stop; None if nothing was counted in it."""
        return self._engine.peek_block(self._partition, row)

    def touched(self) -> Iterator[tuple[bytes, int]]:
        """(row, offset of the last record counted in it) of every block that something was counted in."""
        return iter((self._last | self._touched()).items())

    def close(self) -> None:
        """Frees the engine's memory."""
        self._engine.drop(self._partition)

    def _assign(self, position: CountersPosition) -> None:
        at = position.position
        past = self._past_begins(at)
        self._engine.assign(
            self._partition, log_start=at, counters=position, archive=None, read_from=at, recall_from=past
        )
        try:
            for rows in archived.sessions(self._chain, past, at) if past < at else ():
                self._engine.recall(self._partition, rows)
        except (FlurryFastError, pa.ArrowException, OSError) as error:
            self.problems.append(f"whose sessions came before {at} can not be read: {error}")

    def _past_begins(self, at: int) -> int:
        """From where the sessions of records below `at` (which other plans counted) must be known, or lower."""
        if self._engine.recall_since(0) is None:  # the plan remembers nothing
            return at
        below = [footer for _, footer in self._check.files if footer.start < at]
        whole = [footer.max_timestamp for footer in below if footer.end <= at]
        since = self._engine.recall_since(max((time for time in whole if time is not None), default=-1))
        if since is None:
            return min(self._check.origin, at)
        times = [(footer.start, footer.max_timestamp) for footer in below if footer.max_timestamp is not None]
        return next(start for start, time in times if time >= since)

    def _touched(self) -> dict[bytes, int]:
        rows, offsets = self._engine.touched(self._partition)
        names: Any = pa.array(cast("Any", rows))
        last: Any = pa.array(cast("Any", offsets))
        return dict(zip(names.to_pylist(), last.to_pylist(), strict=True))

    def _next_range(self) -> None:
        """As a consumer of a plan that is opened again: it goes on from the blocks that it finds."""
        for row, last in self._touched().items():
            value = self._engine.peek_block(self._partition, row)
            if value is not None:
                self._last[row], self._carried[row] = last, (self.at, value)
        self._engine.drop(self._partition)
        self._range = self._later.pop(0)
        self.at = self._range.start
        self._assign(CountersPosition(self.at, max_bucket=None))

    def _seed(self, group: _core.NeedGroup) -> None:
        rows: Any = pa.array(cast("Any", group.rows))
        found = [(index, *self._carried[row]) for index, row in enumerate(rows.to_pylist()) if row in self._carried]
        indices, ends, values = zip(*found, strict=True) if found else ((), (), ())
        self._engine.seed(
            group, pa.array(indices, pa.int32()), pa.array(ends, pa.int64()), pa.array(values, pa.binary()), self.at
        )

    def _absorb(self, batch: _wire.Batch) -> None:
        needs = self._engine.absorb(batch)
        if needs is not None:
            for group in needs.groups:
                self._seed(group)
            self._engine.resume(batch)
        self.problems += [f"the engine stopped: {stop.kind}: {stop.detail}" for stop in self._engine.stopped()]

    def _batches(self) -> Iterator[_Rows]:
        for link, footer in self._check.files:
            if footer.end <= self.at or footer.gap is not None:
                continue
            try:
                yield from self._file(link, footer)
            except (_core.RestoreError, pa.ArrowException, OSError) as error:
                self.problems.append(f"{link.path}: {error}")
                return
            if self.problems:
                return

    def _file(self, link: Link, footer: Footer) -> Iterator[_Rows]:
        checksum = _core.RowChecksum()
        expected = footer.start
        last_crc: int | None = None
        with self._chain.files.open(link.path) as source:
            for batch in pq.ParquetFile(source).iter_batches(batch_size=ROWS):
                rows = _Rows(_core.restore_batch(batch, checksum), self._partition)
                if not np.array_equal(rows.offsets, np.arange(expected, expected + len(rows.offsets))):
                    self.problems.append(
                        f"{link.path}: the offsets of its rows are not {expected}, one after the other"
                    )
                    return
                expected += len(rows.offsets)
                last_crc = rows.last_crc
                yield rows
        if expected != footer.end:
            self.problems.append(f"{link.path}: its rows end at {expected}, not at {footer.end}")
        elif checksum.hexdigest() != footer.checksum:
            self.problems.append(f"{link.path}: its rows do not give the checksum of its footer")
        elif last_crc != footer.last_crc:
            self.problems.append(f"{link.path}: its last record is not the one that its footer names")


class _Rows:
    """Restored records of one partition, to be cut at offsets."""

    def __init__(self, restored: _core.RestoredRows, partition: int) -> None:
        self._partition = partition
        self._payload = restored.payload
        self._ends = np.frombuffer(restored.payload_offsets, np.int64)
        self._timestamps = np.frombuffer(restored.timestamps, np.int64)
        self.offsets: np.ndarray[Any, np.dtype[np.int64]] = np.frombuffer(restored.offsets, np.int64)
        self.last_crc = restored.last_crc

    def slice(self, start: int, end: int) -> _wire.Batch:
        """The records with start <= offset < end."""
        first, last = np.searchsorted(self.offsets, [start, end])
        return _wire.Batch.from_buffers(
            self._payload,
            self._ends[first : last + 1].data,
            self.offsets[first:last].data,
            self._timestamps[first:last].data,
            self._partition,
        )
