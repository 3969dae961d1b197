"""flurry-fast cell: what is stored of one hour, or what there is instead."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from flurry_fast import _core
from flurry_fast.cells import hours_of, stored_blocks
from flurry_fast.cli import main
from flurry_fast.gaps import HOUR_MS, Gap, put_gap
from flurry_fast.stores.sqlite import SqliteStore
from flurry_fast.verify import blocks
from flurry_fast.verify.count import OTHER
from flurry_fast.verify.plan import CountedPlan

from ..verify.logs import INCARNATION, Consumer, generated

PLAN = _core.Plan.parse(files("flurry_fast").joinpath("plans/default.toml").read_text())
LOGS = generated(31, partitions=2, reports=30)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("cell") / "counters.sqlite"
    Consumer(PLAN, LOGS, SqliteStore(path)).run().store.close()
    return path


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return SqliteStore(path)


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["cell", *arguments, "--store", f"sqlite:{path}"], catch_exceptions=False)


def busiest(store: SqliteStore) -> int:
    """An hour of APP1 that both partitions contributed to."""
    return next(hour for hour in hours_of(store, b"APP1") if len(stored_blocks(store, b"APP1", hour)) == 2)


def test_blocks_are_what_the_independent_decoder_reads(store: SqliteStore) -> None:
    found = 0
    for app in (b"APP1", b"\xc3\xa9", b""):
        for hour in hours_of(store, app):
            for block in stored_blocks(store, app, hour):
                decoded = blocks.decode(CountedPlan.parse(PLAN.toml), block.value)
                assert (block.plan, block.incarnation) == (PLAN.id, INCARNATION)
                assert (block.end, block.last_crc, block.problem) == (decoded.end, decoded.last_crc, None)
                ours = {
                    name: {OTHER if g.dimensions is None else tuple(g.dimensions.values()): g.measures for g in groups}
                    for name, groups in block.rollups.items()
                }
                assert ours == decoded.rollups
                found += 1
    assert found > 15


def test_people_and_scripts_see_the_same(path: Path, store: SqliteStore) -> None:
    hour = busiest(store)
    told = run(path, "APP1", str(hour))
    assert told.exit_code == 0
    listed = run(path, "APP1", str(hour), "--json")
    objects = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [item["partition"] for item in objects] == [0, 1]
    for item in objects:
        assert f"below offset {item['end']}" in told.stdout
        assert f"{item['bytes']:,} bytes" in told.stdout
        assert item["last_crc"] in told.stdout
        sessions = item["rollups"]["app"][0]["measures"]["sessions"]
        assert f"sessions {sessions:,}" in told.stdout
    raw = run(path, "APP1", str(hour), "--raw", "--partition", "1").stdout.split()
    assert [bytes.fromhex(line) for line in raw] == [
        block.value for block in stored_blocks(store, b"APP1", hour) if block.partition == 1
    ]
    one = json.loads(run(path, "APP1", str(hour), "--json", "--rollup", "app", "--partition", "0").stdout)
    assert list(one["rollups"]) == ["app"]
    short = run(path, "APP1", str(hour), "--limit", "0").stdout
    assert "more (--limit)" in short


def test_the_hour_may_be_said_in_many_ways(path: Path, store: SqliteStore) -> None:
    hour = busiest(store)
    asked = json.loads(run(path, "APP1", str(hour), "--json", "--partition", "0").stdout)["hour"].rstrip("Z")
    for text in (asked, f"{asked}:59", f"{asked}:00+00:00", f"{asked}:30:10Z"):
        assert run(path, "APP1", text).stdout == run(path, "APP1", str(hour)).stdout


def test_where_there_is_none_the_nearest_are_named(path: Path, store: SqliteStore) -> None:
    hours = hours_of(store, b"APP1")
    missing = hours[-1] + 3
    told = run(path, "APP1", str(missing))
    assert told.exit_code == 1
    assert "has no block in" in told.stderr
    assert "nearest:" in told.stderr
    assert "Nothing is counted for app 'NOBODY'" in run(path, "NOBODY", str(missing)).stderr
    only = next(hour for hour in hours if len(stored_blocks(store, b"APP1", hour)) == 1)
    other = 1 - stored_blocks(store, b"APP1", only)[0].partition
    told = run(path, "APP1", str(only), "--partition", str(other))
    assert (told.exit_code, "That partition has no block" in told.stderr) == (1, True)


def test_a_damaged_block_is_shown_as_such(tmp_path: Path) -> None:
    copy = SqliteStore(tmp_path / "counters.sqlite")
    source = Consumer(PLAN, LOGS, copy).run().store
    assert isinstance(source, SqliteStore)
    hour = busiest(source)
    block = stored_blocks(source, b"APP1", hour)[0]
    rows, values = pa.array([block.row], pa.binary()), pa.array([block.value[:-1] + b"?"], pa.binary())
    source.write(block.table, block.qualifier, block.end + 1, rows, values)
    told = run(tmp_path / "counters.sqlite", "APP1", str(hour))
    assert told.exit_code == 1
    assert "damaged: " in told.stderr
    stranger = blocks.qualifier(9, INCARNATION, 0)
    source.write(block.table, stranger, 3, rows, values)
    assert "plan 00000009 is not registered" in run(tmp_path / "counters.sqlite", "APP1", str(hour)).stderr
    moved = pa.array([block.value], pa.binary())
    source.write(block.table, block.qualifier, block.end + 2, rows, moved)
    assert f"up to {block.end}, its cell" in run(tmp_path / "counters.sqlite", "APP1", str(hour)).stderr
    source.close()


def test_a_lower_bound_is_told_of_the_partition_that_lost_something(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "counters.sqlite")
    Consumer(PLAN, LOGS, store).run()
    hour = busiest(store)
    put_gap(store, Gap(INCARNATION, 1, 5, 9, PLAN.id, hour * HOUR_MS, hour * HOUR_MS, 0, 0, "why"))
    told = [
        json.loads(line) for line in run(tmp_path / "counters.sqlite", "APP1", str(hour), "--json").stdout.splitlines()
    ]
    assert [item["lower_bound"] for item in told] == [None, "records lost"]
    assert "lower bound: records lost" in run(tmp_path / "counters.sqlite", "APP1", str(hour)).stdout
    store.close()


@pytest.mark.parametrize("text", ["soon", "2013-11-21", "99999999", "-3", "2013-13-01T05"])
def test_what_is_no_hour(path: Path, text: str) -> None:
    told = run(path, "--", "APP1", text) if text.startswith("-") else run(path, "APP1", text)
    assert told.exit_code == 2


def test_a_key_that_is_too_long(path: Path) -> None:
    assert "at most 255 bytes" in run(path, "k" * 300, "3").stderr
