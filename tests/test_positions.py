"""Positions: the control cell's bytes, and the table they live in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flurry_fast.errors import StoreCorrupt
from flurry_fast.positions import (
    POSITIONS_ROW,
    CountersPosition,
    PositionTable,
    control_qualifier,
    decode_position,
    encode_position,
    parse_control_qualifier,
)
from flurry_fast.stores import MemoryStore

STORE = bytes(range(16))
POSITIONS = st.builds(
    CountersPosition,
    position=st.integers(0, 2**62),
    max_bucket=st.none() | st.integers(-1, 2**32),
    crc=st.none() | st.integers(0, 2**32 - 1),
    max_timestamp=st.integers(-1, 2**62),
)


@given(POSITIONS)
def test_a_position_comes_back(position: CountersPosition) -> None:
    value = encode_position(position, STORE)
    assert encode_position(position, STORE) == value
    assert decode_position(value, position.position, STORE) == position


@given(POSITIONS, st.data())
def test_a_damaged_position_is_noticed(position: CountersPosition, data: st.DataObject) -> None:
    value = bytearray(encode_position(position, STORE))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreCorrupt):
        decode_position(bytes(value), position.position, STORE)


def test_what_a_position_must_agree_with() -> None:
    value = encode_position(CountersPosition(7), STORE)
    with pytest.raises(StoreCorrupt, match="says 7, its cell's timestamp 8"):
        decode_position(value, 8, STORE)
    with pytest.raises(StoreCorrupt, match="another store"):
        decode_position(value, 7, bytes(16))
    for length in range(len(value)):
        with pytest.raises(StoreCorrupt):
            decode_position(value[:length], 7, STORE)


def test_columns() -> None:
    qualifier = control_qualifier(0xA1B2C3D4, 5, 65535, 2)
    assert qualifier.hex() == "a1b2c3d400000005ffff00000002"
    assert parse_control_qualifier(qualifier) == (0xA1B2C3D4, 5, 65535, 2)
    with pytest.raises(StoreCorrupt):
        parse_control_qualifier(qualifier + b"x")


def test_the_table_keeps_the_highest_position_of_its_own_plan_incarnation_and_generation() -> None:
    store = MemoryStore()
    table = PositionTable(store, plan=1, incarnation=2, generation=0)
    assert table.get(3) is None
    assert table.put_if_absent(3, CountersPosition(100)) == CountersPosition(100)
    assert table.put_if_absent(3, CountersPosition(50)) == CountersPosition(100)
    table.put(3, CountersPosition(200, 9, 8, 7))
    table.put(3, CountersPosition(150, 9, 8, 7))
    assert table.get(3) == CountersPosition(200, 9, 8, 7)
    for other in (
        PositionTable(store, plan=9, incarnation=2, generation=0),
        PositionTable(store, plan=1, incarnation=9, generation=0),
        PositionTable(store, plan=1, incarnation=2, generation=9),
    ):
        assert other.get(3) is None
    assert table.counted_partitions() == {3}
    assert PositionTable(store, plan=9, incarnation=2, generation=9).counted_partitions() == {3}
    assert PositionTable(store, plan=1, incarnation=9, generation=0).counted_partitions() == set()
    with pytest.raises(StoreCorrupt):
        table.put(3, CountersPosition(200, 10, 8, 7))


def test_where_sinks_began() -> None:
    store = MemoryStore()
    table = PositionTable(store, plan=1, incarnation=2, generation=0)
    later = PositionTable(store, plan=9, incarnation=2, generation=4)
    table.note_began("counters", 3, 100)
    table.note_began("archive", 3, 90)
    table.note_began("archive", 3, 95)
    assert (table.began("counters", 3), table.began("archive", 3), table.began("archive", 4)) == (100, 90, None)
    assert (later.began("counters", 3), later.began("archive", 3)) == (None, 90)


def test_a_copied_control_cell_is_refused() -> None:
    first, second = MemoryStore(), MemoryStore()
    PositionTable(first, plan=1, incarnation=2, generation=0).put(0, CountersPosition(5))
    qualifier = control_qualifier(1, 2, 0, 0)
    cell = first.get_control(POSITIONS_ROW, qualifier)
    assert cell is not None
    second.put_control(POSITIONS_ROW, qualifier, cell.timestamp, cell.value)
    with pytest.raises(StoreCorrupt, match="another store"):
        PositionTable(second, plan=1, incarnation=2, generation=0).get(0)
