"""A new generation: the one step that makes a reset, a gap or a restore take effect.

The positions of the topic are written anew under a generation that nobody used before, all of them; then one put of
the registry's state switches everybody at once. Whatever still runs with the old generation finds at its next
registry read that it is over; what it writes until then under the old generation nobody reads.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping

from flurry_fast.positions import (
    POSITIONS_ROW,
    CountersPosition,
    PositionTable,
    decode_position,
    parse_control_qualifier,
)
from flurry_fast.registry import Registry, State
from flurry_fast.stores.base import CellStore

STRIDE = 2**16

Key = tuple[int, int, int]  # plan, incarnation, partition


def draw_stride() -> int:
    """How far above the highest known generation the next one is: at random, from 1 on.

    A restored control table has forgotten the generations after its backup. With the next number a process that
    slept through the restore could find its own generation again.
    """
    return 1 + secrets.randbelow(STRIDE)


def positions(store: CellStore, registry: Registry, state: State) -> dict[Key, CountersPosition]:
    """Every position of the topic under the state's generation, by plan, incarnation and partition."""
    incarnations = set(registry.incarnations())
    found = {}
    for qualifier, cell in store.scan_control(POSITIONS_ROW).items():
        plan, incarnation, partition, generation = parse_control_qualifier(qualifier)
        if generation == state.generation and incarnation in incarnations:
            found[plan, incarnation, partition] = decode_position(cell.value, cell.timestamp, store.store_id)
    return found


def renew(
    store: CellStore,
    registry: Registry,
    state: State,
    moved: Mapping[Key, CountersPosition],
    stride: Callable[[], int] = draw_stride,
) -> State:
    """Begin a new generation, in which the positions of `moved` are these, and all others what they were.

    Raises RegistryMismatch when `state` is not in force any more; then, and at a crash before the last put, the old
    generation stays in force, and the cells that were written belong to one that never will be.
    """
    generation = _highest(store, state) + stride()
    for key, position in (positions(store, registry, state) | dict(moved)).items():
        plan, incarnation, partition = key
        PositionTable(store, plan=plan, incarnation=incarnation, generation=generation).put(partition, position)
    return registry.replace(state, dataclasses.replace(state, generation=generation))


def _highest(store: CellStore, state: State) -> int:
    """The highest generation that any position of the store has, whoever's it is."""
    cells = store.scan_control(POSITIONS_ROW)
    return max(state.generation, *(parse_control_qualifier(qualifier)[3] for qualifier in cells), 0)
