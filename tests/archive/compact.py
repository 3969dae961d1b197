"""Thrift's compact protocol, as far as Parquet's headers need it: a reader that shares nothing with our writer."""

from __future__ import annotations

from typing import Any


class Reader:
    """Reads one value after the other from `data`, starting at `place`."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data, self.place = data, place

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def number(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self.byte()
            case 4 | 5 | 6:
                return self.number()
            case 8:
                length = self.varint()
                self.place += length
                return self.data[self.place - length : self.place]
            case 9:
                head = self.byte()
                length = head >> 4 if head >> 4 < 15 else self.varint()
                kind = head & 15
                return [self.byte() == 1 if kind in (1, 2) else self.value(kind) for _ in range(length)]
            case 12:
                return self.struct()
        raise ValueError(f"type {kind}")

    def struct(self) -> dict[int, Any]:
        """Field id -> value."""
        found: dict[int, Any] = {}
        last = 0
        while head := self.byte():
            last = last + (head >> 4) if head >> 4 else self.number()
            found[last] = self.value(head & 15)
        return found
