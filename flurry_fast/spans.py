"""Which plan counted which offsets.

A plan is open from one registry revision to another; for each partition that is a range of offsets. The first plan
begins where the counters began. A switch ends one plan and begins the next at the same offset X. A plan that was
switched to twice has two ranges; what lies between is in none of its blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flurry_fast.positions import BEGAN_ROW, POSITIONS_ROW, decode_position, parse_control_qualifier
from flurry_fast.registry import Registry, State
from flurry_fast.stores.base import CellStore

Place = tuple[int, int]  # incarnation, partition
Column = tuple[int, int, int]  # plan, incarnation, partition


class Range(NamedTuple):
    """Offsets start <= o < end; `end` None: the plan is still open there, or its log was gone when it was closed."""

    start: int
    end: int | None

    def holds(self, block_end: int) -> bool:
        """Whether a block of the plan may end there."""
        return self.start < block_end and (self.end is None or block_end <= self.end)


@dataclass(frozen=True)
class Span:
    """A time during which a plan was open. `begins` and `ends`: the X of the switches before and after it, where the
    counters had begun then. `ended`: the incarnation that was there when it ended, None while it is open."""

    plan: int
    opened: State
    closed: State | None = None
    begins: Mapping[Place, int] = field(default_factory=dict)
    ends: Mapping[Place, int] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()


class Spans:
    """All spans of one topic, as they were when this was made. Reads the control table; raises as the store does."""

    def __init__(self, store: CellStore, registry: Registry) -> None:
        states, incarnations = registry.history(), set(registry.incarnations())
        self.all = _spans(states, registry.plan_ends())
        self._began = _began(store, incarnations)
        self._standing = _standing(store, incarnations, states[-1].generation if states else 0)

    def of(self, plan: int) -> list[Span]:
        """The times during which a plan was open, in order."""
        return [span for span in self.all if span.plan == plan]

    def ranges(self, plan: int, incarnation: int, partition: int, *, origin: int | None = None) -> list[Range]:
        """What a plan counted of a partition, in order; empty: nothing.

        `origin`: where the archive of the partition begins. Counters that began at the same time, in a process that
        died before it noted that, began there.
        """
        place = (incarnation, partition)
        began = self._began.get((plan, *place), origin if (plan, *place) in self._standing else None)
        found: list[Range] = []
        for span in self.of(plan):
            start = span.begins.get(place, began)
            if start is None or (found and found[-1].end is None):
                continue
            if span.closed is None or incarnation not in span.ended:
                found.append(Range(start, None))
            elif place in span.ends:
                found.append(Range(start, span.ends[place]))
        return found

    def positions(self) -> dict[Column, int]:
        """Where the counters of every column stand: of a plan that is closed, where it was closed."""
        found = {}
        for (plan, *place), position in self._standing.items():
            spans = self.of(plan)
            if spans:  # else a switch to it was taken back
                last = spans[-1].ends.get((place[0], place[1]))
                found[plan, place[0], place[1]] = position if last is None else min(position, last)
        return found


def _began(store: CellStore, incarnations: Container[int]) -> dict[Column, int]:
    """Where each plan's counters began first, of a topic's incarnations."""
    prefix, found = b"counters|", {}
    for name, cell in store.scan_control(BEGAN_ROW).items():
        if name.startswith(prefix):
            plan, incarnation, partition, _ = parse_control_qualifier(name.removeprefix(prefix))
            if incarnation in incarnations:
                found[plan, incarnation, partition] = cell.timestamp
    return found


def _standing(store: CellStore, incarnations: Container[int], generation: int) -> dict[Column, int]:
    """The positions in force. What no reset moved into the generation of today stands where it stood before."""
    newest: dict[Column, tuple[int, int]] = {}
    for name, cell in store.scan_control(POSITIONS_ROW).items():
        plan, incarnation, partition, its_generation = parse_control_qualifier(name)
        if incarnation in incarnations and its_generation <= generation:
            position = decode_position(cell.value, cell.timestamp, store.store_id).position
            column = (plan, incarnation, partition)
            newest[column] = max((its_generation, position), newest.get(column, (0, 0)))
    return {column: position for column, (_, position) in newest.items()}


def _spans(states: Sequence[State], recorded: Mapping[tuple[int, int], Mapping[int, int]]) -> list[Span]:
    if not states:
        return []
    found: list[Span] = []
    opened, begins = states[0], dict[Place, int]()
    for before, after in itertools.pairwise(states):
        if after.plan == before.plan:
            continue
        mine = {incarnation: ends for (revision, incarnation), ends in recorded.items() if revision == before.revision}
        ends = {(incarnation, number): end for incarnation, of in mine.items() for number, end in of.items()}
        found.append(Span(opened.plan, opened, after, begins, ends, frozenset(mine)))
        opened, begins = after, ends
    return [*found, Span(opened.plan, opened, begins=begins)]
