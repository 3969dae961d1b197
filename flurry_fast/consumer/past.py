"""The records below the counters' position whose sessions they must know before they go on.

A session that came before is not counted again (docs/counters.md, "Duplicates"), so a process that takes a partition
over must know who came lately: all records below the position, and none above it, from the first whose Kafka time is
inside the window. The archive's columns say it at once; what is not archived yet, or where there is no archive, is
read from the log, by the loop, before the record at the position. Both give the same. What nobody has any more can
not be guessed: the counters of that partition stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flurry_fast import trials
from flurry_fast.archive import past as archived
from flurry_fast.archive.chain import Chain
from flurry_fast.consumer.ports import Source
from flurry_fast.errors import PositionMissing, StoreCorrupt, StoreError
from flurry_fast.positions import CountersPosition, PositionTable

if TYPE_CHECKING:
    from flurry_fast._core import Engine


@dataclass(frozen=True)
class Past:
    """The sessions of records from `start` on must be known: of those below `logged` from the archive, of the others
    from the log."""

    start: int
    logged: int


class Pasts:
    """Finds and recalls what the counters of a partition must know. Blocks; on the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        positions: PositionTable,
        archive: Callable[[int], Chain] | None = None,
    ) -> None:
        """`archive(partition)`: its chain, whoever writes it; None: there is none that could be read."""
        self._engine = engine
        self._source = source
        self._positions = positions
        self._archive = archive

    def find(self, number: int, position: CountersPosition, log_start: int) -> Past | None:
        """What must be known at that position; None: nothing. Reads footers and control cells.

        Raises PositionMissing where neither archive nor log has it, StoreError, and what the source raises.
        """
        since = self._engine.recall_since(position.max_timestamp)
        if since is None:
            return None
        end = position.position
        if trials.seeded("dedup_rebuilt_empty"):
            return Past(end, end)
        if trials.seeded("dedup_window_too_short"):
            since = position.max_timestamp
        floor = self._positions.past_begins(number, end)
        if floor >= end:
            return Past(end, end)
        trouble: StoreError | None = None
        try:
            past = self._archived(number, since, end, floor, log_start)
        except StoreError as error:  # counters need no archive if the log has it all
            past, trouble = None, error
        past = past or self._logged(number, since, end, floor, log_start)
        if past is not None and past.start < end:  # somebody had the highest time below the position
            return past
        if trouble is not None:
            raise trouble
        raise PositionMissing(
            f"The counters of partition {number} stand at {end} and must know whose sessions came since {since} ms of"
            f" Kafka time; the log begins at {log_start}, and the archive does not have what was before.",
            way_out="Bring back the archive's files of that time; `archive.root` must name their folder.",
        )

    def recall(self, number: int, past: Past) -> None:
        """Let the engine know what the archive has of it. Raises StoreError."""
        if past.start == past.logged or self._archive is None:
            return
        missing = past.start
        trials.fail_point("past.recall.before")
        for rows in archived.sessions(self._archive(number), past.start, past.logged):
            missing = self._engine.recall(number, rows)
            trials.fail_point("past.recall.inside")
        trials.fail_point("past.recall.after")
        if missing < past.logged:
            raise StoreCorrupt(f"The archive of partition {number} lacks record {missing}, below {past.logged}.")

    def _archived(self, number: int, since: int, end: int, floor: int, log_start: int) -> Past | None:
        if self._archive is None:
            return None
        # The archive may be ahead of the counters: what is not counted yet was never seen.
        found = archived.reach(self._archive(number), since, end, floor)
        if found is None or (found.end < end and found.end < log_start):
            return None
        return Past(found.start, found.end)

    def _logged(self, number: int, since: int, end: int, floor: int, log_start: int) -> Past | None:
        first = self._source.offset_for_time(number, since) if since > 0 else log_start
        # Asked after the look-up: retention may have moved on, and what is found is the first that it left.
        log_start = max(log_start, self._source.watermarks(number)[0])
        if log_start > floor and (first is None or first <= log_start):
            return None  # retention may have taken some of it
        start = min(end, max(floor, log_start if first is None else first))
        return Past(start, start)
