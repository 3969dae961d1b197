"""The registry: what this installation is counting, in the control table beside the counters.

It names the topic's incarnations, the generation (bumped by every restore and reset) and the open plan. Between the
freezing of a snapshot and its first put, and before every archive claim, `Registry.verify` reads it once, together
with the topic's identity from the broker. That one read keeps out a process of an old plan, of a table that was
restored under it, or of a topic that was deleted and made again; no other fencing is needed (docs/exactness.md).

The state is one cell. What changes it (a reset, a plan switch) claims the next revision first, under a name that only
one can have; so states follow each other in one order, whoever gives commands at once, and all of them are kept.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flurry_fast import trials
from flurry_fast.errors import RegistryMismatch, StoreCorrupt
from flurry_fast.positions import PositionTable
from flurry_fast.stores.base import INSTALLATION, CellStore

STATE = b"state"
PLANS_ROW = b"plan"
SECRET_BYTES = 16
_REVISION = struct.Struct(">Q")
_ENDS = struct.Struct(">QI")  # revision, incarnation


@dataclass(frozen=True)
class State:
    """The one cell that is read before a put. `revision` is its timestamp, one higher at each change.

    `closing`: a plan switch is under way, to this plan; None: none is. `at_ms`: when it came into force by the
    operator's clock (ms), for people only; None where nobody looked.
    """

    revision: int
    generation: int
    plan: int
    closing: int | None = None
    at_ms: int | None = field(default=None, compare=False)


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
    revision: int = 1


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
        incarnation = self._incarnation()
        fresh = State(revision=1, generation=0, plan=plan)
        cell = self._store.put_control_if_absent(self._row, STATE, fresh.revision, _encode(fresh))
        state = _decode(cell.value, cell.timestamp)
        self._refuse_other_plan(state, plan)
        self.add_plan(plan, plan_toml)
        qualifier = b"incarnation|" + incarnation.to_bytes(4, "big")
        known = self._store.get_control(self._row, qualifier)
        count = self._store.put_control_if_absent(self._row, qualifier, 1, partitions.to_bytes(4, "big"))
        before = int.from_bytes(count.value, "big")
        if before != partitions:
            raise RegistryMismatch(
                f"Topic {self._topic} has {partitions} partitions and had {before}: its keys now meet other ones.",
                way_out="Do not grow a topic: make a new one, and let this one run dry.",
            )
        return self._registration(state, incarnation, partitions, new_incarnation=known is None)

    def registered(self, *, closing: bool = False) -> Registration:
        """What a process that starts now would be given; nothing is written.

        `closing`: what the one process is given that runs a plan to its end. Raises RegistryMismatch when this topic
        was never counted here, or a plan switch is under way (with `closing`: when none is).
        """
        incarnation = self._incarnation()
        state = self.state()
        count = self.partitions(incarnation)
        if state is None or count is None:
            raise RegistryMismatch(
                f"Topic {self._topic}, as it is now, was never counted in this store.",
                way_out="Is this the store, and is it the broker, of that topic?",
            )
        if not closing:
            self._refuse_other_plan(state, state.plan)
        elif state.closing is None:
            raise RegistryMismatch(f"No plan switch of topic {self._topic} is under way any more.")
        return self._registration(state, incarnation, count, new_incarnation=False)

    def state(self) -> State | None:
        """Generation and open plan; None before the first start."""
        cell = self._store.get_control(self._row, STATE)
        return None if cell is None else _decode(cell.value, cell.timestamp)

    def verify(self, registration: Registration) -> None:
        """The one read before the first put of a flush and before every claim.

        Raises RegistryMismatch when anything is not what this process started with: its unwritten state must be
        dropped. Other exceptions (store or broker unreachable) say nothing: try again.
        """
        trials.fail_point("registry.verify.before")
        incarnation = self._incarnation()
        if incarnation != registration.incarnation:
            raise RegistryMismatch(
                f"Topic {self._topic} was deleted and made again while this process was reading it.",
                way_out="Start it again: the new topic is counted in columns of its own.",
            )
        trials.fail_point("registry.verify.inside")
        state = self.state()
        if state is None:
            raise RegistryMismatch(f"The registry of topic {self._topic} is gone from the store.")
        started = (registration.revision, registration.generation, registration.plan)
        if (state.revision, state.generation, state.plan) != started and not _overlooked(state, registration):
            raise self._changed(state, registration)
        trials.fail_point("registry.verify.after")

    # --- changing it ---------------------------------------------------------------------------------------------

    def replace(self, before: State, after: State, at_ms: int | None = None) -> State:
        """Put `after` in the place of `before`: the one put with which an operation takes effect; what was put.

        `after.revision` is ignored: it is the next one. Safe to repeat, and beside others: the revision is claimed
        first, and whoever finds it claimed puts what was claimed. Raises RegistryMismatch when the state is not
        `before` any more, or somebody else's state got there first.
        """
        after = dataclasses.replace(after, revision=before.revision + 1, at_ms=at_ms)
        cell = self._store.get_control(self._row, STATE)
        if cell is not None and _decode(cell.value, cell.timestamp) == before:
            self._claim(before.revision, cell.value)  # the first one was put without a claim
            if self._claim(after.revision, _encode(after)) == after:
                return after
        raise RegistryMismatch(
            f"The registry of topic {self._topic} was changed by somebody else meanwhile.",
            way_out="Nothing took effect: look at it, and give the command again.",
        )

    def settle(self) -> State | None:
        """Put what a command claimed and, killed, did not put; the state in force then.

        A claim is decided: whoever changes the state next would put it. An operation that begins does so first.
        """
        state = self.state()
        while state is not None:
            name = STATE + b"|" + _REVISION.pack(state.revision + 1)
            if self._store.get_control(self._row, name) is None:
                break
            state = self._claim(state.revision + 1, b"")  # whose value is not ours to choose any more
        return state

    def confirm(self, state: State) -> None:
        """Put a state that `replace` put once more: whoever reads after this sees it, or a later one."""
        self._claim(state.revision, _encode(state))

    def _claim(self, revision: int, value: bytes) -> State:
        """Whatever has the revision is put, and returned."""
        qualifier = STATE + b"|" + _REVISION.pack(revision)
        cell = self._store.put_control_if_absent(self._row, qualifier, revision, value)
        self._store.put_control(self._row, STATE, revision, cell.value)
        return _decode(cell.value, revision)

    def add_plan(self, plan: int, plan_toml: str) -> None:
        """Keep a plan's text for readers; nothing is counted with it by that."""
        self._store.put_control_if_absent(PLANS_ROW, plan.to_bytes(4, "big"), 1, plan_toml.encode())

    def end_plan(self, state: State, incarnation: int, ends: Mapping[int, int]) -> dict[int, int]:
        """Record, once, where a plan that is being closed ends: partition -> X; what is recorded now.

        `state` is the closing state: another switch has another one, so an X is never taken for a later one's.
        """
        qualifier = b"ends|" + _ENDS.pack(state.revision, incarnation)
        value = _seal({str(partition): end for partition, end in ends.items()})
        return _ends(self._store.put_control_if_absent(self._row, qualifier, state.revision, value).value)

    # --- what it knows -------------------------------------------------------------------------------------------

    def history(self) -> list[State]:
        """Every state that there was, in order; the last is in force. Empty before the first start."""
        cells = self._store.scan_control(self._row)
        last = cells[STATE].timestamp if STATE in cells else 0
        found = {
            cell.timestamp: _decode(cell.value, cell.timestamp)
            for name, cell in cells.items()
            if (name == STATE or name.startswith(STATE + b"|")) and cell.timestamp <= last
        }
        return [found[revision] for revision in sorted(found)]

    def plan_ends(self) -> dict[tuple[int, int], dict[int, int]]:
        """What `end_plan` recorded: (revision of the closing state, incarnation) -> partition -> X."""
        prefix = b"ends|"
        cells = self._store.scan_control(self._row)
        return {
            _ENDS.unpack(name.removeprefix(prefix)): _ends(cell.value)
            for name, cell in cells.items()
            if name.startswith(prefix)
        }

    def partitions(self, incarnation: int) -> int | None:
        """How many partitions that incarnation has; None if it was never counted here."""
        cell = self._store.get_control(self._row, b"incarnation|" + incarnation.to_bytes(4, "big"))
        return None if cell is None else int.from_bytes(cell.value, "big")

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

    def _incarnation(self) -> int:
        incarnation = self._identify()
        known = self.incarnations() if trials.seeded("recreated_topic_continued") else []
        return known[0] if known else incarnation

    @property
    def _row(self) -> bytes:
        return b"topic|" + self._topic.encode()

    def _registration(self, state: State, incarnation: int, partitions: int, *, new_incarnation: bool) -> Registration:
        return Registration(
            topic=self._topic,
            incarnation=incarnation,
            partitions=partitions,
            generation=state.generation,
            plan=state.plan,
            store_id=self._store.store_id,
            secret=secret(self._store),
            new_incarnation=new_incarnation,
            revision=state.revision,
        )

    def _refuse_other_plan(self, state: State, plan: int) -> None:
        if state.closing is not None:
            raise self._closing(state)
        if state.plan != plan:
            raise RegistryMismatch(
                f"Topic {self._topic} is counted with plan {state.plan:08x}, this process has plan {plan:08x}.",
                way_out="Set plan.path to that plan (`flurry-fast plan show --toml`), or switch to this one"
                " (`flurry-fast plan switch`).",
            )

    def _changed(self, state: State, registration: Registration) -> RegistryMismatch:
        """Why a process that started with `registration` may not write any more."""
        if state.generation != registration.generation:
            return RegistryMismatch(
                f"The store was restored or its positions were reset (generation {state.generation}, this process"
                f" started with {registration.generation}).",
                way_out="Start it again: it goes on from the recorded positions.",
            )
        if state.closing is not None:
            return self._closing(state)
        if state.plan != registration.plan:
            return RegistryMismatch(
                f"Topic {self._topic} was switched to plan {state.plan:08x}, this process has plan"
                f" {registration.plan:08x}.",
                way_out="Start it again with that plan in plan.path.",
            )
        return RegistryMismatch(
            f"The plan of topic {self._topic} was closed while this process ran, and opened again.",
            way_out="Start it again: it goes on from the recorded positions.",
        )

    def _closing(self, state: State) -> RegistryMismatch:
        return RegistryMismatch(
            f"Topic {self._topic} is being switched from plan {state.plan:08x} to {state.closing:08x}: until that is"
            " done nobody counts.",
            way_out="Finish the switch with the same `flurry-fast plan switch FILE`, or take it back with --abort.",
        )


def _overlooked(state: State, registration: Registration) -> bool:
    """For seeded bugs: a change that does not stop the process."""
    renewed, closing = state.generation != registration.generation, state.closing is not None
    return (renewed and trials.seeded("generation_unchecked")) or (closing and trials.seeded("closing_ignored"))


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
    fields = {"generation": state.generation, "plan": state.plan, "closing": state.closing, "at_ms": state.at_ms}
    return _seal(fields)


def _decode(value: bytes, revision: int) -> State:
    fields = _open(value)
    closing, at_ms = fields["closing"] or None, fields.get("at_ms")
    return State(revision, int(fields["generation"]), int(fields["plan"]), closing, at_ms)


def _ends(value: bytes) -> dict[int, int]:
    return {int(partition): int(end) for partition, end in _open(value).items()}


def _seal(fields: Mapping[str, Any]) -> bytes:
    body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return zlib.crc32(body).to_bytes(4, "big") + body


def _open(value: bytes) -> dict[str, Any]:
    body = value[4:]
    if len(value) < 4 or zlib.crc32(body) != int.from_bytes(value[:4], "big"):
        raise StoreCorrupt("The registry of the topic in the control table is damaged (its CRC does not match).")
    fields: dict[str, Any] = json.loads(body)
    return fields
