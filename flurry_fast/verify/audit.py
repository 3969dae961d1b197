"""The audit: what the counters' store holds is what the archived records give, block by block and byte by byte.

Reads control cells, then blocks, then the chain of files, all within one generation (looked up again at the end), so
that it can run beside a consumer: what was written meanwhile is only ever ahead. For every block whose end E the
archive has reached, folding the archived records below E must give the block's exact bytes; and no record below the
counters' position may be missing from its block. Each plan is held to the offsets that it counted: a block of a closed
plan that ends above them is corruption. Needs no broker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

from flurry_fast import _core
from flurry_fast.archive.chain import Chain, chains
from flurry_fast.archive.filesystem import ArchiveFileSystem
from flurry_fast.errors import FlurryFastError
from flurry_fast.gaps import Gap, gaps
from flurry_fast.registry import Registry, State
from flurry_fast.registry import plans as registered_plans
from flurry_fast.spans import Spans
from flurry_fast.stores.base import CellStore
from flurry_fast.verify.column import ColumnComparison, overlap
from flurry_fast.verify.replay import ChainCheck, check_chain
from flurry_fast.verify.result import Audit, Cell, Column, Memory, Oblivion, PartitionAudit, Progress, Silence
from flurry_fast.verify.stored import cells as stored_cells
from flurry_fast.verify.stored import groups

CELLS_AT_ONCE = 1_000_000  # about 300 MB


class AuditImpossible(FlurryFastError):
    """There is nothing that could be audited, or it changed under the audit's hands."""


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
    for group in groups(store, result.partitions, cells_at_once, partitions):
        cells = stored_cells(store, result, incarnations, group)
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
        ColumnComparison(self._store, toml, plan, partition, cells, self._progress).run(chain, check)
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


def _plan_job(spans: Spans, partition: PartitionAudit, check: ChainCheck, lost: Sequence[Gap]) -> None:
    column = partition.column
    partition.ranges = spans.ranges(column.plan, column.incarnation, column.partition, origin=check.origin)
    partition.archive_end = check.end
    partition.files = len(check.files)
    partition.findings = list(check.problems)
    if partition.ranges:
        check.gap = _first_gap(check, partition, lost)
    partition.to_fold = overlap(partition.ranges, 0, check.comparable)
    if partition.ranges and partition.begin < check.origin:
        partition.findings.append(
            f"it was counted from offset {partition.begin} on, but archived from {check.origin} on"
        )
