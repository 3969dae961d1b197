"""The Rust decoder against the reference decoder: the same outcome and the same JSON, to the last key, for
generated reports of every protocol, for all captures, and for bytes that were damaged on the way."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flurry_fast import _core

from .profiles import THOROUGH
from .reference.decoder import MAX_REPORT_BYTES, decode
from .reference.encoder import encode, with_crc
from .reference.generate import PROTOCOLS, Generator

SEEDS = st.integers(0, 2**32 - 1)


def assert_parity(data: bytes) -> dict[str, Any]:
    """Both decoders agree on `data`; returns what they say."""
    line = _core.decode_json(data)
    assert b"\n" not in line
    ours, reference = json.loads(line), decode(data)
    if json.dumps(ours) != json.dumps(reference):
        assert ours == reference, data.hex()
        raise AssertionError(f"equal values, but other types or another order: {line!r}")
    return reference


def has_crc(data: bytes) -> bool:
    return int.from_bytes(data[:2]) >= 22


def recrc(data: bytes) -> bytes:
    """The damaged report as an agent would have signed it."""
    return with_crc(data[:-4]) if has_crc(data) else data


# --- generated ---------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(seed=SEEDS)
def test_generated_reports(protocol: int, seed: int) -> None:
    assert_parity(encode(Generator(Random(seed)).report(protocol)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(seed=SEEDS)
def test_generated_reports_that_break_rules(protocol: int, seed: int) -> None:
    assert_parity(encode(Generator(Random(seed), odd=0.1, bad=0.01).report(protocol)))


@pytest.mark.parametrize("protocol", [protocol for protocol in PROTOCOLS if protocol >= 22])
@given(seed=SEEDS, session=st.integers(0, 3), missing=st.integers(1, 4))
def test_bodies_broken_by_their_agent(protocol: int, seed: int, session: int, missing: int) -> None:
    report = Generator(Random(seed)).report(protocol, sessions=4)
    report["sessions"][session]["unwritten_errors"] = missing
    assert_parity(encode(report))


def test_repair_reads_what_was_written() -> None:
    report = Generator(Random(7), odd=0.0).report(26, sessions=3)
    whole = assert_parity(encode(report))
    report["sessions"][1]["unwritten_errors"] = 2
    repaired = assert_parity(encode(report))
    assert repaired.pop("repaired_errors") == 2
    assert repaired == whole


# --- captures ----------------------------------------------------------------


def test_captures(captures: list[Path]) -> None:
    for body in captures:
        assert_parity(body.read_bytes())


def test_captures_cut_anywhere(captures: list[Path]) -> None:
    random = Random(11)
    for body in captures:
        data = body.read_bytes()
        for _ in range(40 if THOROUGH else 4):
            cut = data[: random.randint(0, len(data))]
            assert_parity(cut)
            assert_parity(with_crc(cut))


# --- damaged -----------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_byte_of_a_small_report(protocol: int) -> None:
    """Each byte in turn becomes each of a few others; each length is tried. With and without a CRC that says so."""
    seed = next(s for s in range(999) if 250 < len(encode(Generator(Random(s)).report(protocol, sessions=1))) < 450)
    data = encode(Generator(Random(seed)).report(protocol, sessions=1))
    for at, byte in enumerate(data):
        for other in {0, 1, 2, 0x7F, 0x80, 0xC3, 0xED, 0xFF, byte ^ 1, byte + 1 & 0xFF} - {byte}:
            damaged = data[:at] + bytes([other]) + data[at + 1 :]
            assert_parity(recrc(damaged))
        assert_parity(data[:at])
        assert_parity(recrc(data[:at] + data[-4:]))
        assert_parity(recrc(data[:at] + data[at + 1 :]))


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    """Up to four blows: what, where (a share of the length), with which bytes."""
    blow = st.tuples(
        st.sampled_from(["flip", "cut", "insert", "remove", "overwrite", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff\xff", b"\0\0", b"\xff" * 8, b"\x7f\xff"])),
    )
    return draw(st.lists(blow, min_size=1, max_size=4))


def struck(data: bytes, blows: list[tuple[str, float, bytes]]) -> bytes:
    for what, where, payload in blows:
        at = int(where * len(data))
        if what == "flip" and data:
            data = data[:at] + bytes([data[at] ^ 1 << payload[0] % 8]) + data[at + 1 :]
        elif what == "cut":
            data = data[:at]
        elif what == "insert":
            data = data[:at] + payload + data[at:]
        elif what == "remove":
            data = data[:at] + data[at + len(payload) :]
        elif what == "overwrite":
            data = data[:at] + payload + data[at + len(payload) :]
        elif what == "repeat":
            data = data[:at] + data[max(0, at - 8 * len(payload)) :]
    return data


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(seed=SEEDS, blows=damage(), signed=st.booleans())
def test_damaged_reports(protocol: int, seed: int, blows: list[tuple[str, float, bytes]], signed: bool) -> None:
    data = encode(Generator(Random(seed)).report(protocol), crc=False)
    if protocol >= 22 and not signed:
        assert_parity(struck(with_crc(data), blows))
        return
    damaged = struck(data, blows)
    assert_parity(with_crc(damaged) if protocol >= 22 else damaged)


@given(place=st.integers(0, 244), blows=damage())
def test_damaged_captures(captures: list[Path], place: int, blows: list[tuple[str, float, bytes]]) -> None:
    data = struck(captures[place].read_bytes(), blows)
    assert_parity(data)
    assert_parity(recrc(data) if len(data) > 6 else data)


@given(head=st.sampled_from(PROTOCOLS), data=st.binary(max_size=300))
def test_noise(head: int, data: bytes) -> None:
    assert_parity(data)
    assert_parity(head.to_bytes(2) + data)
    assert_parity(with_crc(head.to_bytes(2) + data))


# --- limits ------------------------------------------------------------------


def test_too_many_bytes() -> None:
    body = encode(Generator(Random(1)).report(8, sessions=0))
    assert assert_parity(body + bytes(MAX_REPORT_BYTES - len(body)))["outcome"] == "trailing_bytes"
    assert assert_parity(body + bytes(MAX_REPORT_BYTES + 1 - len(body)))["outcome"] == "over_budget"


@pytest.mark.parametrize(("spare", "outcome"), [(0, "ok"), (-1, "over_budget")])
def test_too_many_records(spare: int, outcome: str) -> None:
    report = Generator(Random(3), odd=0.0).report(15, sessions=0)
    report["ad_ids"], report["properties"] = [], []
    sessions = []
    left = 200_000 - 4 - spare
    while left:
        session = Generator(Random(3), odd=0.0).session()
        size = min(left, 65_535)
        sessions.append(session | {"event_counts": [("", 1)] * size, "events": [], "errors": []})
        left -= size
    assert len(sessions) == 4
    assert assert_parity(encode(report | {"sessions": sessions}))["outcome"] == outcome


def test_repair_work_is_bounded() -> None:
    """A field of zeros is a field of error records, and every place in it looks like the end of the session."""
    report = Generator(Random(5), odd=0.0).report(25, sessions=1)
    report["sessions"][0]["errors"] = []
    report["sessions"][0]["unwritten_errors"] = 65_535
    outcomes = {assert_parity(encode(report | {"trailing": bytes(size)}))["outcome"] for size in (10, 4_000, 40_000)}
    assert outcomes <= {"truncated", "ok", "trailing_bytes", "over_budget"}
    assert assert_parity(encode(report | {"trailing": bytes(700_000)}))["outcome"] == "over_budget"


def test_two_readings_are_none() -> None:
    """The errors left out of the first session could as well be those of the second."""
    report = Generator(Random(5), odd=0.0).report(26, sessions=2)
    for session in report["sessions"]:
        session["errors"] = []
    seen = set()
    for pattern in range(4):
        for place in (0, 1):
            report["sessions"][place]["unwritten_errors"] = pattern >> place & 1
        outcome = assert_parity(encode(report))
        seen.add((outcome["outcome"], outcome.get("repaired_errors", 0)))
    assert ("ok", 0) in seen
    assert ("ok", 1) in seen
    assert any(name != "ok" for name, _ in seen)
