"""Switching plans: the old plan counts every partition up to an offset X, the new one counts from X on.

1. *Close.* The registry's state says that the plan is being closed, and for which. From here on nobody but the runner
   of step 3 gets past the registry read that precedes every write.
2. *End.* X is where the log of each partition ends now, recorded once. Whoever still writes froze what it writes before
   it read the registry, and read the registry before it was closed: that ends at X or below. So no process of the old
   plan, however late it wakes up, can write a cell above X.
3. *Run.* A bounded consumer counts with the old plan to exactly X.
4. *Place.* The new plan's positions are put at X, with the highest bucket, the CRC and the highest timestamp carried
   over.
5. *Open.* One put of the state: the new plan is open, and counts from X.

Until step 5 nothing has taken effect but that nobody counts; `abort` puts the old plan back. Every step may be
repeated: a process that dies at any instruction is continued by the same command.

A plan that was closed may be opened again: its blocks go on from what they hold, and what lies between is never in
them. A partition that the old plan never began has no X; the new plan begins it as on any first start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from flurry_fast import trials
from flurry_fast._core import Plan, PlanError, Rollup
from flurry_fast.errors import FlurryFastError, PositionMissing, PositionOutsideLog, StoreCorrupt
from flurry_fast.positions import NO_BUCKET, POSITIONS_ROW, CountersPosition, decode_position, parse_control_qualifier
from flurry_fast.registry import Registration, Registry, State, plans
from flurry_fast.sinks.counters import CountersSink
from flurry_fast.stores.base import CellStore

Step = Literal["close", "end", "run", "place", "open"]
Runner = Callable[[Plan, Registration, Mapping[int, int]], None]
"""Counts with a plan, as a registration allows, until the counters stand at the given offsets; may return early."""


class SwitchRefused(FlurryFastError):
    """This switch can not be, or not now; nothing was changed."""


class SwitchUnfinished(FlurryFastError):
    """It was interrupted; the same command goes on from there."""


@dataclass(frozen=True)
class Seams:
    """What a switch works on. `log_end(partition)` asks the broker for the next offset to be written; `now_ms` is the
    operator's clock; `tell(step, ends)` hears of each step that is done, with what is known of X by then."""

    store: CellStore
    registry: Registry
    log_end: Callable[[int], int]
    run: Runner
    now_ms: Callable[[], int]
    tell: Callable[[Step, Mapping[int, int]], None] = lambda _step, _ends: None


@dataclass(frozen=True)
class Target:
    """The plan to be opened. Without its text (None) everything is done but the opening: a version of this software
    that counts the text as that plan goes on from there."""

    plan: int
    toml: str | None


@dataclass(frozen=True)
class Outlook:
    """What a switch would do, or how far one is; nothing was done yet.

    `open`: nothing to do, the plan is the open one. `under_way`: a switch to it was begun. `positions`: where the old
    plan stands, by partition; `ends`: X, where it is recorded already.
    """

    state: State
    open: bool
    under_way: bool
    registration: Registration | None = None
    positions: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)


def look(store: CellStore, registry: Registry, target: Target) -> Outlook:
    """What `switch` would do. Reads only; raises as it does before the first step."""
    state = _counted(registry.state())
    under_way = state.closing is not None
    if state.plan == target.plan and not under_way:
        return Outlook(state, open=True, under_way=False)
    _refuse(store, state, target)
    registration = registry.registered(closing=under_way)
    recorded = registry.plan_ends().get((state.revision, registration.incarnation), {})
    standing = {number: old.position for number, old in _standing(registry, registration).items()}
    return Outlook(state, False, under_way, registration, standing, recorded if under_way else {})


