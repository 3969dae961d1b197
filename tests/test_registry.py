"""The registry: created once, the same for everybody, and read before every put."""

from __future__ import annotations

import dataclasses

import pytest

from flurry_fast.errors import RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.registry import STATE, Registry, State, plans, secret
from flurry_fast.stores import MemoryStore


class Topic:
    """The broker's answer."""

    def __init__(self) -> None:
        self.incarnation = 77

    def __call__(self) -> int:
        return self.incarnation


def test_the_first_process_registers_and_the_next_finds_the_same() -> None:
    store, topic = MemoryStore(), Topic()
    first = Registry(store, "reports", topic).open(5, "plan = 5", 8)
    second = Registry(store, "reports", topic).open(5, "# same plan, other words", 8)
    assert first.new_incarnation
    assert not second.new_incarnation
    assert (first.incarnation, first.generation, first.plan, first.store_id) == (77, 0, 5, store.store_id)
    assert first.secret == second.secret == secret(store)
    assert len(first.secret) == 16
    assert plans(store) == {5: "plan = 5"}
    Registry(store, "reports", topic).verify(first)
    assert Registry(store, "other", topic).state() is None


def test_an_unregistered_plan_stops_with_the_way_out() -> None:
    store, topic = MemoryStore(), Topic()
    Registry(store, "reports", topic).open(5, "", 8)
    with pytest.raises(RegistryMismatch, match=r"plan 00000005, this process has plan 00000006.*plan\.path"):
        Registry(store, "reports", topic).open(6, "", 8)
    assert plans(store) == {5: ""}


def test_a_topic_may_not_grow() -> None:
    store, topic = MemoryStore(), Topic()
    Registry(store, "reports", topic).open(5, "", 8)
    with pytest.raises(RegistryMismatch, match="has 9 partitions and had 8"):
        Registry(store, "reports", topic).open(5, "", 9)
    topic.incarnation = 78
    recreated = Registry(store, "reports", topic)
    assert recreated.open(5, "", 9).new_incarnation
    assert recreated.incarnations() == [77, 78]


def test_verify_notices_whatever_changed() -> None:
    store, topic = MemoryStore(), Topic()
    registry = Registry(store, "reports", topic)
    registration = registry.open(5, "", 8)
    topic.incarnation = 78
    with pytest.raises(RegistryMismatch, match="made again"):
        registry.verify(registration)
    topic.incarnation = 77
    registry.verify(registration)
    first = registry.state()
    assert first is not None
    closing = registry.replace(first, State(0, 0, 5, closing=6))
    with pytest.raises(RegistryMismatch, match=r"switched from plan 00000005 to 00000006.*--abort"):
        registry.verify(registration)
    back = registry.replace(closing, State(0, 0, 5))
    with pytest.raises(RegistryMismatch, match=r"closed while this process ran.*Start it again"):
        registry.verify(registration)
    opened = registry.replace(back, State(0, 0, 6))
    with pytest.raises(RegistryMismatch, match=r"switched to plan 00000006.*plan\.path"):
        registry.verify(registration)
    registry.replace(opened, State(0, 1, 5))
    with pytest.raises(RegistryMismatch, match="generation 1"):
        registry.verify(registration)
    assert registry.open(5, "", 8).generation == 1
    with pytest.raises(RegistryMismatch, match="gone"):
        Registry(MemoryStore(), "reports", topic).verify(registration)


def test_a_broker_that_does_not_answer_is_not_a_mismatch() -> None:
    def unreachable() -> int:
        raise StoreUnavailable("no broker")

    store = MemoryStore()
    registration = Registry(store, "reports", Topic()).open(5, "", 8)
    with pytest.raises(StoreUnavailable):
        Registry(store, "reports", unreachable).verify(registration)


def test_a_damaged_state_is_noticed() -> None:
    store = MemoryStore()
    store.put_control(b"topic|reports", STATE, 1, b"\0\0\0\0{}")
    with pytest.raises(StoreCorrupt, match="damaged"):
        Registry(store, "reports", Topic()).state()


