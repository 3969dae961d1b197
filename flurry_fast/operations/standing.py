"""Where every sink stands in every partition, and what a restart would read again. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from flurry_fast.archive.chain import Chain
from flurry_fast.errors import FlurryFastError, StoreUnavailable
from flurry_fast.gaps import Gap, gaps
from flurry_fast.operations.generation import positions
from flurry_fast.operations.ports import Bounds, Chains, LogView
from flurry_fast.positions import ArchivePosition, CountersPosition, PositionTable
from flurry_fast.registry import Registry, State
from flurry_fast.stores.base import CellStore


class NothingStands(FlurryFastError):
    """Nothing of this topic was counted or archived here yet."""


@dataclass(frozen=True)
class Commit:
    """What the consumer group committed. `ours`: for this very store and incarnation; others are ignored."""

    offset: int
    ours: bool


@dataclass(frozen=True)
class PartitionStanding:
    """One partition of one incarnation under one plan. Where something is None, it is not there, or not known.

    `counters_began` and `archive_origin` are where the sinks began; `problems` what keeps a sink from going on.
    """

    plan: int
    incarnation: int
    partition: int
    generation: int
    counters: CountersPosition | None
    counters_began: int | None
    archive: ArchivePosition | None
    archive_origin: int | None
    log: Bounds | None
    commit: Commit | None
    gaps: list[Gap] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def stands(self) -> dict[str, int]:
        """Sink -> position, of the sinks that have one."""
        found = {"counters": self.counters, "archive": self.archive}
        return {name: position.position for name, position in found.items() if position is not None}

    @property
    def reads_from(self) -> int | None:
        """Where a consumer with both sinks starts reading."""
        return min(self.stands.values(), default=None)

    @property
    def read_again(self) -> int | None:
        """Records that one sink has and that are read again for the other; beside what was only in memory."""
        return max(self.stands.values()) - min(self.stands.values()) if self.stands else None

    @property
    def lag(self) -> int | None:
        """Records of the log that are not durable in every sink."""
        start = self.reads_from
        return None if start is None or self.log is None else max(0, self.log.end - start)


def survey(
    store: CellStore,
    registry: Registry,
    chains: Chains,
    *,
    incarnation: int | None = None,
    log: LogView | None = None,
    commits: Mapping[int, Commit] | None = None,
    everything: bool = False,
    partitions: Collection[int] | None = None,
) -> list[PartitionStanding]:
    """Every partition, in order, of the open plan; `everything`: of closed plans and older incarnations, too.

    `incarnation`, `log` and `commits` are what a broker says; without them all incarnations are told of, and nothing
    of the log. Raises NothingStands, StoreError, and what the log raises.
    """
    state = registry.state()
    if state is None:
        raise NothingStands("Nothing of this topic was counted here yet.", way_out="Run `flurry-fast consume` first.")
    standing = positions(store, registry, state)
    recorded = gaps(store)
    found = []
    for plan, its_incarnation, partition in sorted(_keys(registry, state, standing)):
        old = plan != state.plan or incarnation not in (None, its_incarnation)
        if (old and not everything) or (partitions is not None and partition not in partitions):
            continue
        current = its_incarnation == incarnation
        view = log if current else None
        hint = (commits or {}).get(partition) if current else None
        chain = chains(its_incarnation, partition)
        table = PositionTable(store, plan=plan, incarnation=its_incarnation, generation=state.generation)
        counters = standing.get((plan, its_incarnation, partition))
        began = table.began("counters", partition)
        archive, origin, problems = _archived(chain)
        if counters is None and began is not None:
            problems.append("the counters began once, and their position is gone")
        bounds = view.bounds(partition) if view is not None else None  # after the positions, which only lag behind it
        mine = [gap for gap in recorded if (gap.incarnation, gap.partition) == (its_incarnation, partition)]
        item = PartitionStanding(
            plan, its_incarnation, partition, state.generation, counters, began, archive, origin, bounds, hint, mine
        )
        found.append(item)
        item.problems.extend([*problems, *_outside(item, closed=plan != state.plan)])
    if not found:
        raise NothingStands("There is no such partition here." if partitions else "No partition was begun here yet.")
    return found


def _keys(registry: Registry, state: State, standing: Collection[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
    """Every (plan, incarnation, partition) there is: those with a position, and those that only have no one yet."""
    known = {number: registry.partitions(number) or 0 for number in registry.incarnations()}
    begun = {(state.plan, number, partition) for number, count in known.items() for partition in range(count)}
    return begun | set(standing)


def _archived(chain: Chain) -> tuple[ArchivePosition | None, int | None, list[str]]:
    try:
        return chain.locate(), chain.origin(), []
    except StoreUnavailable:
        raise
    except FlurryFastError as error:
        return None, None, [f"archive: {error.message.rstrip('.')}"]


def _outside(item: PartitionStanding, *, closed: bool) -> list[str]:
    """Positions that the log does not have."""
    if item.log is None or closed:
        return []
    found = []
    for sink, position in item.stands.items():
        if position < item.log.start:
            lost = item.log.start - position
            found.append(f"{sink}: retention removed {lost:,} records before they were read (flurry-fast gap record)")
        elif position > item.log.end:
            found.append(f"{sink}: stands above the end of the log, which was truncated")
    return found
