"""The comparison of one column: every block of one partition under one plan with what its archived records give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from flurry_fast import _core
from flurry_fast.archive.chain import Chain
from flurry_fast.months import dropped
from flurry_fast.registry import secret
from flurry_fast.spans import Range
from flurry_fast.stores.base import CellStore
from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import BlockError
from flurry_fast.verify.compare import describe, table_of
from flurry_fast.verify.count import BlockKey, Groups
from flurry_fast.verify.plan import CountedPlan
from flurry_fast.verify.replay import ChainCheck, Replay
from flurry_fast.verify.result import Cell, PartitionAudit, Progress
from flurry_fast.verify.stored import digest

_SHOWN = 5  # counters named of one block that differs


def overlap(ranges: Sequence[Range], start: int, end: int) -> int:
    """How many offsets start <= o < end lie in the ranges."""
    cut = [(max(start, low), end if high is None else min(end, high)) for low, high in ranges]
    return sum(max(0, high - low) for low, high in cut)


class ColumnComparison:
    """The comparison of one column."""

    def __init__(
        self,
        store: CellStore,
        toml: str,
        plan: _core.Plan,
        result: PartitionAudit,
        cells: dict[bytes, Cell],
        progress: Progress,
    ) -> None:
        self.store, self.plan, self.result, self.cells, self.progress = store, plan, result, cells, progress
        self.counted = CountedPlan.parse(toml)
        self.dropped: set[str] | None = None  # tables; asked for where a block is missing

    def run(self, chain: Chain, check: ChainCheck) -> None:
        result = self.result
        result.blocks = len(self.cells)
        if result.begin < check.origin:
            return
        reach = check.comparable
        result.unchecked = overlap(result.ranges, check.end, result.position)
        by_end: dict[int, list[bytes]] = {}
        for row, cell in self.cells.items():
            if not any(counted.holds(cell.end) for counted in result.ranges):
                ranges = ", ".join(f"{start} to {'now' if end is None else end}" for start, end in result.ranges)
                result.findings.append(
                    f"{self._name(row)}: the block ends at {cell.end}, but its plan was open from {ranges} only"
                )
            elif cell.end <= reach:
                by_end.setdefault(cell.end, []).append(row)
            elif check.gap is not None:
                result.behind_gap += 1
            else:
                result.ahead += 1
        # Also where there is nothing to compare: every archived record is read and checked.
        complete_at = min(result.position, reach)
        replay = Replay(self.plan, secret(self.store), chain, check, result.ranges)
        try:
            stops = sorted({*by_end, complete_at, reach})
            for at in replay.stops(stops, lambda rows: self.progress.folded(result, rows)):
                for row in by_end.pop(at, ()):
                    self._compare(row, replay.block(row))
                if at == complete_at:
                    self._complete(replay, at)
        finally:
            result.records = replay.rows
            result.findings += replay.problems
            replay.close()
        if by_end and not replay.problems:
            result.findings.append(f"the archive ends at {replay.at}, before it says it does ({reach})")

    def _compare(self, row: bytes, expected: bytes | None) -> None:
        self.result.compared += 1
        if expected is None:
            self.result.findings.append(f"{self._name(row)}: no archived record accounts for this block")
        elif digest(expected) != self.cells[row].digest:
            for difference in self._differences(row, expected):
                self.result.findings.append(f"{self._name(row)}: {difference}")

    def _complete(self, replay: Replay, at: int) -> None:
        """Every record below `at` must be in its block."""
        for row, last in replay.touched():
            cell = self.cells.get(row)
            if cell is None and self._dropped(row):
                self.result.dropped += 1
            elif cell is None:
                self.result.findings.append(f"{self._name(row)}: the block is missing, record {last} is in no block")
            elif cell.end <= last < at:
                self.result.findings.append(
                    f"{self._name(row)}: the block ends at {cell.end}, but record {last} belongs in it"
                )

    def _dropped(self, row: bytes) -> bool:
        if self.dropped is None:
            self.dropped = dropped(self.store)
        return table_of(blocks.parse_row(row)[1]) in self.dropped

    def _name(self, row: bytes) -> str:
        api_key, bucket = blocks.parse_row(row)
        key: BlockKey = (self.result.column.partition, api_key, bucket)
        return describe(key).rpartition(",")[0]

    def _differences(self, row: bytes, expected: bytes) -> Iterator[str]:
        """What differs, in words, if the cell is still the one that was read."""
        cell, column = self.cells[row], self.result.column
        qualifier = blocks.qualifier(column.plan, column.incarnation, column.partition)
        read = self.store.read(cell.table, qualifier, pa.array([row], pa.binary()))
        value = read.values[0].as_py() if len(read.values) else b""
        if digest(value) != cell.digest:
            yield f"at {cell.end} the block was not what the archived records give (it has been written again since)"
            return
        try:
            stored, folded = blocks.decode(self.counted, value), blocks.decode(self.counted, expected)
        except BlockError as error:
            yield str(error)
            return
        if stored.last_crc != folded.last_crc:
            yield f"it names another record {cell.end - 1} than the archive has"
        differing = list(_differing(stored.rollups, folded.rollups))
        yield from differing[:_SHOWN]
        if len(differing) > _SHOWN:
            yield f"and {len(differing) - _SHOWN} more counters of this block"
        elif not differing and stored.last_crc == folded.last_crc:
            yield "the block's bytes are not canonical"


def _differing(stored: dict[str, Groups], folded: dict[str, Groups]) -> Iterator[str]:
    nothing: Groups = {}
    for rollup in sorted(stored.keys() | folded.keys()):
        ours, theirs = stored.get(rollup, nothing), folded.get(rollup, nothing)
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            if ours.get(key) != theirs.get(key):
                name = key if isinstance(key, str) else ", ".join(map(repr, key)) or "all"
                yield f"{rollup} [{name}] is {ours.get(key)}, the archived records give {theirs.get(key)}"
