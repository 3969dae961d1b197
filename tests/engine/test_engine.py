"""The engine as the consumer drives it: bases, flushes, restarts, and every way to misuse it."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import google_crc32c
import pyarrow as pa
import pytest
from engine_helpers import (
    ARCHIVE_ORIGIN,
    INCARNATION,
    ORIGIN,
    SECRET,
    CellMap,
    assigned_engine,
    batch_of,
    counted,
    in_memory,
    new_engine,
    simulated,
)

from flurry_fast._core import (
    CellCorrupt,
    Engine,
    EngineMisuse,
    Plan,
    PlanError,
    block_qualifier,
    decode_block,
    decode_blocks,
    parse_row,
    row_key,
    table_of,
    tzdata_version,
)
from flurry_fast.positions import ArchivePosition, CountersPosition
from flurry_fast.verify import blocks

DEFAULT = (Path(__file__).parents[2] / "flurry_fast" / "plans" / "default.toml").read_text()
CAPTURES = Path(__file__).parents[1] / "captures"
HOUR_MS = 3_600_000
NOW_MS = 1_385_000_000_000


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.parse(DEFAULT)


def test_plan(plan: Plan) -> None:
    assert plan.toml == DEFAULT
    assert plan.id != 0
    assert f"tzdata = {tzdata_version()}\n" in plan.canonical
    assert [rollup.number for rollup in plan.rollups] == [*range(11), 255]
    event = plan.rollups[7]
    assert (event.name, event.dimensions) == ("event_parameter", ["event", "parameter", "value"])
    assert (event.measures, event.cap, event.level) == (["event_sessions"], 1_000, "parameter")
    assert plan.rollups[-1].name == "unreadable"
    with pytest.raises(PlanError) as refused:
        Plan.parse("[time]\nmax_age = 1\n")
    assert refused.value.key == "time.max_age"
    assert str(refused.value) == f"time.max_age: {refused.value.reason}"
    assert isinstance(refused.value, ValueError)


def test_names_of_cells() -> None:
    row = row_key(b"KEY", 384_552)
    assert row == blocks.row(b"KEY", 384_552)
    assert parse_row(row) == (b"KEY", 384_552)
    assert table_of(384_552) == "counters_201311"
    assert block_qualifier(1, 2, 3) == bytes.fromhex("00000001000000020003")
    with pytest.raises(ValueError, match="at most 255 bytes"):
        row_key(b"x" * 256, 0)
    with pytest.raises(ValueError, match="not the row key"):
        parse_row(row + b"x")


def test_flush_reads_back(plan: Plan) -> None:
    payloads, timestamps = simulated(500, seed=3, apps=10, devices=60, malformed=0.1)
    engine = assigned_engine(plan)
    assert engine.absorb(batch_of(payloads, timestamps)) is None
    assert engine.memory()["unwritten"] == 1
    flush = engine.freeze(None)
    assert flush is not None
    assert engine.memory()["unwritten"] == engine.memory()["dirty"] == 0
    (position,) = flush.positions
    assert (position.partition, position.position, position.max_timestamp) == (0, 500, max(timestamps))
    for part in flush.parts:
        assert part.qualifier == block_qualifier(plan.id, INCARNATION, 0)
        assert part.timestamp == 500
        rows, values = pa.array(part.rows), pa.array(part.values)
        assert rows.to_pylist() == sorted(rows.to_pylist())
        assert part.bytes == sum(map(len, rows.to_pylist())) + sum(map(len, values.to_pylist()))
        every = pa.record_batch(decode_blocks(plan, rows, values)).to_pylist()
        large = decode_blocks(plan, rows.cast(pa.large_binary()), values.cast(pa.large_binary()))
        assert pa.record_batch(large).to_pylist() == every
        for at, (row, value) in enumerate(zip(rows.to_pylist(), values.to_pylist(), strict=True)):
            block = decode_block(plan, row, value)
            assert (block.api_key, block.bucket) == parse_row(row)
            assert table_of(block.bucket) == part.table
            assert (block.end, block.plan, block.last_crc) == (500, plan.id, position.crc)
            ours = pa.record_batch(block.groups).to_pylist()
            assert [group | {"row": at} for group in ours] == [group for group in every if group["row"] == at]
    engine.acknowledge(flush)
    assert engine.freeze(None) is None
    engine.evict(0)
    assert engine.memory()["block_count"] == 0
    assert engine.stats()["blocks_flushed"] == engine.stats()["blocks_evicted"] > 0


def test_corrupt_values_are_named(plan: Plan) -> None:
    payloads, timestamps = simulated(50, seed=3, apps=1, devices=5)
    engine = assigned_engine(plan)
    engine.absorb(batch_of(payloads, timestamps))
    flush = engine.freeze(None)
    assert flush is not None
    row, value = (pa.array(column)[0].as_py() for column in (flush.parts[0].rows, flush.parts[0].values))
    with pytest.raises(CellCorrupt, match="CRC-32") as corrupt:
        decode_block(plan, row, value[:-1] + bytes([value[-1] ^ 1]))
    assert (corrupt.value.row, corrupt.value.partition) == (row, None)
    with pytest.raises(CellCorrupt, match="names no block"):
        decode_blocks(plan, pa.array([b"row"]), pa.array([value]))
    with pytest.raises(ValueError, match="differ in number"):
        decode_blocks(plan, pa.array([row]), pa.array([], pa.binary()))
    with pytest.raises(TypeError, match="binary column"):
        decode_blocks(plan, pa.array(["row"]), pa.array([value]))
    with pytest.raises(TypeError, match="no nulls"):
        decode_blocks(plan, pa.array([None], pa.binary()), pa.array([value]))
    with pytest.raises(TypeError, match="__arrow_c_array__"):
        decode_blocks(plan, [row], [value])


def test_seed_refuses_other_columns(plan: Plan) -> None:
    payloads, timestamps = simulated(5, seed=3, apps=1, devices=5)
    engine = assigned_engine(plan, CountersPosition(0, None))
    batch = batch_of(payloads, timestamps)
    needs = engine.absorb(batch)
    assert needs is not None
    (group, *_) = needs.groups
    none = pa.array([], pa.int32()), pa.array([], pa.int64()), pa.array([], pa.binary())
    with pytest.raises(TypeError, match="Int32"):
        engine.seed(group, none[1], none[1], none[2], 5)
    with pytest.raises(ValueError, match="differ in number"):
        engine.seed(group, pa.array([0], pa.int32()), none[1], none[2], 5)
    with pytest.raises(EngineMisuse, match="needs are open"):
        engine.freeze(None)
    with pytest.raises(EngineMisuse, match="not every group"):
        engine.resume(batch)
    cell = pa.array([0], pa.int32()), pa.array([3]), pa.array([b"rubbish"])
    with pytest.raises(CellCorrupt) as corrupt:
        engine.seed(group, *cell, 5)
    assert corrupt.value.partition == 0
    assert corrupt.value.row == pa.array(group.rows)[0].as_py()


def test_misuse(plan: Plan) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Engine(plan, incarnation=1, secret=b"short")
    engine = assigned_engine(plan)
    with pytest.raises(EngineMisuse, match="already"):
        engine.assign(0, log_start=0, counters=ORIGIN, archive=None, read_from=0)
    with pytest.raises(EngineMisuse, match="65535"):
        engine.assign(1 << 16, log_start=0, counters=ORIGIN, archive=None, read_from=0)
    with pytest.raises(TypeError):
        engine.absorb([b"not a batch"])
    with pytest.raises(AttributeError, match="position"):
        engine.assign(1, log_start=0, counters=(0, -1), archive=None, read_from=0)  # type: ignore[arg-type]
    engine.drop(9)
    assert engine.archive_take(9) is None


def test_a_sink_that_is_not_run_takes_nothing(plan: Plan) -> None:
    payloads, timestamps = simulated(50, seed=3, apps=1, devices=5)
    for counters, archive in [(True, False), (False, True)]:
        engine = new_engine(plan, counters=counters, archive=archive)
        engine.assign(0, log_start=0, counters=ORIGIN, archive=ARCHIVE_ORIGIN, read_from=0)
        engine.absorb(batch_of(payloads, timestamps))
        (state,) = engine.partitions()
        assert (state.next_offset, state.counters_position) == (50, 50 if counters else None)
        assert (state.archive_next, state.archive_rows) == ((50, 50) if archive else (None, 0))
        assert (engine.freeze(None) is not None) == counters
        assert (engine.archive_take(0) is not None) == archive
        assert engine.memory()["unwritten"] == 0


def test_stops(plan: Plan) -> None:
    payloads, timestamps = simulated(5, seed=3, apps=1, devices=5)
    engine = assigned_engine(plan)
    engine.absorb(batch_of(payloads, timestamps, first=2))
    (stop,) = engine.stopped()
    assert (stop.partition, stop.kind) == (0, "gap_in_offsets")
    assert "record 2 came where 0 was due" in stop.detail
    assert engine.stopped() == []
    engine = new_engine(plan)
    engine.assign(0, log_start=0, counters=CountersPosition(1, crc=7), archive=None, read_from=0)
    engine.absorb(batch_of(payloads, timestamps))
    (stop,) = engine.stopped()
    assert stop.kind == "truncated"
    assert engine.partitions()[0].stopped


def test_a_replaced_record_is_noticed_though_its_crc32_is_the_same(plan: Plan) -> None:
    """A report ends with the CRC-32 of its body, which leaves the CRC-32 of the whole 65,536 values."""
    report = (CAPTURES / "a216" / "full-1.bin").read_bytes()
    assert int.from_bytes(report[:2]) == 30
    seen: dict[int, bytes] = {}
    for number in range(10_000):
        cached_at = (number * 0x5851F42D4C957F2D % 2**63).to_bytes(8)  # field 3
        body = report[:4] + cached_at + report[12:-4]
        record = body + zlib.crc32(body).to_bytes(4)
        other = seen.setdefault(zlib.crc32(record), record)
        if other != record:
            break
    assert zlib.crc32(record) == zlib.crc32(other)
    assert google_crc32c.value(record) != google_crc32c.value(other)
    counted_before = assigned_engine(plan)
    counted_before.absorb(batch_of([other], [NOW_MS]))
    flush = counted_before.freeze(None)
    assert flush is not None
    assert flush.positions[0].crc == google_crc32c.value(other)
    assert not any(counted_before.stats()["unreadable"].values())
    for found, stops in ((other, []), (record, ["truncated"])):
        engine = new_engine(plan)
        position = CountersPosition(1, crc=flush.positions[0].crc)
        engine.assign(0, log_start=0, counters=position, archive=None, read_from=0)
        engine.absorb(batch_of([found], [NOW_MS]))
        assert [stop.kind for stop in engine.stopped()] == stops


def test_archive_rows_survive_a_lost_claim(plan: Plan) -> None:
    payloads, timestamps = simulated(30, seed=3, apps=2, devices=5)
    engine = new_engine(plan)
    engine.assign(0, log_start=0, counters=ORIGIN, archive=ARCHIVE_ORIGIN, read_from=0)
    engine.absorb(batch_of(payloads, timestamps))
    chunk = engine.archive_take(0)
    assert chunk is not None
    assert (chunk.start, chunk.end, chunk.partition) == (0, 30, 0)
    engine.archive_reset(0, ArchivePosition(10))
    engine.rewind(0, 10)
    engine.absorb(batch_of(payloads[10:], timestamps[10:], first=10))
    chunk = engine.archive_take(0)
    assert chunk is not None
    assert (chunk.start, chunk.end) == (10, 30)
    assert engine.stats()["counted"] == 30, "the counters passed the second reading by"


@pytest.mark.parametrize("seed", range(6))
def test_crashes_and_evictions_change_nothing(plan: Plan, seed: int) -> None:
    """The production calls around a dictionary: in the end the cells are the independent count."""
    chance = random.Random(seed)
    payloads, timestamps = simulated(1_200, seed=seed, apps=15, devices=100, malformed=0.03)
    store, position, engine = CellMap(), ORIGIN, assigned_engine(plan)
    at = 0
    while at < len(payloads):
        size = chance.randrange(1, 120)
        batch: Any = batch_of(payloads[at : at + size], timestamps[at : at + size], first=at)
        if (needs := engine.absorb(batch)) is not None:
            for group in needs.groups:
                store.seed(engine, group, len(payloads))
            engine.resume(batch)
        at += len(batch)
        if chance.random() < 0.5 and (flush := engine.freeze(None)) is not None:
            for part in flush.parts:
                store.write(part)
            if chance.random() < 0.6:
                (moved,) = flush.positions
                position = CountersPosition(moved.position, moved.max_bucket, moved.crc, moved.max_timestamp)
                engine.acknowledge(flush)
            else:
                engine.abandon(flush)
        if chance.random() < 0.3:
            engine.evict(0)
        if chance.random() < 0.15:
            engine, at = assigned_engine(plan, position), 0
        if at >= len(payloads) and (flush := engine.freeze(None)) is not None:
            for part in flush.parts:
                store.write(part)
    expected = counted(DEFAULT, payloads, timestamps)
    counted_plan = expected.plan
    found = {}
    for (_, _, row), (end, value) in store.cells.items():
        block = blocks.decode(counted_plan, value)
        assert block.end == end
        api_key, bucket = blocks.parse_row(row)
        found[0, api_key, bucket] = block.rollups
    assert found == expected.finish()


def test_a_block_as_of_an_earlier_end(plan: Plan) -> None:
    payloads, timestamps = simulated(200, seed=5, apps=3, devices=20)
    engine = assigned_engine(plan)
    engine.absorb(batch_of(payloads, timestamps))
    assert in_memory(engine, DEFAULT)
    rows, offsets = engine.touched(0)
    row, last = min(zip(pa.array(rows).to_pylist(), pa.array(offsets).to_pylist(), strict=True), key=lambda r: r[1])
    value = engine.peek_block(0, row, last + 1, 42)
    assert value is not None
    block = decode_block(plan, row, value)
    assert (block.end, block.last_crc) == (last + 1, 42)
    with pytest.raises(EngineMisuse):
        engine.peek_block(0, row, last, 42)
    with pytest.raises(ValueError, match="go together"):
        engine.peek_block(0, row, last)
    assert engine.peek_block(0, row_key(b"nobody", 1)) is None


def test_the_secret_and_the_process_change_no_counter(plan: Plan) -> None:
    payloads, timestamps = simulated(300, seed=9, apps=4, devices=30)
    seen = []
    for secret in (SECRET, bytes(16)):
        engine = Engine(plan, incarnation=INCARNATION, secret=secret)
        engine.assign(0, log_start=0, counters=ORIGIN, archive=None, read_from=0)
        engine.absorb(batch_of(payloads, timestamps))
        flush = engine.freeze([0])
        assert flush is not None
        seen.append([pa.array(part.values) for part in flush.parts])
    assert seen[0] == seen[1]
