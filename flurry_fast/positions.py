"""Where a sink stands in a partition, and the control cell that keeps it for the counters.

A control cell is one atomic value: everything a restart must know about a partition, or nothing. Its timestamp is the
position, so the highest position wins whatever the order of arrival, like every other cell.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from flurry_fast.errors import StoreCorrupt
from flurry_fast.gaps import gaps_of
from flurry_fast.stores.base import SCATTERED, CellStore

FORMAT = 2
POSITIONS_ROW = SCATTERED + b"counters"
BEGAN_ROW = b"began"
NO_BUCKET = -1  # no record below the position counted in any bucket
_CELL = struct.Struct(">BBqqIq16s")  # format, flags, position, highest bucket, crc, highest timestamp, store id
_CRC = struct.Struct(">I")
_KNOWS_BUCKET, _KNOWS_CRC = 1, 2
_QUALIFIER = struct.Struct(">IIHI")


@dataclass(frozen=True)
class CountersPosition:
    """Every record of the partition below `position` is in its blocks, and none above.

    `max_bucket`: the highest bucket (hours since the epoch) that any record below the position counted in, -1 if none
    did, None if that is not known (after a recorded gap): then no block is ever taken to be absent without a read.
    `crc`: CRC-32C of record position - 1; None at the beginning of the log. `max_timestamp`: the highest Kafka
    timestamp (ms) below the position, -1 if there is none.
    """

    position: int
    max_bucket: int | None = NO_BUCKET
    crc: int | None = None
    max_timestamp: int = -1


@dataclass(frozen=True)
class ArchivePosition:
    """Every record from the partition's origin up to, and without, `position` is in a published file.

    `crc`: CRC-32C of record position - 1; None at the origin and after a recorded gap.
    """

    position: int
    crc: int | None = None


def control_qualifier(plan: int, incarnation: int, partition: int, generation: int) -> bytes:
    """The column of a counters position: `plan | incarnation | partition | generation`, big-endian."""
    return _QUALIFIER.pack(plan, incarnation, partition, generation)


def parse_control_qualifier(qualifier: bytes) -> tuple[int, int, int, int]:
    """(plan, incarnation, partition, generation). Raises StoreCorrupt."""
    if len(qualifier) != _QUALIFIER.size:
        raise StoreCorrupt(f"The control table has a position column of {len(qualifier)} bytes: {qualifier.hex()}.")
    plan, incarnation, partition, generation = _QUALIFIER.unpack(qualifier)
    return plan, incarnation, partition, generation


def encode_position(position: CountersPosition, store_id: bytes) -> bytes:
    """The control cell's value; equal positions of one store give equal bytes. `store_id` is 16 bytes."""
    flags = (_KNOWS_BUCKET if position.max_bucket is not None else 0) | (_KNOWS_CRC if position.crc is not None else 0)
    body = _CELL.pack(
        FORMAT,
        flags,
        position.position,
        position.max_bucket if position.max_bucket is not None else NO_BUCKET,
        position.crc or 0,
        position.max_timestamp,
        store_id,
    )
    return body + _CRC.pack(zlib.crc32(body))


def decode_position(value: bytes, timestamp: int, store_id: bytes) -> CountersPosition:
    """The position that a control cell of this timestamp holds.

    Raises StoreCorrupt when it is damaged, carries another position than its timestamp, or was copied from another
    store (whose blocks are not here).
    """
    body, crc = value[: _CELL.size], value[_CELL.size :]
    if value and value[0] != FORMAT:
        raise StoreCorrupt(f"A position in the control table has format {value[0]}; this version reads {FORMAT}.")
    if len(body) != _CELL.size or len(crc) != _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(body):
        raise StoreCorrupt("A position in the control table is damaged (its CRC does not match).")
    _, flags, position, max_bucket, last_crc, max_timestamp, store = _CELL.unpack(body)
    if position != timestamp:
        raise StoreCorrupt(f"A position in the control table says {position}, its cell's timestamp {timestamp}.")
    if store != store_id:
        raise StoreCorrupt(
            "A position in the control table belongs to another store.",
            way_out="Copy a store whole (control table first, then the counters), never its control table alone.",
        )
    return CountersPosition(
        position=position,
        max_bucket=max_bucket if flags & _KNOWS_BUCKET else None,
        crc=last_crc if flags & _KNOWS_CRC else None,
        max_timestamp=max_timestamp,
    )


