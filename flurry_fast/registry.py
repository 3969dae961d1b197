"""The registry: what this installation is counting, in the control table beside the counters.

It names the topic's incarnations, the generation (bumped by every restore and reset) and the open plan. Between the
freezing of a snapshot and its first put, and before every archive claim, `Registry.verify` reads it once, together
with the topic's identity from the broker. That one read keeps out a process of an old plan, of a table that was
restored under it, or of a topic that was deleted and made again; no other fencing is needed (docs/exactness.md).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from flurry_fast.errors import RegistryMismatch, StoreCorrupt
from flurry_fast.positions import PositionTable
from flurry_fast.stores.base import INSTALLATION, CellStore

STATE = b"state"
PLANS_ROW = b"plan"
SECRET_BYTES = 16


@dataclass(frozen=True)
class State:
    """The one cell that is read before a put. `revision` is its timestamp; `closing`: a plan switch is under way."""

    revision: int
    generation: int
    plan: int
    closing: bool = False


@dataclass(frozen=True)
class Registration:
    """What a process started with; every flush and claim is made only while all of it still holds.

    `secret` (16 bytes) keys session fingerprints and belongs to the installation, not to a plan.
    `new_incarnation`: this is the first process that meets this incarnation of the topic.
    """

    topic: str
    incarnation: int
    partitions: int
    generation: int
    plan: int
    store_id: bytes
    secret: bytes
    new_incarnation: bool


class Registry:
    """One topic's registry in one store. Each method is one or few store calls and blocks as they do; any thread."""

    def __init__(self, store: CellStore, topic: str, identify: Callable[[], int]) -> None:
        """`identify` asks the broker for the topic's incarnation, each time anew; it may block and raise."""
        self._store = store
        self._topic = topic
        self._identify = identify

    def open(self, plan: int, plan_toml: str, partitions: int) -> Registration:
        """Register what is absent, and refuse what does not fit.

        Raises RegistryMismatch for another plan than the open one, and for a topic whose partition count changed.
        """
        incarnation = self._identify()
        fresh = State(revision=1, generation=0, plan=plan)
        cell = self._store.put_control_if_absent(self._row, STATE, fresh.revision, _encode(fresh))
        state = _decode(cell.value, cell.timestamp)
        self._refuse_other_plan(state, plan)
        self._store.put_control_if_absent(PLANS_ROW, plan.to_bytes(4, "big"), 1, plan_toml.encode())
        qualifier = b"incarnation|" + incarnation.to_bytes(4, "big")
        known = self._store.get_control(self._row, qualifier)
        count = self._store.put_control_if_absent(self._row, qualifier, 1, partitions.to_bytes(4, "big"))
        before = int.from_bytes(count.value, "big")
        if before != partitions:
            raise RegistryMismatch(
                f"Topic {self._topic} has {partitions} partitions and had {before}: its keys now meet other ones.",
                way_out="Do not grow a topic: make a new one, and let this one run dry.",
            )
        return Registration(
            topic=self._topic,
            incarnation=incarnation,
            partitions=partitions,
            generation=state.generation,
            plan=plan,
            store_id=self._store.store_id,
            secret=secret(self._store),
            new_incarnation=known is None,
        )

    def state(self) -> State | None:
        """Generation and open plan; None before the first start."""
        cell = self._store.get_control(self._row, STATE)
        return None if cell is None else _decode(cell.value, cell.timestamp)

    def verify(self, registration: Registration) -> None:
        """The one read before the first put of a flush and before every claim.

        Raises RegistryMismatch when anything is not what this process started with: its unwritten state must be
        dropped. Other exceptions (store or broker unreachable) say nothing: try again.
        """
        incarnation = self._identify()
        if incarnation != registration.incarnation:
            raise RegistryMismatch(
                f"Topic {self._topic} was deleted and made again while this process was reading it.",
                way_out="Start it again: the new topic is counted in columns of its own.",
            )
        state = self.state()
        if state is None:
            raise RegistryMismatch(f"The registry of topic {self._topic} is gone from the store.")
        if state.generation != registration.generation:
            raise RegistryMismatch(
                f"The store was restored or its positions were reset (generation {state.generation}, this process"
                f" started with {registration.generation}).",
                way_out="Start it again: it goes on from the recorded positions.",
            )
        self._refuse_other_plan(state, registration.plan)

    def incarnations(self) -> list[int]:
        """Every incarnation of the topic that was ever counted here."""
        prefix = b"incarnation|"
        columns = self._store.scan_control(self._row)
        return [int.from_bytes(name.removeprefix(prefix), "big") for name in columns if name.startswith(prefix)]

    def positions(self, registration: Registration) -> PositionTable:
        """The positions that belong to this registration."""
        return PositionTable(
            self._store,
            plan=registration.plan,
            incarnation=registration.incarnation,
            generation=registration.generation,
        )

    @property
    def _row(self) -> bytes:
        return b"topic|" + self._topic.encode()

    def _refuse_other_plan(self, state: State, plan: int) -> None:
        if state.plan != plan:
            raise RegistryMismatch(
                f"Topic {self._topic} is counted with plan {state.plan:08x}, this process has plan {plan:08x}.",
                way_out="Set plan.path to that plan, or switch plans with the group empty (docs/exactness.md).",
            )
        if state.closing:
            raise RegistryMismatch(
                f"Plan {plan:08x} of topic {self._topic} is being closed.", way_out="Finish the plan switch first."
            )


def secret(store: CellStore) -> bytes:
    """The installation's secret, made when first asked for."""
    value = store.put_control_if_absent(INSTALLATION, b"secret", 1, os.urandom(SECRET_BYTES)).value
    if len(value) != SECRET_BYTES:
        raise StoreCorrupt("The installation's secret in the control table is damaged.")
    return value


def plans(store: CellStore) -> dict[int, str]:
    """Every plan that was ever registered in the store: id -> TOML."""
    cells = store.scan_control(PLANS_ROW)
    return {int.from_bytes(qualifier, "big"): cell.value.decode() for qualifier, cell in cells.items()}


def _encode(state: State) -> bytes:
    fields = {"generation": state.generation, "plan": state.plan, "closing": state.closing}
    body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return zlib.crc32(body).to_bytes(4, "big") + body


def _decode(value: bytes, revision: int) -> State:
    body = value[4:]
    if len(value) < 4 or zlib.crc32(body) != int.from_bytes(value[:4], "big"):
        raise StoreCorrupt("The registry's state in the control table is damaged (its CRC does not match).")
    fields = json.loads(body)
    return State(revision, int(fields["generation"]), int(fields["plan"]), bool(fields["closing"]))