def test_states_follow_each_other_in_one_order() -> None:
    store, topic = MemoryStore(), Topic()
    registry = Registry(store, "reports", topic)
    registry.open(5, "", 8)
    first = registry.state()
    assert first == State(1, 0, 5)
    closing = registry.replace(first, State(0, 0, 5, closing=6), at_ms=1000)
    assert (closing, closing.at_ms) == (State(2, 0, 5, closing=6), 1000)
    registry.confirm(closing)
    assert registry.state() == closing
    with pytest.raises(RegistryMismatch, match="changed by somebody else"):
        registry.replace(first, State(0, 1, 5))
    assert registry.state() == closing
    opened = registry.replace(closing, State(0, 0, 6))
    assert registry.history() == [first, closing, opened]
    assert Registry(store, "other", topic).history() == []


class DiesBeforeTheState(MemoryStore):
    """Lets a claim through, and nothing after it."""

    def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        if qualifier == STATE and timestamp > 1:
            raise StoreUnavailable("gone")
        super().put_control(row, qualifier, timestamp, value)


def test_a_change_that_died_half_way_is_finished_by_whoever_comes_next() -> None:
    store, topic = DiesBeforeTheState(), Topic()
    registry = Registry(store, "reports", topic)
    registry.open(5, "", 8)
    first = registry.state()
    assert first is not None
    with pytest.raises(StoreUnavailable):
        registry.replace(first, State(0, 0, 5, closing=6))
    assert registry.state() == first
    assert registry.history() == [first]
    store.__class__ = MemoryStore  # somebody else, with another wish
    with pytest.raises(RegistryMismatch, match="changed by somebody else"):
        registry.replace(first, State(0, 7, 5))
    assert registry.state() == State(2, 0, 5, closing=6)


def test_an_end_is_recorded_once_for_each_switch() -> None:
    store, topic = MemoryStore(), Topic()
    registry = Registry(store, "reports", topic)
    closing, later = State(2, 0, 5, closing=6), State(4, 0, 6, closing=5)
    assert registry.end_plan(closing, 77, {0: 10, 1: 0}) == {0: 10, 1: 0}
    assert registry.end_plan(closing, 77, {0: 12, 1: 3}) == {0: 10, 1: 0}
    assert registry.end_plan(closing, 78, {0: 1}) == {0: 1}
    assert registry.end_plan(later, 77, {0: 20, 1: 9}) == {0: 20, 1: 9}
    assert registry.plan_ends() == {(2, 77): {0: 10, 1: 0}, (2, 78): {0: 1}, (4, 77): {0: 20, 1: 9}}


def test_what_is_registered_depends_on_a_switch_being_under_way() -> None:
    store, topic = MemoryStore(), Topic()
    registry = Registry(store, "reports", topic)
    with pytest.raises(RegistryMismatch, match="never counted"):
        registry.registered()
    before = registry.open(5, "", 8)
    assert registry.registered() == dataclasses.replace(before, new_incarnation=False)
    with pytest.raises(RegistryMismatch, match="No plan switch"):
        registry.registered(closing=True)
    state = registry.state()
    assert state is not None
    registry.replace(state, State(0, 0, 5, closing=6))
    with pytest.raises(RegistryMismatch, match="being switched"):
        registry.registered()
    for plan in (5, 6):  # whoever starts now, with either plan
        with pytest.raises(RegistryMismatch, match="until that is done nobody counts"):
            registry.open(plan, "", 8)
    runner = registry.registered(closing=True)
    registry.verify(runner)
    assert (runner.plan, runner.revision) == (5, 2)


def test_what_a_killed_command_had_decided_is_put_by_the_next() -> None:
    class Dies(MemoryStore):
        """Its user is killed between the claim of a revision and the put of the state."""

        dead = False

        def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
            if self.dead and qualifier == STATE and timestamp > 1:
                raise StoreUnavailable("killed")
            super().put_control(row, qualifier, timestamp, value)

    store = Dies()
    registry = Registry(store, "reports", Topic())
    registry.open(5, "", 8)
    before = registry.settle()
    assert before is not None
    assert before == registry.state()
    store.dead = True
    with pytest.raises(StoreUnavailable):
        registry.replace(before, State(0, 9, 5))
    assert registry.state() == before
    store.dead = False
    assert registry.settle() == registry.state() == State(2, 9, 5)
    assert Registry(store, "other", Topic()).settle() is None
