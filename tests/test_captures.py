"""Every report that a real agent made: decoded to its JSON, and written again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flurry_fast._core import REASONS, UnreadableReport, decode_json, message_key, peek, reencode, semantics_version

DOC = Path(__file__).parent.parent / "docs" / "wire-format.md"


def test_captures_decode_to_their_json(captures: list[Path]) -> None:
    for body in captures:
        expected = json.loads(body.with_suffix(".json").read_text())
        line = decode_json(body.read_bytes())
        assert b"\n" not in line
        report = json.loads(line)
        assert {key: report[key] for key in expected} == expected, body
        assert ("repaired_errors" in report) == ("repaired_errors" in expected)


def test_captures_encode_to_their_own_bytes(captures: list[Path]) -> None:
    kinds = {"whole": 0, "repaired": 0, "unreadable": 0}
    for body in captures:
        data, expected = body.read_bytes(), json.loads(body.with_suffix(".json").read_text())
        if expected["outcome"] != "ok":
            kinds["unreadable"] += 1
            with pytest.raises(UnreadableReport) as refused:
                reencode(data)
            assert refused.value.reason == expected["outcome"]
        elif "repaired_errors" in expected:
            kinds["repaired"] += 1
            again = reencode(data)
            assert len(again) == len(data)
            del expected["repaired_errors"]
            report = json.loads(decode_json(again))
            assert {key: report[key] for key in expected} == expected, body
        else:
            kinds["whole"] += 1
            assert reencode(data) == data, body
    assert kinds == {"whole": 238, "repaired": 5, "unreadable": 2}


def test_captures_are_keyed_by_their_app(captures: list[Path]) -> None:
    for body in captures:
        data = body.read_bytes()
        assert peek(data) == (b"ABCDEFGHJKLMNPQRSTUV", b"AND9f3c0d5b7a1e2468")
        assert message_key(data) == b"ABCDEFGHJKLMNPQRSTUV|0"


def test_a_key_for_what_no_one_can_read() -> None:
    assert peek(b"\x00\x09nonsense") is None
    assert message_key(b"") == b"00000000"
    with pytest.raises(ValueError, match="at least 1"):
        message_key(b"", shards=0)


def test_every_reason_is_documented() -> None:
    rows = [line.split("|") for line in DOC.read_text().splitlines() if line.startswith("| `")]
    documented = {
        (int(cells[2]), cells[1].strip().strip("`"), cells[3].strip())
        for cells in rows
        if len(cells) == 5 and cells[2].strip().isdigit()
    }
    assert documented == set(REASONS)
    assert semantics_version() >= 1


def test_a_location_that_is_no_number_is_null(captures: list[Path]) -> None:
    data = next(body for body in captures if body.parent.name == "a117" and b"@B" in body.read_bytes()).read_bytes()
    at = data.index(b"@B", data.index(b"en_US"))
    changed = data[:at] + b"\x7f\xf8" + data[at + 2 :]
    session = json.loads(decode_json(changed))["sessions"][0]
    assert session["location"]["lat"] is None
    assert session["location"]["lon"] == json.loads(decode_json(data))["sessions"][0]["location"]["lon"]
