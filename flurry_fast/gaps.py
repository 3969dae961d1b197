"""Recorded gaps of the counters: offsets that retention removed before they could be counted.

A gap is one cell of the control table, so that whoever reads counters can say which of them are lower bounds. The
archive keeps its own gaps, as files of its chain (docs/operations.md, "When retention was faster").
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from flurry_fast.errors import StoreCorrupt
from flurry_fast.stores.base import CellStore

GAP_ROW = b"gap"
HOUR_MS = 3_600_000
LOST = "records lost"
LATE = "late sessions"
_QUALIFIER = struct.Struct(">IHq")  # incarnation, partition, first offset that was lost


@dataclass(frozen=True)
class Gap:
    """Records of a partition from `start` up to, and without, `end` are in no counter of `plan`.

    Times are ms since the epoch. `before`: Kafka's running maximum below `start`, None if nothing was counted there;
    `after`: Kafka's time of the record at `end`, or the time of recording where the log held none. `max_age` and
    `max_ahead`: how far from its receive time the plan counts a session. `reason`: the operator's words.
    """

    incarnation: int
    partition: int
    start: int
    end: int
    plan: int
    before: int | None
    after: int
    max_age: int
    max_ahead: int
    reason: str

    @property
    def lost_hours(self) -> tuple[int, int]:
        """First and last bucket in which lost records were received: totals of these hours are lower bounds."""
        return 0 if self.before is None else max(0, self.before // HOUR_MS), (self.after + self.max_ahead) // HOUR_MS

    @property
    def late_from(self) -> int:
        """Sessions that came late, in a lost record, may be missing from this bucket on."""
        return 0 if self.before is None else max(0, (self.before - self.max_age) // HOUR_MS)


class LowerBounds:
    """Which hours' totals may be too low, because records were lost before they were counted."""

    def __init__(self, recorded: Iterable[Gap]) -> None:
        self._spans = [(gap.late_from, *gap.lost_hours) for gap in recorded]

    def __bool__(self) -> bool:
        return bool(self._spans)

    def of(self, first: int, end: int) -> str | None:
        """What may be missing from the totals of the buckets first <= b < end; None: nothing.

        LOST where lost records were received in one of these hours; LATE where only sessions that were reported late,
        in a lost record, can belong there.
        """
        found = None
        for late, start, last in self._spans:
            if first <= last and start < end:
                return LOST
            if first < start and late < end:
                found = LATE
        return found


_VALUES = [field.name for field in fields(Gap) if field.name not in ("incarnation", "partition", "start", "end")]


def gaps(store: CellStore) -> list[Gap]:
    """Every recorded gap of the store, in order. Raises StoreCorrupt for a damaged cell."""
    found = []
    for qualifier, cell in store.scan_control(GAP_ROW).items():
        if len(qualifier) != _QUALIFIER.size:
            raise StoreCorrupt(f"The control table has a gap column of {len(qualifier)} bytes: {qualifier.hex()}.")
        incarnation, partition, start = _QUALIFIER.unpack(qualifier)
        found.append(Gap(incarnation, partition, start, cell.timestamp, **_decode(cell.value)))
    return sorted(found, key=lambda gap: (gap.incarnation, gap.partition, gap.start))


def gaps_of(store: CellStore, incarnation: int, partition: int) -> list[Gap]:
    """Those of one partition, in order of their offsets."""
    return [gap for gap in gaps(store) if (gap.incarnation, gap.partition) == (incarnation, partition)]


def put_gap(store: CellStore, gap: Gap) -> None:
    """Record a gap. One that was recorded before up to the same end stands as it is; a longer one replaces it."""
    qualifier = _QUALIFIER.pack(gap.incarnation, gap.partition, gap.start)
    recorded = store.get_control(GAP_ROW, qualifier)
    if recorded is None or recorded.timestamp < gap.end:
        store.put_control(GAP_ROW, qualifier, gap.end, _encode(gap))


def _encode(gap: Gap) -> bytes:
    values = {name: value for name, value in asdict(gap).items() if name in _VALUES}
    body = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    return zlib.crc32(body).to_bytes(4, "big") + body


def _decode(value: bytes) -> dict[str, Any]:
    body = value[4:]
    if len(value) < 4 or zlib.crc32(body) != int.from_bytes(value[:4], "big"):
        raise StoreCorrupt("A recorded gap in the control table is damaged (its CRC does not match).")
    stored = json.loads(body)
    return {name: stored[name] for name in _VALUES}