def switch(seams: Seams, target: Target) -> State:
    """Close the open plan, and open the target; the state that is in force then.

    Blocks as long as the old plan takes to count what is left. Raises SwitchRefused when another switch is under way
    or the plan can not be opened here, SwitchUnfinished when the runner returned early, PositionMissing when a position
    was lost, RegistryMismatch when somebody changed the registry meanwhile; what store, broker and runner raise.
    """
    registry = seams.registry
    state = _counted(registry.settle())
    if state.plan == target.plan and state.closing is None:
        return state
    _refuse(seams.store, state, target)
    state = _close(seams, state, target.plan)
    seams.tell("close", {})
    registration = registry.registered(closing=True)
    ends = _end(seams, state, registration)
    seams.tell("end", ends)
    old = _run(seams, state, registration, ends)
    seams.tell("run", ends)
    _place(seams, registration, target.plan, old)
    seams.tell("place", ends)
    if target.toml is None:
        return state
    registry.add_plan(target.plan, target.toml)
    registry.verify(registration)  # the topic, too, is still the one whose ends were recorded
    state = registry.replace(state, dataclasses.replace(state, plan=target.plan, closing=None), seams.now_ms())
    seams.tell("open", ends)
    return state


def abort(registry: Registry, now_ms: Callable[[], int]) -> State:
    """Take back a switch that has not opened its plan yet: the old plan goes on, past X. The state in force then.

    What was recorded of X and of the new plan's positions stays, and counts for nothing. Raises SwitchRefused when no
    switch is under way, RegistryMismatch when it was finished at this moment.
    """
    state = _counted(registry.settle())
    if state.closing is None:
        raise SwitchRefused(f"No plan switch is under way: plan {state.plan:08x} is open.")
    return registry.replace(state, dataclasses.replace(state, closing=None), now_ms())


# --- the steps -------------------------------------------------------------------------------------------------------


def _close(seams: Seams, state: State, target: int) -> State:
    if state.closing is None:
        return seams.registry.replace(state, dataclasses.replace(state, closing=target), seams.now_ms())
    seams.registry.confirm(state)  # seen is not acknowledged: X is read only when everybody else must see it, too
    return state


def _end(seams: Seams, state: State, registration: Registration) -> dict[int, int]:
    registry = seams.registry
    recorded = registry.plan_ends().get((state.revision, registration.incarnation))
    if recorded is not None:
        return recorded
    ends = {}
    for partition, old in _standing(registry, registration).items():
        ends[partition] = seams.log_end(partition) if not trials.seeded("x_at_position") else old.position
        if ends[partition] < old.position:
            raise PositionOutsideLog(
                f"The counters of partition {partition} stand at {old.position}, the log ends at {ends[partition]}: it"
                " was truncated.",
                way_out="Take the switch back (--abort); find out what the brokers lost before anything else.",
            )
    registry.verify(registration)  # it was this topic that ended there
    return registry.end_plan(state, registration.incarnation, ends)


def _run(
    seams: Seams, state: State, registration: Registration, ends: Mapping[int, int]
) -> dict[int, CountersPosition]:
    """The old plan's positions, all of them at their ends."""
    registry = seams.registry
    old = _standing(registry, registration)
    if any(old[partition].position < end for partition, end in ends.items()):
        seams.run(_runnable(seams.store, state), registration, ends)
        old = _standing(registry, registration)
    registry.verify(registration)  # nobody took the switch back, or finished it and went on
    left = {partition: end - old[partition].position for partition, end in ends.items()}
    for partition, count in left.items():
        if count < 0:
            raise StoreCorrupt(
                f"Partition {partition} was counted up to {old[partition].position} under plan {state.plan:08x}, which"
                f" ends at {ends[partition]}."
            )
    if any(left.values()):
        raise SwitchUnfinished(
            f"Plan {state.plan:08x} has {sum(left.values()):,} records left to count before it ends.",
            way_out="Nothing is lost: the same command goes on from there.",
        )
    return {partition: old[partition] for partition in ends}


def _place(seams: Seams, registration: Registration, plan: int, old: Mapping[int, CountersPosition]) -> None:
    table = seams.registry.positions(dataclasses.replace(registration, plan=plan))
    earlier = _highest_buckets(seams.store, plan, registration.incarnation)
    for partition, end in old.items():
        there = table.get(partition)
        if there is None or there.position < end.position:
            bucket = _higher(end.max_bucket, earlier.get(partition, NO_BUCKET))
            if trials.seeded("switch_forgets_m"):
                bucket = NO_BUCKET
            table.put(partition, dataclasses.replace(end, max_bucket=bucket))
        table.note_began(CountersSink.name, partition, end.position)


