"""What readers see is what was counted: summed over partitions, plans and hours, with names for what has none."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from click.testing import CliRunner

from flurry_fast import _core, reading
from flurry_fast.cli import main
from flurry_fast.cli.output import print_table
from flurry_fast.errors import StoreCorrupt
from flurry_fast.gaps import HOUR_MS, LATE, LOST, Gap, LowerBounds, put_gap
from flurry_fast.reading import ReadError
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.memory import MemoryStore
from flurry_fast.stores.sqlite import SqliteStore
from flurry_fast.verify import blocks
from flurry_fast.verify.count import OTHER, Blocks, count_lines
from flurry_fast.verify.plan import CountedPlan

from .logs import Consumer, generated, manifest
from .rules import counted_by_other_rules

PLAN = _core.Plan.parse(
    """
    [[rollup]]
    name = "app"
    dimensions = []
    measures = ["reports", "sessions", "events", "duration"]
    [[rollup]]
    name = "country"
    dimensions = ["country", "platform"]
    measures = ["sessions", "new_users"]
    cap = 3
    [[rollup]]
    name = "event"
    dimensions = ["event"]
    measures = ["events", "event_sessions"]
    """
)
LOGS = generated(21, partitions=3, reports=40)
Groups = dict[tuple[Any, ...], dict[str, int]]


@pytest.fixture(scope="module")
def store() -> CellStore:
    return Consumer(PLAN, LOGS).run().store


@pytest.fixture(scope="module")
def counted() -> Blocks:
    return count_lines(manifest(LOGS), CountedPlan.parse(PLAN.toml)).blocks


def start_of(bucket: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(bucket * 3600, dt.UTC)


def expected(counted: Blocks, app: bytes, rollup: str, bucket: str = "hour", tz: str = "UTC") -> Groups:
    """(time, group...) -> measures, by the independent count."""
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    for (_, key, hour), rollups in counted.items():
        if key != app:
            continue
        moment = start_of(hour).astimezone(ZoneInfo(tz))
        for group, measures in rollups.get(rollup, {}).items():
            name = ("(other)",) * 9 if group == OTHER else tuple(value or "(unknown)" for value in group)
            width = {"app": 0, "country": 2, "event": 1, "unreadable": 1}[rollup]
            at = (moment if bucket == "hour" else moment.date(), *name[:width])
            sums.setdefault(at, Counter()).update(measures)
    return {at: dict(measures) for at, measures in sums.items()}


def shown(table: pa.Table, dimensions: int) -> Groups:
    assert table.column_names[-1] == "lower_bound"
    assert table.column("lower_bound").null_count == table.num_rows
    table = table.drop_columns(["lower_bound"])
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert len({row[: dimensions + 1] for row in rows}) == len(rows), "a group has two rows"
    names = table.column_names[dimensions + 1 :]
    return {row[: dimensions + 1]: dict(zip(names, row[dimensions + 1 :], strict=True)) for row in rows}


@pytest.mark.parametrize("bucket", ["hour", "day"])
@pytest.mark.parametrize("tz", ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"])
@pytest.mark.parametrize(("rollup", "dimensions"), [("app", 0), ("country", 2), ("event", 1)])
def test_sums(store: CellStore, counted: Blocks, rollup: str, dimensions: int, tz: str, bucket: reading.Bucket) -> None:
    table = reading.counters(store, "APP1", rollup, bucket=bucket, tz=tz)
    assert shown(table, dimensions) == expected(counted, b"APP1", rollup, bucket, tz)
    assert table.column_names[0] == bucket
    assert table.num_rows >= 2


def test_the_default_rollup_is_the_totals(store: CellStore, counted: Blocks) -> None:
    table = reading.counters(store, "APP2")
    assert shown(table, 0) == expected(counted, b"APP2", "app")
    assert table.schema.field("hour").type == pa.timestamp("s", "UTC")
    assert table.column("hour").to_pylist() == sorted(table.column("hour").to_pylist())


def test_what_has_no_name(store: CellStore) -> None:
    table = reading.counters(store, "APP1", "country")
    assert "(unknown)" in table.column("country").to_pylist()
    assert "(other)" in table.column("country").to_pylist()
    for hour in set(table.column("hour").to_pylist()):
        names = [row["country"] for row in table.to_pylist() if row["hour"] == hour]
        assert "(other)" not in names[:-1]


def test_odd_keys(store: CellStore, counted: Blocks) -> None:
    assert shown(reading.counters(store, "\u00e9"), 0) == expected(counted, b"\xc3\xa9", "app")
    assert shown(reading.counters(store, b"\xed\xa0\x80"), 0) == expected(counted, b"\xed\xa0\x80", "app")
    assert reading.wire_key("a\0\U0001f600") == b"a\xc0\x80\xed\xa0\xbd\xed\xb8\x80"


def test_unreadable_reports(store: CellStore, counted: Blocks) -> None:
    assert shown(reading.counters(store, ""), 1) == expected(counted, b"", "unreadable")


def test_a_range_of_time(store: CellStore, counted: Blocks) -> None:
    everything = reading.counters(store, "APP1")
    hours = everything.column("hour").to_pylist()
    first, last = hours[1], hours[-1]
    assert reading.counters(store, "APP1", start=first, end=last).equals(everything.slice(1, len(hours) - 2))
    halves = [reading.counters(store, "APP1", end=first), reading.counters(store, "APP1", start=first)]
    assert pa.concat_tables(halves).equals(everything)
    # An hour counts where it begins.
    late = reading.counters(store, "APP1", start=first + dt.timedelta(seconds=1))
    assert late.equals(everything.slice(2))
    # Bare dates and times are of the zone.
    zone = "Asia/Kolkata"
    local = first.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert reading.counters(store, "APP1", start=local, tz=zone).num_rows == len(hours) - 1
    day = first.date()
    days = reading.counters(store, "APP1", start=day, end=day + dt.timedelta(days=1))
    assert {hour.date() for hour in days.column("hour").to_pylist()} == {day}
    assert reading.counters(store, "APP1", start=last, end=first).num_rows == 0
    assert len(expected(counted, b"APP1", "app")) == len(hours)


def test_apps(store: CellStore, counted: Blocks) -> None:
    table = reading.apps(store, "events", limit=None)
    sums: dict[bytes, Counter[str]] = {}
    for (_, key, _), rollups in counted.items():
        if key:
            sums.setdefault(key, Counter()).update(rollups["app"].get((), {}))
    ordered = sorted(sums, key=lambda key: (-sums[key]["events"], key))
    names = {b"\xc3\xa9": "é", b"\xed\xa0\x80": "\\xed\\xa0\\x80"}
    assert table.column("app").to_pylist() == [names.get(key, key.decode("latin-1")) for key in ordered]
    assert table.column("events").to_pylist() == [sums[key]["events"] for key in ordered]
    assert table.column("duration").to_pylist() == [sums[key]["duration"] for key in ordered]
    assert reading.apps(store, limit=2).num_rows == 2
    far = dt.date(2031, 1, 1)
    assert reading.apps(store, start=far).num_rows == 0


def test_over_two_plans() -> None:
    """A closed plan's hours and the next plan's are one sum; what one of them did not measure is unknown."""
    more = PLAN.toml.replace('"events", "duration"', '"events", "page_views"').replace("cap = 3", "cap = 4")
    store = Consumer(PLAN, LOGS).run().store
    second = _core.Plan.parse(more)
    store.put_control(b"plan", second.id.to_bytes(4), 1, second.toml.encode())
    other = Consumer(second, LOGS, MemoryStore()).run().store
    for name in other.tables():
        for batch in other.scan(name):
            for cell in batch.to_pylist():
                rows, values = pa.array([cell["row"]], pa.binary()), pa.array([cell["value"]], pa.binary())
                store.write(name, cell["qualifier"], cell["timestamp"], rows, values)
    alone, both = reading.counters(other, "APP1"), reading.counters(store, "APP1")
    assert both.column_names[:4] == ["hour", "reports", "sessions", "events"]
    assert sorted(both.column_names[4:]) == ["duration", "lower_bound", "page_views"]
    assert both.column("sessions").to_pylist() == [2 * n for n in alone.column("sessions").to_pylist()]
    assert both.column("duration").null_count == both.num_rows
    assert both.column("page_views").null_count == both.num_rows
    third = _core.Plan.parse(PLAN.toml.replace('["country", "platform"]', '["country"]'))
    store.put_control(b"plan", third.id.to_bytes(4), 1, third.toml.encode())
    with pytest.raises(ReadError, match="cannot be summed"):
        reading.counters(store, "APP1")


def test_counters_of_other_rules_are_read() -> None:
    """After an upgrade that changed the rules, the same plan has another id; what was counted before stays readable."""
    store = Consumer(PLAN, LOGS).run().store
    before = counted_by_other_rules(store, PLAN.id, ~PLAN.id & 0xFFFFFFFF)
    assert reading.counters(before, "APP1", "country") == reading.counters(store, "APP1", "country")
    assert reading.apps(before) == reading.apps(store)


def test_what_is_not_there(store: CellStore) -> None:
    assert reading.counters(store, "NOBODY").num_rows == 0
    assert reading.counters(store, "k" * 300).num_rows == 0
    assert [rollup.name for rollup in reading.rollups(store)] == ["app", "country", "event", "unreadable"]
    with pytest.raises(ReadError, match=r"no rollup 'nope'.*app, country, event, unreadable"):
        reading.counters(store, "APP1", "nope")
    with pytest.raises(ReadError, match=r"no measure 'nope'.*reports, sessions, events, duration"):
        reading.apps(store, "nope")
    with pytest.raises(ReadError, match="not a time zone"):
        reading.counters(store, "APP1", tz="Mars/Olympus")
    with pytest.raises(ReadError, match="Nothing was counted"):
        reading.counters(MemoryStore(), "APP1")


def test_a_damaged_block() -> None:
    store = Consumer(PLAN, LOGS).run().store
    rows, values = pa.array([blocks.row(b"APP1", 384_722)], pa.binary()), pa.array([b"rubbish"], pa.binary())
    store.write("counters_201311", blocks.qualifier(PLAN.id, 1, 0), 10, rows, values)
    with pytest.raises(StoreCorrupt, match="damaged"):
        reading.counters(store, "APP1")


# --- after a recorded gap ------------------------------------------------------------------------------------------


def with_a_gap(store: CellStore) -> tuple[MemoryStore, int]:
    """The store with a gap around the third hour of APP1; late sessions come up to an hour late."""
    hours = [int(hour.timestamp()) // 3600 for hour in reading.counters(store, "APP1").column("hour").to_pylist()]
    lost = hours[2]
    copy = Consumer(PLAN, LOGS).run().store
    assert isinstance(copy, MemoryStore)
    start = lost * HOUR_MS
    put_gap(copy, Gap(1, 0, 5, 9, PLAN.id, start + 5, start + 60_000, HOUR_MS, 600_000, "why"))
    return copy, lost


def test_hours_around_a_gap_are_lower_bounds(store: CellStore) -> None:
    gapped, lost = with_a_gap(store)
    table = reading.counters(gapped, "APP1")
    marks = dict(zip(table.column("hour").to_pylist(), table.column("lower_bound").to_pylist(), strict=True))
    assert {hour: mark for hour, mark in marks.items() if mark is not None} == {
        hour: mark for hour, mark in ((start_of(lost), LOST), (start_of(lost - 1), LATE)) if hour in marks
    }
    assert marks[start_of(lost)] == LOST
    assert table.drop_columns(["lower_bound"]).equals(reading.counters(store, "APP1").drop_columns(["lower_bound"]))


def test_days_and_apps_around_a_gap_are_lower_bounds(store: CellStore) -> None:
    gapped, lost = with_a_gap(store)
    zone = ZoneInfo("Pacific/Kiritimati")
    table = reading.counters(gapped, "APP1", bucket="day", tz="Pacific/Kiritimati")
    marks = dict(zip(table.column("day").to_pylist(), table.column("lower_bound").to_pylist(), strict=True))
    day = start_of(lost).astimezone(zone).date()
    assert marks[day] == LOST
    assert {mark for other, mark in marks.items() if other > day} <= {None}
    assert set(reading.apps(gapped).column("lower_bound").to_pylist()) == {LOST}
    after = reading.apps(gapped, start=start_of(lost + 1))
    assert set(after.column("lower_bound").to_pylist()) == {None}
    before = reading.apps(gapped, start=start_of(lost - 1), end=start_of(lost))
    assert set(before.column("lower_bound").to_pylist()) <= {LATE}


def test_people_see_the_mark_only_where_there_is_one(store: CellStore, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(reading.counters(store, "APP1"), "table", empty="")
    assert "lower_bound" not in capsys.readouterr().out
    print_table(reading.counters(with_a_gap(store)[0], "APP1"), "table", empty="")
    assert LOST in capsys.readouterr().out
    print_table(reading.counters(store, "APP1"), "csv", empty="")
    assert capsys.readouterr().out.splitlines()[0].endswith(",lower_bound")


def test_what_is_marked_how() -> None:
    bounds = LowerBounds([Gap(1, 0, 5, 9, 2, 100 * HOUR_MS, 102 * HOUR_MS, 10 * HOUR_MS, 0, "")])
    hours = {hour: bounds.of(hour, hour + 1) for hour in (89, 90, 99, 100, 102, 103)}
    assert hours == {89: None, 90: LATE, 99: LATE, 100: LOST, 102: LOST, 103: None}
    assert bounds.of(0, 90) is None
    assert bounds.of(0, 100) == LATE
    assert bounds.of(0, 101) == LOST
    assert bounds.of(103, 200) is None
    assert bounds
    assert not LowerBounds([])


# --- the commands --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("reading") / "counters.sqlite"
    Consumer(PLAN, LOGS, SqliteStore(path)).run().store.close()
    return f"sqlite:{path}"


def said(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_counters_command(stored: str, store: CellStore) -> None:
    table = reading.counters(store, "APP1", "event", bucket="day", tz="Europe/Berlin")
    asked = ("counters", "APP1", "--rollup", "event", "--bucket", "day", "--tz", "Europe/Berlin", "--store", stored)
    rows = list(csv.DictReader(io.StringIO(said(*asked, "--format", "csv"))))
    assert [row["event"] for row in rows] == table.column("event").to_pylist()
    assert [int(row["events"]) for row in rows] == table.column("events").to_pylist()
    objects = [json.loads(line) for line in said(*asked, "--format", "json").splitlines()]
    assert [row["day"] for row in objects] == [day.isoformat() for day in table.column("day").to_pylist()]
    lines = said(*asked).splitlines()
    assert lines[0].split() == ["day", "event", "events", "event_sessions"]
    assert len(lines) >= 1 + table.num_rows
    hourly = said("counters", "APP1", "--store", stored, "--from", "2013-11-01", "--to", "2013-12-01T00:00+01:00")
    assert "UTC" in hourly


def test_names_from_devices_do_not_reach_the_terminal(stored: str) -> None:
    assert "\0" not in said("counters", "APP1", "--rollup", "event", "--store", stored)


def test_the_apps_command(stored: str, store: CellStore) -> None:
    lines = said("apps", "--by", "events", "--limit", "3", "--store", stored, "--format", "csv").splitlines()
    assert [line.split(",")[0] for line in lines] == ["app", *reading.apps(store, "events", 3)["app"].to_pylist()]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("counters", "APP1", "--rollup", "nope"), 2, "There is no rollup 'nope'"),
        (("counters", "APP1", "--tz", "Mars"), 2, "not a time zone"),
        (("counters", "APP1", "--from", "soon"), 2, "no date like"),
        (("apps", "--by", "nope"), 2, "no measure"),
    ],
)
def test_refusals(stored: str, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    result = CliRunner().invoke(main, [*arguments, "--store", stored])
    assert result.exit_code == code
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    for store, code in ((f"sqlite:{tmp_path}/none.sqlite", 1), ("floppy:A", 2)):
        result = CliRunner().invoke(main, ["apps", "--store", store])
        assert result.exit_code == code
        assert result.stderr.startswith("flurry-fast: ")
