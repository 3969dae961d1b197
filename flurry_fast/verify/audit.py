"""The audit: what the counters' store holds is what the archived records give, block by block and byte by byte.

Reads control cells, then blocks, then the chain of files, all within one generation (looked up again at the end), so
that it can run beside a consumer: what was written meanwhile is only ever ahead. For every block whose end E the
archive has reached, folding the archived records below E must give the block's exact bytes; and no record below the
counters' position may be missing from its block. Each plan is held to the offsets that it counted: a block of a closed
plan that ends above them is corruption. Needs no broker.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import pyarrow as pa

from flurry_fast import _core
from flurry_fast.archive.chain import Chain, chains
from flurry_fast.archive.filesystem import ArchiveFileSystem
from flurry_fast.errors import FlurryFastError
from flurry_fast.gaps import Gap, gaps
from flurry_fast.months import dropped
from flurry_fast.registry import Registry, State, secret
from flurry_fast.registry import plans as registered_plans
from flurry_fast.spans import Range, Spans
from flurry_fast.stores.base import CellStore
from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import BlockError
from flurry_fast.verify.compare import TABLE_PREFIX, describe, table_of
from flurry_fast.verify.count import BlockKey, Groups
from flurry_fast.verify.plan import CountedPlan
from flurry_fast.verify.replay import ChainCheck, Replay, check_chain

_HEAD = struct.Struct(">BQII")
CELLS_AT_ONCE = 1_000_000  # about 300 MB
_SHOWN = 5  # counters named of one block that differs


class AuditImpossible(FlurryFastError):
    """There is nothing that could be audited, or it changed under the audit's hands."""


@dataclass(frozen=True, order=True)
class Column:
    """Whose contribution: one partition of one topic incarnation under one plan."""

    plan: int
    incarnation: int
    partition: int

    def __str__(self) -> str:
        return f"partition {self.partition} (plan {self.plan:08x}, incarnation {self.incarnation:08x})"


@dataclass(frozen=True, slots=True)
class Cell:
    """A block's cell as it was read; of the value only a digest is kept."""

    table: str
    end: int
    digest: bytes


@dataclass
class PartitionAudit:
    """The result for one column. Offsets are absolute; `findings` are sentences, each one thing that is wrong."""

    column: Column
    position: int
    ranges: list[Range] = field(default_factory=list)  # what its plan counted, or is counting, of the partition
    archive_end: int | None = None
    files: int = 0
    records: int = 0  # folded
    to_fold: int = 0
    blocks: int = 0
    compared: int = 0
    ahead: int = 0  # blocks whose end the archive has not reached yet
    behind_gap: int = 0  # blocks that cannot be compared, because offsets were lost and recorded as lost
    dropped: int = 0  # blocks that archived records belong to, whose month was dropped
    other_rules: int = 0  # blocks that another version counted by other rules: this one can not count them again
    unchecked: int = 0  # records below the counters' position that are not archived yet
    findings: list[str] = field(default_factory=list)
    note: str = ""  # of an audit that was resumed: whether this is what was found before

    @property
    def begin(self) -> int:
        """The first offset that was counted."""
        return self.ranges[0].start


@dataclass
class Audit:
    """The whole result."""

    topic: str
    generation: int
    partitions: list[PartitionAudit] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)  # of no partition in particular
    other_cells: int = 0  # of other topics: not looked at

    @property
    def blocks(self) -> int:
        """Blocks whose bytes were compared."""
        return sum(partition.compared for partition in self.partitions)

    @property
    def records(self) -> int:
        """Archived records that were folded."""
        return sum(partition.records for partition in self.partitions)

    def problems(self, *, complete: bool = False) -> list[str]:
        """Every finding; comparing nothing is one. `complete`: so is every block and record that was not compared,
        as it should be after the last flush."""
        found = [*self.findings]
        for partition in self.partitions:
            found += [f"{partition.column}: {finding}" for finding in partition.findings]
            if complete and (partition.ahead or partition.unchecked):
                found.append(
                    f"{partition.column}: {partition.ahead} blocks and {partition.unchecked} records are ahead of the"
                    " archive"
                )
        if not self.blocks:
            found.append("nothing could be compared: no stored block ends where the archive has come to")
        return found