# --- what they look at -----------------------------------------------------------------------------------------------


def _counted(state: State | None) -> State:
    if state is None:
        raise SwitchRefused(
            "Nothing was counted for this topic yet, so there is no plan to switch from.",
            way_out="Set plan.path to the new plan, and start `flurry-fast consume`.",
        )
    return state


def _refuse(store: CellStore, state: State, target: Target) -> None:
    if state.closing is not None and state.closing != target.plan:
        raise SwitchRefused(
            f"A switch from plan {state.plan:08x} to {state.closing:08x} is under way.",
            way_out=f"Finish it with the file of plan {state.closing:08x}, or take it back with"
            " `flurry-fast plan switch --abort`.",
        )
    if state.closing is None:
        _runnable(store, state)
    if target.toml is not None:
        _refuse_redefinition(store, Plan.parse(target.toml))


def _refuse_redefinition(store: CellStore, plan: Plan) -> None:
    """Readers sum a rollup over plans by its name: the name stands for the same dimensions for good."""
    known: dict[str, tuple[int, list[str]]] = {}
    for number, toml in plans(store).items():
        known |= {rollup.name: (number, rollup.dimensions) for rollup in _rollups(toml)}
    for rollup in plan.rollups:
        number, dimensions = known.get(rollup.name, (plan.id, rollup.dimensions))
        if dimensions != rollup.dimensions:
            raise SwitchRefused(
                f"Rollup {rollup.name} of plan {number:08x} has dimensions {', '.join(dimensions) or 'none'}, here it"
                f" has {', '.join(rollup.dimensions) or 'none'}: readers could not sum them.",
                way_out="Give the rollup another name.",
            )


def _rollups(toml: str) -> list[Rollup]:
    try:
        return Plan.parse(toml).rollups
    except PlanError:  # of another version of this software
        return []


def _runnable(store: CellStore, state: State) -> Plan:
    """The open plan, if this version counts what its text says in the way the plan's id stands for."""
    toml = plans(store).get(state.plan)
    if toml is None:
        raise SwitchRefused(
            f"The store does not have the text of plan {state.plan:08x}: its first consumer died at its start.",
            way_out="Start `flurry-fast consume` with it once more.",
        )
    plan = Plan.registered(toml, state.plan)
    if not plan.current:
        raise SwitchRefused(
            f"Plan {state.plan:08x} was counted by the rules of another version, for which this one has plan"
            f" {Plan.parse(toml).id:08x}: it can not run the old one to its end.",
            way_out="Give `flurry-fast plan switch --hand-over ID` to the version that counted so far, then this"
            " command again.",
        )
    return plan


def _standing(registry: Registry, registration: Registration) -> dict[int, CountersPosition]:
    """Where the counters stand in every partition that they began."""
    table = registry.positions(registration)
    found = {}
    for partition in range(registration.partitions):
        position = table.get(partition)
        if position is not None:
            found[partition] = position
        elif table.began(CountersSink.name, partition) is not None:
            raise PositionMissing(
                f"The counters of partition {partition} began once, and their position is gone.",
                way_out="Restore the store from a backup that has its control table.",
            )
    return found


def _highest_buckets(store: CellStore, plan: int, incarnation: int) -> dict[int, int | None]:
    """By partition: the highest bucket that a plan may have cells in, under whatever generation."""
    found: dict[int, int | None] = {}
    for qualifier, cell in store.scan_control(POSITIONS_ROW).items():
        its_plan, its_incarnation, partition, _ = parse_control_qualifier(qualifier)
        if (its_plan, its_incarnation) == (plan, incarnation):
            bucket = decode_position(cell.value, cell.timestamp, store.store_id).max_bucket
            found[partition] = _higher(found.get(partition, NO_BUCKET), bucket)
    return found


def _higher(one: int | None, other: int | None) -> int | None:
    """None, which is not known, is above everything."""
    return None if one is None or other is None else max(one, other)
