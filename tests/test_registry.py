"""The registry: created once, the same for everybody, and read before every put."""

from __future__ import annotations

import pytest

from flurry_fast.errors import RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.registry import STATE, Registry, State, _encode, plans, secret
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
    row = b"topic|reports"
    store.put_control(row, STATE, 2, _encode(State(2, 0, 5, closing=True)))
    with pytest.raises(RegistryMismatch, match="being closed"):
        registry.verify(registration)
    store.put_control(row, STATE, 3, _encode(State(3, 0, 6)))
    with pytest.raises(RegistryMismatch, match="plan 00000006"):
        registry.verify(registration)
    store.put_control(row, STATE, 4, _encode(State(4, 1, 5)))
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