class Progress(Protocol):
    """Who watches an audit. `cli.progress` shows it to people."""

    def planned(self, partitions: Sequence[PartitionAudit], /) -> None:
        """These will be looked at, `to_fold` records of each. Said of all at first, then of each as its turn comes."""

    def folded(self, partition: PartitionAudit, records: int, /) -> None:
        """So many records more."""

    def finished(self, partition: PartitionAudit, /) -> None:
        """All there is to say of this one is known."""


class Silence:
    """Nobody watches."""

    def planned(self, partitions: Sequence[PartitionAudit], /) -> None:
        """Nobody watches."""

    def folded(self, partition: PartitionAudit, records: int, /) -> None:
        """Nobody watches."""

    def finished(self, partition: PartitionAudit, /) -> None:
        """Nobody watches."""


class Memory(Protocol):
    """What earlier runs of the same audit have finished. `verify.ledger` keeps it in a file."""

    def recall(self, partition: PartitionAudit, seen: str, /) -> PartitionAudit | None:
        """What was found in a partition when it looked exactly as it does now; `seen` is a digest of how it looks."""

    def keep(self, partition: PartitionAudit, seen: str, /) -> None:
        """It is finished."""


class Oblivion:
    """An audit that begins anew."""

    def recall(self, partition: PartitionAudit, seen: str, /) -> PartitionAudit | None:  # noqa: ARG002
        """Nothing was finished."""
        return None

    def keep(self, partition: PartitionAudit, seen: str, /) -> None:
        """It is forgotten."""


def audit(
    store: CellStore,
    files: ArchiveFileSystem,
    topic: str,
    progress: Progress | None = None,
    *,
    partitions: Collection[int] | None = None,
    memory: Callable[[State], Memory] = lambda _state: Oblivion(),
    cells_at_once: int = CELLS_AT_ONCE,
) -> Audit:
    """Audit one topic's counters against its archive: all of it, or only these partitions.

    At most about `cells_at_once` blocks are held at a time, by their digests, unless one partition has more.
    `memory(state)`: what earlier runs have finished, of this very state of the registry. Raises AuditImpossible when
    nothing was counted yet, or when the store was restored or reset meanwhile; StoreError when store or archive cannot
    be read.
    """
    registry = Registry(store, topic, _no_broker)
    state = _state(registry)
    result = Audit(topic, state.generation)
    incarnations = set(registry.incarnations())
    spans = Spans(store, registry)
    standing = sorted(spans.positions().items())
    result.partitions = [PartitionAudit(Column(*column), position) for column, position in standing]
    if partitions is not None:
        result.partitions = _chosen(result, partitions)
    auditor = _Auditor(store, files, topic, spans, progress or Silence(), memory(state))
    auditor.plan(result.partitions)
    for group in _groups(store, result.partitions, cells_at_once, partitions):
        cells = _cells(store, result, incarnations, group)
        for place, partition in enumerate(result.partitions):
            if partition.column.partition in group:
                result.partitions[place] = auditor.judge(partition, cells.pop(partition.column, {}))
        result.findings += [f"{column}: there are blocks, but no position" for column in sorted(cells)]
    result.findings = list(dict.fromkeys(result.findings))
    if _state(registry) != state:
        raise AuditImpossible(
            "The store was restored, its positions were reset or its plan was switched during the audit.",
            way_out="Run it again.",
        )
    return result


