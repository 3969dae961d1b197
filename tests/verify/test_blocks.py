"""The plain block codec: what it writes it reads, and everything else it refuses."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flurry_fast.verify import blocks
from flurry_fast.verify.blocks import Block, BlockError
from flurry_fast.verify.count import OTHER
from flurry_fast.verify.plan import CountedPlan

PLAN = CountedPlan.parse(
    """
    [[rollup]]
    name = "app"
    dimensions = []
    measures = ["reports", "sessions"]
    cap = 1
    [[rollup]]
    name = "event"
    dimensions = ["event", "country"]
    measures = ["events"]
    cap = 3
    """
)


def signed(body: bytes) -> bytes:
    return body + struct.pack(">I", zlib.crc32(body))


def test_golden_bytes() -> None:
    block = Block(end=300, plan_id=0x01020304, last_crc=0xAABBCCDD)
    block.rollups["app"] = {(): {"reports": 1, "sessions": 200}}
    block.rollups["event"] = {("ab", "US"): {"events": 5}, ("ab", ""): {"events": 0}, ("é", "DE"): {"events": 7}}
    block.rollups["event"][OTHER] = {"events": 128}
    block.rollups["unreadable"] = {("bad_crc",): {"reports": 2}}
    expected = (
        b"\x02" + (300).to_bytes(8) + b"\x01\x02\x03\x04" + b"\xaa\xbb\xcc\xdd" + b"\x03"
        # rollup 0, one group, no (other): the empty key
        + b"\x00\x01\x00" + b"\x00\x00" + b"\x01\xc8\x01"
        # rollup 1, three groups in the order of their encoded keys, (other)
        + b"\x01\x03\x01"
        + b"\x00\x04\x02ab\x00" + b"\x00"
        + b"\x03\x03\x02US" + b"\x05"
        + b"\x01\x05\xc3\xa9\x02DE" + b"\x07"
        + b"\x80\x01"
        + b"\xff\x01\x01\x00" + b"\x00\x08\x07bad_crc" + b"\x02"
    )  # fmt: skip
    assert blocks.encode(PLAN, block) == signed(expected)
    assert blocks.decode(PLAN, signed(expected)) == block


measures = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
event_keys = st.tuples(st.text(max_size=4), st.sampled_from(["", "US", "DE"]))


@st.composite
def any_block(draw: st.DrawFn) -> Block:
    block = Block(draw(st.integers(0, 2**63 - 1)), draw(st.integers(1, 2**32 - 1)), draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        block.rollups["app"] = {(): {"reports": draw(measures), "sessions": draw(measures)}}
    keys = draw(st.lists(event_keys, max_size=3, unique=True))
    if keys:
        block.rollups["event"] = {key: {"events": draw(measures)} for key in keys}
    if len(keys) == 3 and draw(st.booleans()):
        block.rollups["event"][OTHER] = {"events": draw(measures)}
    return block


@given(block=any_block())
def test_what_is_written_is_read(block: Block) -> None:
    assert blocks.decode(PLAN, blocks.encode(PLAN, block)) == block


@given(block=any_block(), at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_only_canonical_bytes_are_read(block: Block, at: int, byte: int) -> None:
    """A changed byte is refused, or it makes another block whose canonical bytes are exactly these."""
    body = bytearray(blocks.encode(PLAN, block)[:-4])
    body[at % len(body)] = byte
    try:
        read = blocks.decode(PLAN, signed(bytes(body)))
    except BlockError:
        return
    assert blocks.encode(PLAN, read) == signed(bytes(body))


HEAD = b"\x02" + bytes(7) + b"\x09" + b"\0\0\0\x01" + bytes(4)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"\x01" + HEAD[1:] + b"\x00", "format 1; this version reads 2"),
        (HEAD + b"\x00\x00", "bytes are left"),
        (HEAD + b"\x80\x00", "fewest bytes"),
        (HEAD + b"\xff" * 10 + b"\x01", "longer than ten"),
        (HEAD + b"\xff" * 9 + b"\x02", "over 64 bits"),
        (HEAD + b"\x01\x05\x01\x00", "no rollup 5"),
        (HEAD + b"\x01\x00\x00\x00", "without groups"),
        (HEAD + b"\x01\x00\x01\x02", "wrong mark"),
        (HEAD + b"\x01\x01\x01\x01", "against a cap"),
        (HEAD + b"\x02" + b"\x00\x01\x00\x00\x00\x01\x01" * 2, "out of order"),
        (HEAD + b"\x01\x00\x01\x00\x01\x00\x01\x01", "shares a prefix with nothing"),
        (HEAD + b"\x01\x00\x01\x00\x00\x01x\x01\x01", "more than 0 values"),
        (HEAD + b"\x01\x01\x02\x00" + b"\x00\x03\x01b\x00\x01" + b"\x00\x03\x01a\x00\x01", "keys are out of order"),
        (HEAD + b"\x01\x01\x02\x00" + b"\x00\x03\x01a\x00\x01" + b"\x00\x03\x01b\x00\x01", "not the longest"),
        (HEAD + b"\x01\x01\x02\x00" + b"\x00\x03\x01a\x00\x01" + b"\x04\x03\x01b\x00\x01", "more than its predecessor"),
        (HEAD + b"\x01\x01\x01\x00" + b"\x00\x03\x01\xff\x00\x01", "not UTF-8"),
        (HEAD + b"\x01\x01\x01\x00" + b"\x00\x03\x01a", "ends inside"),
    ],
)
def test_what_is_refused(body: bytes, what: str) -> None:
    with pytest.raises(BlockError, match=what):
        blocks.decode(PLAN, signed(body))


def test_damage_is_refused() -> None:
    value = blocks.encode(PLAN, Block(5, 1, 2, {"app": {(): {"reports": 1, "sessions": 1}}}))
    for at in range(len(value)):
        with pytest.raises(BlockError):
            blocks.decode(PLAN, value[:at])
        with pytest.raises(BlockError):
            blocks.decode(PLAN, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])


@given(key=st.binary(max_size=255), bucket=st.integers(0, 2**32 - 1))
def test_rows(key: bytes, bucket: int) -> None:
    name = blocks.row(key, bucket)
    assert blocks.parse_row(name) == (key, bucket)
    for wrong in (name[:-1], name + b"x", bytes([name[0] ^ 1]) + name[1:], name[:-5] + b"d" + name[-4:], b""):
        with pytest.raises(BlockError):
            blocks.parse_row(wrong)


def test_qualifiers() -> None:
    assert blocks.qualifier(1, 2, 3).hex() == "00000001000000020003"
    assert blocks.parse_qualifier(blocks.qualifier(7, 8, 65_535)) == (7, 8, 65_535)
    with pytest.raises(BlockError):
        blocks.parse_qualifier(b"short")
