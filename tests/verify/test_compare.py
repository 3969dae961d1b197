"""The comparison finds every way in which a store can differ from the reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from flurry_fast.stores.memory import MemoryStore
from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import Block
from flurry_fast.verify.compare import compare_store, coverage, table_of
from flurry_fast.verify.count import BlockKey, Count, CountError
from flurry_fast.verify.manifest import count_manifest
from flurry_fast.verify.plan import CountedPlan

PLAN_ID, INCARNATION = 0xABCD, 0x1234
PLAN = CountedPlan.parse(
    '[[rollup]]\nname = "app"\ndimensions = []\nmeasures = ["reports", "sessions"]\ncap = 1\n'
    '[[rollup]]\nname = "platform"\ndimensions = ["platform"]\nmeasures = ["reports"]\n'
)
RECEIVED = 1_385_000_000_000


def manifest_lines() -> list[str]:
    def line(place: int) -> str:
        report = {
            "outcome": "ok",
            "protocol": 26,
            "platform": place % 3,
            "agent_version": 148,
            "reported_at_ms": RECEIVED,
            "api_key": f"APP{place % 4}",
            "app_version": "1",
            "first_session_start_ms": 0,
            "properties": {},
            "sessions": [],
        }
        sent = {
            "partition": place % 2,
            "offset": place // 2,
            "timestamp_ms": RECEIVED + place * 600_000,
            "crc32c": place,
        }
        return json.dumps((report if place % 5 else {"outcome": "truncated"}) | sent)

    return [line(place) for place in range(40)]


@pytest.fixture
def count(tmp_path: Path) -> Count:
    path = tmp_path / "manifest.jsonl"
    path.write_text("\n".join(manifest_lines()) + "\n")
    return count_manifest(path, PLAN)


def put(store: MemoryStore, key: BlockKey, value: bytes, end: int, table: str | None = None) -> None:
    partition, api_key, bucket = key
    rows = pa.array([blocks.row(api_key, bucket)], pa.binary())
    qualifier = blocks.qualifier(PLAN_ID, INCARNATION, partition)
    store.write(table or table_of(bucket), qualifier, end, rows, pa.array([value], pa.binary()))


def fill(count: Count, change: Callable[[BlockKey, Block], Block | None] = lambda _key, block: block) -> MemoryStore:
    store = MemoryStore()
    for key, rollups in count.blocks.items():
        end = count.end(key[0])
        block = change(key, Block(end, PLAN_ID, count.crcs[key[0]][end - 1], {n: dict(g) for n, g in rollups.items()}))
        if block is not None:
            put(store, key, blocks.encode(PLAN, block), end)
    return store


def differences(store: MemoryStore, count: Count) -> list[str]:
    comparison = compare_store(store, count, plan_id=PLAN_ID, incarnation=INCARNATION)
    assert comparison.exact is not bool(comparison.differences)
    return [str(difference) for difference in comparison.differences]


def test_a_store_that_agrees(count: Count) -> None:
    comparison = compare_store(fill(count), count, plan_id=PLAN_ID, incarnation=INCARNATION)
    assert comparison.exact
    assert comparison.blocks == len(count.blocks)
    assert comparison.counters > 2 * comparison.blocks


def test_nothing_compared_is_no_success(count: Count) -> None:
    empty = Count(PLAN)
    assert not compare_store(MemoryStore(), empty, plan_id=PLAN_ID, incarnation=INCARNATION).exact
    others = compare_store(fill(count), empty, plan_id=PLAN_ID + 1, incarnation=INCARNATION)
    assert not others.exact
    assert others.other_cells == len(count.blocks)


def test_one_counter_off_by_one(count: Count) -> None:
    target = sorted(count.blocks)[3]

    def change(key: BlockKey, block: Block) -> Block:
        if key == target:
            name = next(iter(block.rollups))
            group = next(iter(block.rollups[name]))
            block.rollups[name][group] = {m: v + 1 for m, v in block.rollups[name][group].items()}
        return block

    (found,) = differences(fill(count, change), count)
    assert f"partition {target[0]}" in found


def test_a_missing_block(count: Count) -> None:
    target = sorted(count.blocks)[-1]
    (found,) = differences(fill(count, lambda key, block: None if key == target else block), count)
    assert "missing from the store" in found


def test_a_block_too_many(count: Count) -> None:
    store = fill(count)
    extra = Block(3, PLAN_ID, count.crcs[0][2], {"app": {(): {"reports": 1, "sessions": 0}}})
    put(store, (0, b"NOBODY", RECEIVED // 3_600_000), blocks.encode(PLAN, extra), 3)
    (found,) = differences(store, count)
    assert "NOBODY" in found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda block: Block(block.end - 1, block.plan_id, block.last_crc - 2, block.rollups), "its cell's timestamp"),
        (lambda block: Block(block.end, 7, block.last_crc, block.rollups), "says plan 00000007"),
        (lambda block: Block(block.end, block.plan_id, 99, block.rollups), "CRC of record"),
    ],
)
def test_a_block_that_is_not_itself(count: Count, change: Callable[[Block], Block], what: str) -> None:
    target = sorted(count.blocks)[0]
    found = differences(fill(count, lambda key, block: change(block) if key == target else block), count)
    assert any(what in difference for difference in found)


def test_a_block_past_the_reports(count: Count) -> None:
    target = sorted(count.blocks)[0]
    store = fill(count, lambda key, block: None if key == target else block)
    put(store, target, blocks.encode(PLAN, Block(500, PLAN_ID, 1, count.blocks[target])), 500)
    assert any("the reports go from 0 to 20" in difference for difference in differences(store, count))


def test_a_block_in_the_wrong_month(count: Count) -> None:
    target = sorted(count.blocks)[0]
    store = fill(count, lambda key, block: None if key == target else block)
    end = count.end(target[0])
    value = blocks.encode(PLAN, Block(end, PLAN_ID, count.crcs[target[0]][end - 1], count.blocks[target]))
    put(store, target, value, end, table="counters_199901")
    (found,) = differences(store, count)
    assert "counters_199901" in found


def test_damaged_cells(count: Count) -> None:
    store = fill(count)
    put(store, (0, b"X", 1), b"\x02rubbish that is long enough", 1)
    (found,) = differences(store, count)
    assert "CRC does not match" in found


def test_several_processes_count_the_same(tmp_path: Path, count: Count) -> None:
    path = tmp_path / "again.jsonl"
    path.write_text("\n".join(manifest_lines()) + "\n")
    again = count_manifest(path, PLAN, processes=2)
    assert again.blocks == count.blocks
    assert (again.crcs, again.reports) == (count.crcs, count.reports)
    path.write_text("")
    with pytest.raises(CountError, match="empty"):
        count_manifest(path, PLAN)
    path.write_text('{"outcome": "ok"}\n')
    with pytest.raises(CountError, match="no partition"):
        count_manifest(path, PLAN)


def test_every_offset_belongs_to_one_plan() -> None:
    first, second = {0: [(0, 5), (9, None)], 1: [(0, 4)]}, {0: [(5, 5), (5, 9)], 1: [(3, 6)]}
    assert [str(item) for item in coverage([first, second], {0: 12, 1: 8, 2: 1})] == [
        "partition 1: two plans counted offsets 3 to 4",
        "partition 1: no plan counted offsets 6 to 8",
        "partition 2: no plan counted offsets 0 to 1",
    ]
    assert list(coverage([first, second], {0: 9})) == []
    assert [str(item) for item in coverage([first], {0: 12})] == ["partition 0: no plan counted offsets 5 to 9"]