class _Auditor:
    """Judges one column after the other."""

    def __init__(
        self,
        store: CellStore,
        files: ArchiveFileSystem,
        topic: str,
        spans: Spans,
        progress: Progress,
        memory: Memory,
    ) -> None:
        self._store, self._spans, self._progress, self._memory = store, spans, progress, memory
        known = registered_plans(store).items()
        self._plans = {number: (toml, _core.Plan.registered(toml, number)) for number, toml in known}
        self._chains = {(chain.incarnation, chain.partition): chain for chain in chains(files, topic)}
        self._lost = gaps(store)

    def plan(self, partitions: Sequence[PartitionAudit]) -> None:
        """Find out how much there is to do, for whoever watches."""
        for partition in partitions:
            self._look(partition)
        self._progress.planned(partitions)

    def judge(self, partition: PartitionAudit, cells: dict[bytes, Cell]) -> PartitionAudit:
        """The result for a column with these blocks."""
        archived = self._look(partition)  # after its blocks were read: few are ahead of it then
        if archived is None:
            partition.blocks = partition.ahead = len(cells)
        elif partition.column.plan not in self._plans:
            partition.findings.append("its plan is not registered")
        elif not self._counts(partition):
            partition.blocks = partition.other_rules = len(cells)
        elif partition.ranges:
            partition = self._compare(partition, cells, *archived)
        elif cells:
            partition.findings.append("there are blocks, but its plan counted nothing of it")
        self._progress.finished(partition)
        return partition

    def _compare(
        self, partition: PartitionAudit, cells: dict[bytes, Cell], chain: Chain, check: ChainCheck
    ) -> PartitionAudit:
        self._progress.planned([partition])
        seen = _seen(partition, cells, check)
        before = self._memory.recall(partition, seen)
        if before is not None:
            return before
        toml, plan = self._plans[partition.column.plan]
        _Partition(self._store, toml, plan, partition, cells, self._progress).run(chain, check)
        self._memory.keep(partition, seen)
        return partition

    def _look(self, partition: PartitionAudit) -> tuple[Chain, ChainCheck] | None:
        """What the archive has of it now; None: nothing."""
        chain = self._chains.get((partition.column.incarnation, partition.column.partition))
        check = check_chain(chain) if chain is not None else None
        if chain is None or check is None:
            return None
        _plan_job(self._spans, partition, check, self._lost)
        if not self._counts(partition):
            partition.to_fold = 0
        return chain, check

    def _counts(self, partition: PartitionAudit) -> bool:
        """Whether this version counts by the rules of its plan."""
        plan = self._plans.get(partition.column.plan)
        return plan is not None and plan[1].current


def _no_broker() -> int:
    raise NotImplementedError("an audit asks no broker")


def _state(registry: Registry) -> State:
    state = registry.state()
    if state is None:
        raise AuditImpossible("Nothing was counted for this topic yet.", way_out="Run `flurry-fast consume` first.")
    return state


def _groups(
    store: CellStore, known: Sequence[PartitionAudit], limit: int, wanted: Collection[int] | None
) -> list[set[int]]:
    """Partitions whose blocks are read together: as many as have `limit` blocks, and one at least."""
    counts: Counter[int] = Counter({partition.column.partition: 0 for partition in known})
    for table in store.tables():
        if table.startswith(TABLE_PREFIX):
            for batch in store.scan(table):
                qualifiers = cast("list[bytes]", batch.column("qualifier").to_pylist())
                counts.update(int.from_bytes(name[8:]) for name in qualifiers)
    groups: list[set[int]] = []
    held = 0
    for partition in sorted(counts if wanted is None else wanted):
        if not groups or held + counts[partition] > limit:
            groups.append(set())
            held = 0
        groups[-1].add(partition)
        held += counts[partition]
    return groups


def _cells(
    store: CellStore, result: Audit, incarnations: set[int], partitions: Collection[int]
) -> dict[Column, dict[bytes, Cell]]:
    """Every block's end and digest by row, of some partitions; what a block says of itself is checked here."""
    found: dict[Column, dict[bytes, Cell]] = {}
    for table in store.tables():
        if not table.startswith(TABLE_PREFIX):
            continue
        for batch in store.scan(table):
            for cell in batch.to_pylist():
                row, qualifier, end, value = cell["row"], cell["qualifier"], cell["timestamp"], cell["value"]
                try:
                    column = Column(*blocks.parse_qualifier(qualifier))
                    if column.partition not in partitions:
                        continue
                    if column.incarnation not in incarnations:
                        result.other_cells += 1
                        continue
                    _self_check(table, row, column, end, value)
                except BlockError as error:
                    result.findings.append(f"{table}, row {row.hex()}, column {qualifier.hex()}: {error}")
                    continue
                found.setdefault(column, {})[row] = Cell(table, end, _digest(value))
    return found


