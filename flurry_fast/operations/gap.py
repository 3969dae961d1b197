"""Recording a gap: records that retention removed before they were counted or archived.

They are lost; what can be had is that everybody knows. The archive's chain goes on with a file without rows that says
why; the counters go on at the log's start with M unknown, so that no stored block is ever taken to be absent again;
and a cell in the control table lets readers say which totals are lower bounds.

Do this with the group empty, and after the store's write time-out: a write of a process that had read more could else
make two blocks of one end differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from flurry_fast import trials
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.writer import record_gap
from flurry_fast.errors import FlurryFastError
from flurry_fast.gaps import Gap, put_gap
from flurry_fast.operations.generation import Key, draw_stride, positions, renew
from flurry_fast.operations.ports import Chains, LogView
from flurry_fast.operations.reset import setting
from flurry_fast.positions import CountersPosition
from flurry_fast.registry import Registration, Registry, State, plans
from flurry_fast.stores.base import CellStore


class NoSuchPartition(FlurryFastError):
    """Nothing of that partition was ever counted or archived here."""


@dataclass(frozen=True)
class Loss:
    """What retention took of one partition. `log_start`: where its log begins now.

    `counters`: the position that lies below, `archive`: the end of the chain that does; None where it does not.
    """

    partition: int
    log_start: int
    counters: CountersPosition | None
    archive: int | None
    after: int  # Kafka's time (ms) of the log's first record; of now, where there is none


@dataclass(frozen=True)
class Losses:
    """What a recording will do; nothing was done yet."""

    registration: Registration
    state: State
    found: list[Loss] = field(default_factory=list)


def prepare(
    store: CellStore,
    registry: Registry,
    chains: Chains,
    log: LogView,
    now_ms: Callable[[], int],
    partitions: Collection[int] | None = None,
) -> Losses:
    """Look where retention was faster, in these partitions or in all of them.

    Changes nothing, but for what a killed command had decided. Raises NoSuchPartition, RegistryMismatch, StoreError,
    and what the log raises.
    """
    state = registry.settle()
    registration = registry.registered()
    assert state is not None  # registered() found it
    standing = positions(store, registry, state)
    losses = Losses(registration, state)
    for partition in sorted(range(registration.partitions) if partitions is None else partitions):
        counters = standing.get((registration.plan, registration.incarnation, partition))
        archive = chains(registration.incarnation, partition).locate()
        if partitions is not None and counters is None and archive is None:
            raise NoSuchPartition(f"Partition {partition} was neither counted nor archived yet.")
        bounds = log.bounds(partition)  # after the positions, which only grow
        behind = counters if counters is not None and counters.position < bounds.start else None
        end = archive.position if archive is not None and archive.position < bounds.start else None
        if behind is not None or end is not None:
            holds = bounds.start < bounds.end
            after = log.record(partition, bounds.start).timestamp if holds else now_ms()
            losses.found.append(Loss(partition, bounds.start, behind, end, after))
    return losses


def record(
    store: CellStore,
    registry: Registry,
    chains: Chains,
    losses: Losses,
    reason: str,
    stride: Callable[[], int] = draw_stride,
) -> State:
    """Record them: the archive's gaps, the cells that mark totals, then the positions, under a new generation.

    A process that dies at any instruction is continued by `prepare` and `record` again: what is recorded is found.
    The state in force afterwards: another generation where counters were moved. Raises RegistryMismatch when
    anything was changed since `prepare`, StoreError.
    """
    registration, state = losses.registration, losses.state
    toml = plans(store)[registration.plan]
    moved: dict[Key, CountersPosition] = {}
    registry.verify(registration)
    for loss in losses.found:
        chain = chains(registration.incarnation, loss.partition)
        if loss.archive is not None:
            _archive_gap(chain, loss.log_start, reason, lambda: registry.verify(registration))
        if loss.counters is not None:
            put_gap(store, _gap(registration, toml, loss, loss.counters, reason))
            max_bucket = loss.counters.max_bucket if trials.seeded("gap_keeps_m") else None
            after = CountersPosition(loss.log_start, max_bucket, None, loss.counters.max_timestamp)
            moved[registration.plan, registration.incarnation, loss.partition] = after
    return renew(store, registry, state, moved, stride) if moved else state


def _archive_gap(chain: Chain, log_start: int, reason: str, verify: Callable[[], None]) -> None:
    """Claim what is missing below the log's start. Who is faster, with records that he still had, is welcome."""
    position = chain.locate()
    while position is not None and position.position < log_start:
        position = record_gap(chain, position.position, log_start, reason, verify).position


def _gap(registration: Registration, toml: str, loss: Loss, counters: CountersPosition, reason: str) -> Gap:
    return Gap(
        incarnation=registration.incarnation,
        partition=loss.partition,
        start=counters.position,
        end=loss.log_start,
        plan=registration.plan,
        before=counters.max_timestamp if counters.max_timestamp >= 0 else None,
        after=loss.after,
        max_age=setting(toml, "time.max_age_ms"),
        max_ahead=setting(toml, "time.max_ahead_ms"),
        reason=reason,
    )
