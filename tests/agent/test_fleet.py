"""What is sent: the same settings give the same reports, from Python as from Rust."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from flurry_fast import _core, _wire
from flurry_fast.agent.simulator import (
    Fleet,
    FleetRefused,
    FleetSettings,
    captured,
    parse_protocols,
    parse_start,
    show_start,
)

from ..reference import decoder as reference

START = 1_384_948_800_000
SETTINGS = FleetSettings(seed=7, apps=500, start_ms=START, malformed=0.05, hostile=0.05)


def test_the_same_settings_give_the_same_reports() -> None:
    one, other = Fleet(SETTINGS), Fleet(SETTINGS)
    whole = one.take(1000)
    parts = [other.take(n) for n in (1, 499, 500)]
    assert whole.payloads == [payload for part in parts for payload in part.payloads]
    assert whole.keys == [key for part in parts for key in part.keys]
    assert whole.size(len(whole)) == sum(len(payload) for payload in whole.payloads)
    assert Fleet(replace(SETTINGS, seed=8)).take(1000).payloads != whole.payloads


def test_a_batch_is_read_as_it_is_by_the_native_batch() -> None:
    batch = _core.Simulator(3, start_ms=START).next_batch(500)
    offsets = memoryview(b"".join(n.to_bytes(8, "little") for n in range(500))).cast("q")
    native = _wire.Batch.from_buffers(
        batch.payload, batch.payload_offsets, offsets, batch.times_ms, 4, batch.key_bytes, batch.key_offsets
    )
    rows = native.rows()
    assert [row[5] for row in rows] == batch.payloads()
    assert [row[3] for row in rows] == batch.keys()
    assert [row[2] for row in rows] == list(batch.times_ms)
    assert len(batch) == len(native) == 500


def test_virtual_time_follows_the_rate() -> None:
    simulator = _core.Simulator(1, rate=10, start_ms=START)
    assert simulator.now_ms == START
    batch = simulator.next_batch(11)
    assert (batch.times_ms[0], batch.times_ms[10]) == (START, START + 1000)
    assert (simulator.sent, simulator.now_ms) == (11, START + 1100)


def test_the_mix_of_protocols_is_what_was_asked_for() -> None:
    fleet = Fleet(FleetSettings(start_ms=START).with_protocols({30: 1, 8: 3}))
    seen = Counter(json.loads(_core.decode_json(payload))["protocol"] for payload in fleet.take(2000).payloads)
    assert set(seen) == {8, 30}
    assert 1300 < seen[8] < 1700


def test_damaged_and_hostile_shares_give_every_reason() -> None:
    payloads = Fleet(FleetSettings(start_ms=START, malformed=0.5, hostile=0.5)).take(4000).payloads
    outcomes = Counter(json.loads(_core.decode_json(payload))["outcome"] for payload in payloads)
    assert set(outcomes) == {"ok"} | {name for _, name, _ in _core.REASONS}


def test_every_key_is_the_one_of_its_report() -> None:
    chunk = Fleet(SETTINGS).take(3000)
    assert chunk.keys == [_core.message_key(payload) for payload in chunk.payloads]


def test_captures_come_first_and_alone(captures: list[Path]) -> None:
    fleet = Fleet(SETTINGS, captures[0].parents[1])
    bodies = [path.read_bytes() for path in captures]
    assert fleet.captures == len(bodies)
    first, second, third = fleet.take(200), fleet.take(200), fleet.take(10)
    assert first.payloads + second.payloads == bodies
    assert first.keys[0] == b"ABCDEFGHJKLMNPQRSTUV|0"
    assert third.payloads == Fleet(SETTINGS).take(10).payloads


def test_a_folder_without_captures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetRefused, match="no captured report"):
        captured(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"apps": 0}, "apps"),
        ({"apps": 400_001}, "apps"),
        ({"apps": -1}, "."),
        ({"devices": 0}, "devices"),
        ({"rate": 0}, "rate"),
        ({"start_ms": -1}, "start"),
        ({"malformed": 1.5}, "malformed"),
        ({"malformed": float("nan")}, "malformed"),
        ({"malformed": 0.7, "hostile": 0.7}, "hostile"),
        ({"protocols": {16: 1}}, "protocols"),
        ({"protocols": {26: 0}}, "protocols"),
    ],
)
def test_impossible_fleets_are_refused_by_name(change: dict[str, object], named: str) -> None:
    with pytest.raises(FleetRefused, match=named) as refused:
        Fleet(replace(SETTINGS, **change))  # type: ignore[arg-type]
    assert refused.value.exit_code == 2


def test_protocols_are_parsed() -> None:
    assert parse_protocols("26:50, 22:30,8") == {26: 50, 22: 30, 8: 1}
    for bad in ("", "26:x", "x", "26:1.5", "23", "26,-8"):
        with pytest.raises(ValueError, match=r"protocol|PROTOCOL"):
            parse_protocols(bad)


def test_start_is_parsed_and_shown_so_that_it_parses_again() -> None:
    assert parse_start("2013-11-20T12:00:00Z") == START
    assert parse_start("2013-11-20T12:00:00") == START
    assert parse_start("2013-11-20T13:00:00+01:00") == START
    assert parse_start(str(START)) == START
    assert abs(parse_start("now") - time.time() * 1000) < 60_000
    assert parse_start("now") % 1000 == 0
    assert show_start(START) == "2013-11-20T12:00:00Z"
    assert parse_start(show_start(START + 5)) == START + 5
    with pytest.raises(ValueError, match="neither"):
        parse_start("yesterday")


def test_the_independent_decoder_reads_the_same_in_ordinary_damaged_and_hostile_reports() -> None:
    payloads = Fleet(FleetSettings(seed=99, start_ms=START, malformed=0.3, hostile=0.3)).take(700).payloads
    for payload in payloads:
        assert json.loads(_core.decode_json(payload)) == reference.decode(payload), payload.hex()[:400]
