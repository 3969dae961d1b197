"""Reports in a file: each preceded by its length, u32 big-endian."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

_LENGTH = struct.Struct(">I")


def write_framed(out: BinaryIO, payloads: Iterable[bytes]) -> int:
    """Append reports; returns the bytes written, lengths included. Raises OSError."""
    pack = _LENGTH.pack
    parts = [part for payload in payloads for part in (pack(len(payload)), payload)]
    return out.write(b"".join(parts))


def read_framed(source: BinaryIO) -> Iterator[bytes]:
    """The reports of such a file. Raises ValueError where it ends inside a report."""
    while head := source.read(_LENGTH.size):
        if len(head) < _LENGTH.size:
            raise ValueError("the file ends inside a length")
        (length,) = _LENGTH.unpack(head)
        payload = source.read(length)
        if len(payload) < length:
            raise ValueError(f"the file ends inside a report of {length} bytes")
        yield payload