def _self_check(table: str, row: bytes, column: Column, end: int, value: bytes) -> None:
    _, bucket = blocks.parse_row(row)
    if table != table_of(bucket):
        raise BlockError("the block is in the table of another month")
    if value and value[0] != blocks.FORMAT:
        raise BlockError(f"the block has format {value[0]}; this version reads {blocks.FORMAT}")
    if len(value) < _HEAD.size + 5 or zlib.crc32(value[:-4]) != int.from_bytes(value[-4:]):
        raise BlockError("the block is damaged (its CRC does not match)")
    _, its_end, its_plan, _ = _HEAD.unpack(value[: _HEAD.size])
    if (its_end, its_plan) != (end, column.plan):
        raise BlockError(f"the block says plan {its_plan:08x} up to {its_end}, its cell {column.plan:08x} up to {end}")


def _chosen(result: Audit, partitions: Collection[int]) -> list[PartitionAudit]:
    found = [partition for partition in result.partitions if partition.column.partition in partitions]
    missing = set(partitions) - {partition.column.partition for partition in found}
    if missing:
        raise AuditImpossible(f"Nothing of partition {', '.join(map(str, sorted(missing)))} was counted here.")
    return found


def _first_gap(check: ChainCheck, partition: PartitionAudit, lost: Sequence[Gap]) -> int | None:
    """The first offset that was lost while its plan was counting, in either sink."""
    column = partition.column
    place = (column.plan, column.incarnation, column.partition)
    ours = [(gap.start, gap.end) for gap in lost if (gap.plan, gap.incarnation, gap.partition) == place]
    archived = [(footer.start, footer.end) for _, footer in check.files if footer.gap is not None]
    return min((start for start, end in ours + archived if end > partition.begin), default=None)


def _seen(partition: PartitionAudit, cells: Mapping[bytes, Cell], check: ChainCheck) -> str:
    """A digest of all that decides what will be found in a partition, but for the rows of its files."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((partition.column, partition.position, partition.ranges, check.gap)).encode())
    for _, footer in check.files:
        digest.update(f"{footer.start} {footer.end} {footer.checksum}\n".encode())
    for row in sorted(cells):
        cell = cells[row]
        digest.update(len(row).to_bytes(2) + row + cell.end.to_bytes(8) + cell.digest)
    return digest.hexdigest()


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()


def _plan_job(spans: Spans, partition: PartitionAudit, check: ChainCheck, lost: Sequence[Gap]) -> None:
    column = partition.column
    partition.ranges = spans.ranges(column.plan, column.incarnation, column.partition, origin=check.origin)
    partition.archive_end = check.end
    partition.files = len(check.files)
    partition.findings = list(check.problems)
    if partition.ranges:
        check.gap = _first_gap(check, partition, lost)
    partition.to_fold = _overlap(partition.ranges, 0, check.comparable)
    if partition.ranges and partition.begin < check.origin:
        partition.findings.append(
            f"it was counted from offset {partition.begin} on, but archived from {check.origin} on"
        )


def _overlap(ranges: Sequence[Range], start: int, end: int) -> int:
    """How many offsets start <= o < end lie in the ranges."""
    cut = [(max(start, low), end if high is None else min(end, high)) for low, high in ranges]
    return sum(max(0, high - low) for low, high in cut)


class _Partition:
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
        result.unchecked = _overlap(result.ranges, check.end, result.position)
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
        elif _digest(expected) != self.cells[row].digest:
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
        if _digest(value) != cell.digest:
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
