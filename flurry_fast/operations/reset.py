"""Reset: the counters read again from a lower position. And the fence, which moves nothing.

A reset cannot break exactness: what is read again is skipped by every block that already holds it. Only a position
that claims more than was counted, or reading from where the blocks know nothing, could, and both are refused:

- upwards, or below the beginning of the log: what is between would be missing (a loss is recorded by `gap.record`);
- below the offset at which this plan began: its blocks must not hold what another plan has counted;
- in a log that is not the one that was counted: the record before the old position must be the one it names.

The highest bucket below the position is carried over and never lowered, so that no stored block is taken to be absent.
The archive is not touched: its position is the end of its chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flurry_fast import trials
from flurry_fast._core import Plan
from flurry_fast.archive.chain import Chain
from flurry_fast.errors import FlurryFastError
from flurry_fast.operations.generation import Key, draw_stride, positions, renew
from flurry_fast.operations.ports import Bounds, Chains, LogView
from flurry_fast.operations.timeline import highest_below
from flurry_fast.positions import NO_BUCKET, CountersPosition
from flurry_fast.registry import Registration, Registry, State, plans
from flurry_fast.spans import Spans
from flurry_fast.stores.base import CellStore


class ResetRefused(FlurryFastError):
    """The position would claim what is not so, or this is not the log that was counted. Nothing was changed."""


@dataclass(frozen=True)
class Move:
    """One partition's counters, to be read again from `after.position`, which is below `before.position`."""

    partition: int
    before: CountersPosition
    after: CountersPosition


@dataclass(frozen=True)
class Reset:
    """What a reset will do; nothing was done yet. `kept`: partitions that are where they should be already."""

    registration: Registration
    state: State
    moves: list[Move]
    kept: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Ground:
    """What a target is worked out from: where the partition stands, the log, and where this plan's counters began."""

    partition: int
    position: CountersPosition
    log: Bounds
    began: int


Target = Callable[[Ground], int]


def to_offset(offset: int) -> Target:
    """This very offset."""
    return lambda _ground: offset


def to_earliest() -> Target:
    """As far down as can be: the first record that is in the log and belongs to this plan."""
    return lambda ground: max(ground.log.start, ground.began)


def shift_by(records: int) -> Target:
    """Negative: so many records down."""
    return lambda ground: ground.position.position + records


def to_datetime(log: LogView, timestamp: int) -> Target:
    """The first record of that Kafka time (ms) or later; where the partition stands if none is as late."""

    def target(ground: Ground) -> int:
        found = log.offset_at(ground.partition, timestamp)
        if found is None:
            return ground.position.position
        # Times need not rise with offsets, so a record that was not counted yet may be the first.
        return max(min(found, ground.position.position), ground.began)

    return target


def prepare(store: CellStore, registry: Registry, chains: Chains, log: LogView, targets: Mapping[int, Target]) -> Reset:
    """Work out and check a reset of these partitions. Changes nothing, but for what a killed command had decided.

    Raises ResetRefused, RegistryMismatch (another topic, or a plan switch is under way), StoreError, and what the log
    raises.
    """
    state = registry.settle()
    registration = registry.registered()
    assert state is not None  # registered() found it
    standing = positions(store, registry, state)
    spans = Spans(store, registry)
    deduplicated = deduplicates(plans(store)[state.plan])
    moves, kept = [], []
    for partition, target in sorted(targets.items()):
        before = standing.get((registration.plan, registration.incarnation, partition))
        if before is None:
            raise ResetRefused(f"Partition {partition} has no counters position that could be reset.")
        chain = chains(registration.incarnation, partition)
        ground = Ground(partition, before, log.bounds(partition), _began(spans, registration, chain))
        _refuse_other_log(ground, log)
        offset = target(ground)
        _refuse(ground, offset)
        if offset == before.position:
            kept.append(partition)
            continue
        crc = log.record(partition, offset - 1).crc if offset > ground.log.start else None
        first = registry.positions(registration).past_begins(partition, offset)
        highest = _highest_time(ground, chain, log, first, offset, needed=deduplicated)
        max_bucket = NO_BUCKET if trials.seeded("reset_lowers_m") else before.max_bucket
        moves.append(Move(partition, before, CountersPosition(offset, max_bucket, crc, highest)))
    return Reset(registration, state, moves, kept)


