"""Counter blocks in plain Python: a strict reader and a writer of the format of docs/counters.md.

Independent of the Rust codec: this is how a block is looked at by whoever does not want to trust it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from flurry_fast.verify.count import OTHER, Groups, Key
from flurry_fast.verify.plan import CountedPlan, CountedRollup

FORMAT = 2
_HEAD = struct.Struct(">BQII")  # format, E, plan id, CRC-32C of record E-1
_CRC = struct.Struct(">I")
_QUALIFIER = struct.Struct(">IIH")
_U64_MAX = 2**64 - 1


class BlockError(ValueError):
    """Bytes that are no canonical block, or a row or qualifier that names none."""


# --- names -----------------------------------------------------------------------------------------------------------


def row(api_key: bytes, bucket: int) -> bytes:
    """The row of an app's hour; the API key as its wire bytes, the bucket in hours since the epoch."""
    salt = zlib.crc32(api_key) & 0xFF
    return bytes((salt, len(api_key))) + api_key + b"h" + struct.pack(">I", bucket)


def parse_row(name: bytes) -> tuple[bytes, int]:
    """(API key, bucket) of a row. Raises BlockError."""
    if len(name) < 2 or len(name) != 2 + name[1] + 5 or name[-5:-4] != b"h":
        raise BlockError(f"row {name.hex()} has another shape than salt, length, key, 'h', hour")
    api_key, bucket = name[2:-5], int.from_bytes(name[-4:])
    if row(api_key, bucket) != name:
        raise BlockError(f"row {name.hex()} has a wrong salt")
    return api_key, bucket


def qualifier(plan_id: int, incarnation: int, partition: int) -> bytes:
    """The column of one partition's contribution under one plan."""
    return _QUALIFIER.pack(plan_id, incarnation, partition)


def parse_qualifier(name: bytes) -> tuple[int, int, int]:
    """(plan id, incarnation, partition). Raises BlockError."""
    if len(name) != _QUALIFIER.size:
        raise BlockError(f"qualifier {name.hex()} is not 10 bytes long")
    plan_id, incarnation, partition = _QUALIFIER.unpack(name)
    return plan_id, incarnation, partition


# --- blocks ----------------------------------------------------------------------------------------------------------


@dataclass
class Block:
    """One decoded block: everything of one (app, hour) from a partition's records with offset < `end`."""

    end: int
    plan_id: int
    last_crc: int
    # rollup name -> group key (or OTHER) -> measure -> value; rollups without a group are left out
    rollups: dict[str, Groups] = field(default_factory=dict)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise BlockError("the block ends inside a field")
        self.at += length
        return self.data[self.at - length : self.at]

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= 70:
                raise BlockError("a varint is longer than ten bytes")
        if value > _U64_MAX or (shift > 7 and byte == 0):
            raise BlockError("a varint is not in its fewest bytes, or over 64 bits")
        return value


def decode(plan: CountedPlan, value: bytes) -> Block:
    """The block that `value` holds, every rule of the format checked. Raises BlockError."""
    if value and value[0] != FORMAT:
        raise BlockError(f"the block has format {value[0]}; this version reads {FORMAT}")
    if len(value) < _HEAD.size + _CRC.size:
        raise BlockError("the block is shorter than its head")
    body = value[: -_CRC.size]
    if _CRC.unpack(value[-_CRC.size :])[0] != zlib.crc32(body):
        raise BlockError("the block's CRC does not match")
    _, end, plan_id, last_crc = _HEAD.unpack(body[: _HEAD.size])
    block = Block(end, plan_id, last_crc)
    reader = _Reader(body)
    reader.at = _HEAD.size
    previous = -1
    for _ in range(reader.varint()):
        previous = _section(plan, reader, block, previous)
    if reader.at != len(body):
        raise BlockError("bytes are left after the last section")
    return block


def _section(plan: CountedPlan, reader: _Reader, block: Block, previous: int) -> int:
    number = reader.varint()
    if number <= previous:
        raise BlockError("sections are out of order")
    try:
        rollup = plan.rollup(number)
    except IndexError:
        raise BlockError(f"the plan has no rollup {number}") from None
    own, has_other = reader.varint(), reader.take(1)[0]
    if has_other > 1 or (not own and not has_other):
        raise BlockError(f"rollup {rollup.name}: a section without groups, or a wrong mark for (other)")
    if own > rollup.cap or (has_other and own != rollup.cap):
        raise BlockError(f"rollup {rollup.name}: {own} groups and {has_other} (other) against a cap of {rollup.cap}")
    groups: Groups = {}
    last: bytes | None = None
    for _ in range(own):
        last = _encoded_key(reader, last)
        groups[_split_key(rollup, last)] = _measures(rollup, reader)
    if has_other:
        groups[OTHER] = _measures(rollup, reader)
    block.rollups[rollup.name] = groups
    return number


def _encoded_key(reader: _Reader, last: bytes | None) -> bytes:
    shared = reader.varint()
    rest = reader.take(reader.varint())
    if last is None:
        if shared:
            raise BlockError("the first key of a section shares a prefix with nothing")
        return rest
    if shared > len(last):
        raise BlockError("a key shares more than its predecessor has")
    key = last[:shared] + rest
    if key <= last:
        raise BlockError("keys are out of order")
    if shared != _shared(last, key):
        raise BlockError("a shared prefix is not the longest")
    return key


def _shared(one: bytes, other: bytes) -> int:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))


def _split_key(rollup: CountedRollup, encoded: bytes) -> tuple[str, ...]:
    reader = _Reader(encoded)
    try:
        values = tuple(reader.take(reader.varint()).decode("utf-8") for _ in rollup.dimensions)
    except UnicodeDecodeError:
        raise BlockError(f"rollup {rollup.name}: a key is not UTF-8") from None
    if reader.at != len(encoded):
        raise BlockError(f"rollup {rollup.name}: a key has more than {len(rollup.dimensions)} values")
    return values


def _measures(rollup: CountedRollup, reader: _Reader) -> dict[str, int]:
    return {measure: reader.varint() for measure in rollup.measures}


# --- writing ---------------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _join_key(values: Key) -> bytes:
    texts = [value.encode("utf-8") for value in values]
    return b"".join(_varint(len(text)) + text for text in texts)


def encode(plan: CountedPlan, block: Block) -> bytes:
    """The canonical bytes of the block."""
    rollups = [*plan.rollups, plan.rollup(255)]
    present = [rollup for rollup in rollups if block.rollups.get(rollup.name)]
    out = bytearray(_HEAD.pack(FORMAT, block.end, block.plan_id, block.last_crc))
    out += _varint(len(present))
    for rollup in present:
        groups = dict(block.rollups[rollup.name])
        other = groups.pop(OTHER, None)
        out += _varint(rollup.number) + _varint(len(groups)) + bytes((other is not None,))
        last = b""
        for key, measures in sorted((_join_key(key), measures) for key, measures in groups.items()):
            shared = _shared(last, key)
            out += _varint(shared) + _varint(len(key) - shared) + key[shared:]
            out += b"".join(_varint(measures[name]) for name in rollup.measures)
            last = key
        if other is not None:
            out += b"".join(_varint(other[name]) for name in rollup.measures)
    return bytes(out) + _CRC.pack(zlib.crc32(out))
