"""Months and their tables; from when on nobody can count in one any more."""

from __future__ import annotations

import datetime as dt

import pytest

from flurry_fast.errors import RegistryMismatch
from flurry_fast.months import dropped, ends_at, following, month_of, note_dropped, table_of, was_dropped
from flurry_fast.operations.months import DAY_MS, horizon
from flurry_fast.operations.reset import setting
from flurry_fast.positions import PositionTable
from flurry_fast.registry import Registry
from flurry_fast.stores.memory import MemoryStore

from .operations.installation import INCARNATION, PLAN, TOPIC, Installation

AGE = setting(PLAN.toml, "time.max_age_ms") + DAY_MS


def test_names_and_ends() -> None:
    assert table_of(dt.date(2013, 11, 30)) == "counters_201311"
    assert month_of("counters_201311") == dt.date(2013, 11, 1)
    assert [month_of(name) for name in ("control", "counters_201313", "counters_2013")] == [None] * 3
    assert following(dt.date(2013, 11, 30)) == dt.date(2013, 12, 1)
    assert following(dt.date(2013, 12, 1), 14) == dt.date(2015, 2, 1)
    assert ends_at(dt.date(2013, 12, 5)) == 1_388_534_400_000


def test_a_drop_is_on_record() -> None:
    store = MemoryStore()
    assert dropped(store) == set()
    note_dropped(store, "counters_201311")
    note_dropped(store, "counters_201311")
    assert dropped(store) == {"counters_201311"}
    assert was_dropped(store, "counters_201311")
    assert not was_dropped(store, "counters_201312")


def times(place: Installation, partition: int, start: int) -> list[int]:
    return [time for _, time in place.log.logs[partition][start:]]


def test_the_youngest_counted_record_decides_where_all_is_read() -> None:
    place = Installation(None)
    youngest = max(place.position(partition).max_timestamp for partition in place.log.logs)
    assert horizon(place.store, place.registry(), TOPIC, place.log).at_ms == youngest - AGE


def test_an_unread_record_decides() -> None:
    place = Installation(None)
    read = {partition: len(log) for partition, log in place.log.logs.items()}
    place.produce()
    first = min(times(place, partition, start)[0] for partition, start in read.items())
    youngest = max(place.position(partition).max_timestamp for partition in place.log.logs)
    found = horizon(place.store, place.registry(), TOPIC, place.log)
    assert found.at_ms == min(first, youngest) - AGE
    payload, _ = place.log.logs[1][read[1]]
    place.log.logs[1][read[1]] = (payload, 1_000_000_000_000)  # it waited there since 2001
    found = horizon(place.store, place.registry(), TOPIC, place.log)
    assert found.at_ms == 1_000_000_000_000 - AGE
    assert f"record {read[1]} of partition 1" in found.why
    place.log.logs[0] = place.log.logs[0][: read[0]]  # and a partition without a position is all unread
    assert horizon(place.store, place.registry(), TOPIC, place.log).at_ms == 1_000_000_000_000 - AGE


def test_a_partition_that_nobody_began_is_unread() -> None:
    place = Installation(None)
    store = MemoryStore()
    registry = Registry(store, TOPIC, lambda: INCARNATION)
    with pytest.raises(RegistryMismatch):
        horizon(store, registry, TOPIC, place.log)
    registration = registry.open(PLAN.id, PLAN.toml, partitions=2)
    table: PositionTable = registry.positions(registration)
    assert horizon(store, registry, TOPIC, place.log).at_ms < 0  # nothing was counted: nothing is known
    table.put(0, place.position(0).__class__(24, 0, 1, 10**14))
    found = horizon(store, registry, TOPIC, place.log)
    assert found.at_ms == place.log.logs[1][0][1] - AGE
