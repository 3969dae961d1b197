"""Modified UTF-8, a unit at a time."""

from __future__ import annotations


class BadTextError(ValueError):
    """Bytes that Java's readUTF refuses."""


def units(data: bytes) -> list[int]:
    """The UTF-16 units of modified UTF-8; raises BadTextError."""
    found: list[int] = []
    at = 0
    while at < len(data):
        first = data[at]
        if first >> 7 == 0b0:
            length, unit = 1, first
        elif first >> 5 == 0b110:
            length, unit = 2, first & 0b11111
        elif first >> 4 == 0b1110:
            length, unit = 3, first & 0b1111
        else:
            raise BadTextError
        rest = data[at + 1 : at + length]
        if len(rest) != length - 1:
            raise BadTextError
        for byte in rest:
            if byte >> 6 != 0b10:
                raise BadTextError
            unit = unit << 6 | byte & 0b111111
        found.append(unit)
        at += length
    return found


def decode(data: bytes) -> str:
    """The text: pairs of surrogates joined, every other surrogate U+FFFD."""
    characters: list[str] = []
    high: int | None = None
    for unit in units(data):
        if 0xDC00 <= unit <= 0xDFFF:
            characters.append("\ufffd" if high is None else chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00))
            high = None
            continue
        if high is not None:
            characters.append("\ufffd")
        high = unit if 0xD800 <= unit <= 0xDBFF else None
        if high is None:
            characters.append(chr(unit))
    if high is not None:
        characters.append("\ufffd")
    return "".join(characters)


def encode(text: str) -> bytes:
    """How an agent writes the text (lone surrogates of a Python string become one unit each)."""
    out = bytearray()
    utf16 = text.encode("utf-16-be", "surrogatepass")
    for unit in (int.from_bytes(utf16[at : at + 2]) for at in range(0, len(utf16), 2)):
        if 0 < unit < 0x80:
            out.append(unit)
        elif unit < 0x800:
            out += bytes((0xC0 | unit >> 6, 0x80 | unit & 0x3F))
        else:
            out += bytes((0xE0 | unit >> 12, 0x80 | unit >> 6 & 0x3F, 0x80 | unit & 0x3F))
    return bytes(out)