class PositionTable:
    """The counters' positions of one topic incarnation, plan and generation; and where each sink began.

    Every call is a store call: it blocks and raises as the store does. From any thread.
    """

    def __init__(self, store: CellStore, *, plan: int, incarnation: int, generation: int) -> None:
        self._store = store
        self._plan, self._incarnation, self._generation = plan, incarnation, generation

    def get(self, partition: int) -> CountersPosition | None:
        """The recorded position. Raises StoreCorrupt if the cell is not what it should be."""
        cell = self._store.get_control(POSITIONS_ROW, self._qualifier(partition))
        return None if cell is None else decode_position(cell.value, cell.timestamp, self._store.store_id)

    def put(self, partition: int, position: CountersPosition) -> None:
        """Record a position, after everything below it is acknowledged. A lower one never replaces a higher one."""
        value = encode_position(position, self._store.store_id)
        self._store.put_control(POSITIONS_ROW, self._qualifier(partition), position.position, value)

    def put_all(self, positions: Sequence[tuple[int, CountersPosition]]) -> None:
        """`put` for each (partition, position), at once where the store can. A partition comes once."""
        cells = [
            (self._qualifier(partition), position.position, encode_position(position, self._store.store_id))
            for partition, position in positions
        ]
        self._store.put_controls(POSITIONS_ROW, cells)

    def put_if_absent(self, partition: int, position: CountersPosition) -> CountersPosition:
        """Record the first position, or adopt the one that somebody recorded before."""
        value = encode_position(position, self._store.store_id)
        cell = self._store.put_control_if_absent(POSITIONS_ROW, self._qualifier(partition), position.position, value)
        return decode_position(cell.value, cell.timestamp, self._store.store_id)

    def counted_partitions(self) -> set[int]:
        """Partitions of this incarnation with a counters position under any plan and generation."""
        columns = (parse_control_qualifier(qualifier) for qualifier in self._store.scan_control(POSITIONS_ROW))
        return {partition for _, incarnation, partition, _ in columns if incarnation == self._incarnation}

    def began(self, sink: str, partition: int) -> int | None:
        """The offset at which a sink began this partition; None if it never did."""
        cell = self._store.get_control(BEGAN_ROW, self._began_qualifier(sink, partition))
        return None if cell is None else cell.timestamp

    def first_began(self, sink: str, partition: int) -> int | None:
        """The offset at which a sink began this partition first, under whatever plan; None if it never did."""
        prefix, found = sink.encode() + b"|", []
        for qualifier, cell in self._store.scan_control(BEGAN_ROW).items():
            if qualifier.startswith(prefix):
                _, incarnation, number, _ = parse_control_qualifier(qualifier.removeprefix(prefix))
                if (incarnation, number) == (self._incarnation, partition):
                    found.append(cell.timestamp)
        return min(found, default=None)

    def past_begins(self, partition: int, position: int) -> int:
        """Where the past of a counters position begins: the end of the last recorded gap below it, else where a sink
        first began the partition (0 if nobody noted that). Nothing below is known to deduplication."""
        begun = [self.first_began(sink, partition) for sink in ("archive", "counters")]
        ends = [gap.end for gap in gaps_of(self._store, self._incarnation, partition) if gap.end <= position]
        return max([min((offset for offset in begun if offset is not None), default=0), *ends])

    def note_began(self, sink: str, partition: int, offset: int) -> None:
        """Remember that it began, so that a position that is lost later is not taken for a first start."""
        self._store.put_control_if_absent(BEGAN_ROW, self._began_qualifier(sink, partition), offset, b"")

    def _qualifier(self, partition: int) -> bytes:
        return control_qualifier(self._plan, self._incarnation, partition, self._generation)

    def _began_qualifier(self, sink: str, partition: int) -> bytes:
        # Counters begin once per plan; what does not depend on the plan begins once.
        plan = self._plan if sink == "counters" else 0
        return sink.encode() + b"|" + control_qualifier(plan, self._incarnation, partition, 0)