def apply(store: CellStore, registry: Registry, reset: Reset, stride: Callable[[], int] = draw_stride) -> State:
    """Do it: all positions under a new generation, then the registry's state, which switches everybody at once.

    A process that dies before the last put has changed nothing; the same command then begins anew. Raises
    RegistryMismatch when anything was changed since `prepare`, StoreError.
    """
    registry.verify(reset.registration)
    plan, incarnation = reset.registration.plan, reset.registration.incarnation
    moved: dict[Key, CountersPosition] = {(plan, incarnation, move.partition): move.after for move in reset.moves}
    return renew(store, registry, reset.state, moved, stride)


def fence(store: CellStore, registry: Registry, stride: Callable[[], int] = draw_stride) -> State:
    """A new generation in which every position is what it was: for a store that was restored from a backup.

    Needs no broker. Raises ResetRefused where nothing was counted yet, RegistryMismatch, StoreError.
    """
    state = registry.settle()
    if state is None:
        raise ResetRefused("Nothing of this topic was counted in this store: there is nothing to fence.")
    if trials.seeded("restored_without_rewind"):
        return state
    return renew(store, registry, state, {}, stride)


def deduplicates(plan_toml: str) -> bool:
    """Whether a plan looks for duplicates."""
    return setting(plan_toml, "dedup.window_ms") > 0


def setting(plan_toml: str, name: str) -> int:
    """A number that the plan sets, or has by default; 0 for a setting that plans do not have."""
    lines = dict(line.partition(" = ")[::2] for line in Plan.parse(plan_toml).canonical.splitlines())
    return int(lines.get(name, "0"))


def _began(spans: Spans, registration: Registration, chain: Chain) -> int:
    """Where this plan's counters began, last: what was counted while another plan was open is in none of its blocks.

    Both sinks begin at one offset, so the archive's origin tells it where the note is missing.
    """
    ranges = spans.ranges(registration.plan, registration.incarnation, chain.partition)
    began = ranges[-1].start if ranges else chain.origin()
    if began is None:
        raise ResetRefused(
            f"There is no note of where the counters of partition {chain.partition} began.",
            way_out="Restore the store from a backup that has its control table.",
        )
    return began


def _refuse_other_log(ground: Ground, log: LogView) -> None:
    """A reset must not hide that the log was cut: it is looked at where the counters stand now."""
    position, bounds = ground.position, ground.log
    where = f"The counters of partition {ground.partition} stand at {position.position}"
    way_out = "Find out what the brokers lost (unclean leader election?) before anything else."
    if position.position < bounds.start:
        raise ResetRefused(
            f"{where}, but retention removed everything below {bounds.start}.",
            way_out="Record the loss: flurry-fast gap record.",
        )
    if position.position > bounds.end:
        raise ResetRefused(f"{where}, but the log ends at {bounds.end}: it was truncated.", way_out=way_out)
    if position.crc is None or position.position == bounds.start:
        return  # nothing to compare, or retention has just taken it
    if log.record(ground.partition, position.position - 1).crc != position.crc:
        raise ResetRefused(
            f"{where}, and the record before is another one than was counted: the log was truncated or replaced.",
            way_out=way_out,
        )


def _refuse(ground: Ground, offset: int) -> None:
    """What a reset must not do, whoever asks."""
    number, position = ground.partition, ground.position.position
    down = "--to-earliest goes as far down as can be."
    if offset > position:
        raise ResetRefused(
            f"Partition {number} can not be reset upwards, from {position} to {offset}: the records between would be"
            " missing from the counters, and nobody would know.",
            way_out="Where retention removed them, record that: flurry-fast gap record.",
        )
    if offset < ground.log.start:
        raise ResetRefused(
            f"Partition {number} can not be reset to {offset}: its log begins at {ground.log.start}.", way_out=down
        )
    if offset < ground.began:
        raise ResetRefused(
            f"Partition {number} can not be reset to {offset}: this plan counts it from {ground.began} on.",
            way_out=down,
        )


def _highest_time(ground: Ground, chain: Chain, log: LogView, first: int, offset: int, *, needed: bool) -> int:
    highest = highest_below(chain, log, first, offset)
    if highest is None and needed:
        raise ResetRefused(
            f"Partition {ground.partition} can not be reset to {offset}: the highest Kafka time below it, which"
            " deduplication needs, is neither in the archive nor in the log any more.",
            way_out="Stay where it is; a fence alone (flurry-fast positions fence) needs no times.",
        )
    return log.max_timestamp(ground.partition, ground.log.start, offset) if highest is None else highest
