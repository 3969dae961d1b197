"""The reference decoder itself: against the captures, whose JSON an independent parser wrote."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from random import Random

import pytest

from .reference import text
from .reference.decoder import decode, message_key
from .reference.encoder import encode
from .reference.generate import PROTOCOLS, Generator


def test_captures_decode_to_their_json(captures: list[Path]) -> None:
    for body in captures:
        expected = json.loads(body.with_suffix(".json").read_text())
        report = decode(body.read_bytes())
        assert {key: report[key] for key in expected} == expected, body


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_the_generator_writes_is_what_is_read(protocol: int) -> None:
    for seed in range(50):
        written = Generator(Random(seed), odd=0.0).report(protocol)
        report = decode(encode(written))
        assert report["outcome"] == "ok"
        for key in ("protocol", "platform", "agent_version", "reported_at_ms", "api_key", "first_session_start_ms"):
            assert report[key] == written[key]
        assert [session["user_id"] for session in report["sessions"]] == [s["user_id"] for s in written["sessions"]]
        for session, source in zip(report["sessions"], written["sessions"], strict=True):
            assert session["event_counts"] == [list(pair) for pair in source["event_counts"]]
            assert [event["name"] for event in session["events"]] == [event["name"] for event in source["events"]]
            assert [error["message"] for error in session["errors"]] == [e["message"] for e in source["errors"]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain", "plain"),
        (b"\xc0\x80", "\0"),
        (b"\xc1\xa1", "a"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
        (b"\xed\xa0\xbd", "\ufffd"),
        (b"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80", "\ufffd😀"),
        (b"\xed\xb8\x80x", "\ufffdx"),
    ],
)
def test_modified_utf8(data: bytes, expected: str) -> None:
    assert text.decode(data) == expected


@pytest.mark.parametrize("data", [b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98\x80", b"\xc3\x28", b"\xff"])
def test_bytes_that_are_no_modified_utf8(data: bytes) -> None:
    with pytest.raises(text.BadTextError):
        text.decode(data)


@pytest.mark.parametrize(
    ("value", "read"),
    [("", ""), ("a\0b", "a\0b"), ("é漢😀", "é漢😀"), ("\ud800", "\ufffd"), ("\udc00\ud800", "\ufffd\ufffd")],
)
def test_text_is_written_as_agents_do(value: str, read: str) -> None:
    assert text.decode(text.encode(value)) == read
    assert b"\0" not in text.encode(value)


def test_message_key_needs_the_head_only() -> None:
    report = Generator(Random(1), odd=0.0).report(26)
    body = encode(report)
    key = str(report["api_key"]).encode()
    assert message_key(body) == key + b"|0"
    assert message_key(body[:-10]) == key + b"|0"
    assert message_key(body[:10]) == b"%08x" % zlib.crc32(body[:10])
