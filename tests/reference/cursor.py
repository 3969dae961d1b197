"""Reads the types of docs/wire-format.md from left to right."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from . import text

T = TypeVar("T")

MAX_RECORDS = 200_000


class UnreadableError(Exception):
    """A report that cannot be read; `reason` is one of the names in docs/wire-format.md."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Cursor:
    """A place in the body, and the records announced before it."""

    def __init__(self, body: bytes, at: int = 0, records: int = 0) -> None:
        self.body, self.at, self.records = body, at, records

    def take(self, length: int) -> bytes:
        if length > len(self.body) - self.at:
            raise UnreadableError("truncated")
        self.at += length
        return self.body[self.at - length : self.at]

    def _number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)

    def u8(self) -> int:
        return self._number(">B")

    def i8(self) -> int:
        return self._number(">b")

    def u16(self) -> int:
        return self._number(">H")

    def i32(self) -> int:
        return self._number(">i")

    def i64(self) -> int:
        return self._number(">q")

    def f64(self) -> float:
        (value,) = struct.unpack(">d", self.take(8))
        return float(value)

    def f32(self) -> float:
        (value,) = struct.unpack(">f", self.take(4))
        return float(value)

    def must(self, read: Callable[[], int], value: int) -> None:
        """A field that can have one value only."""
        if read() != value:
            raise UnreadableError("bad_value")

    def flag(self) -> bool:
        value = self.u8()
        if value > 1:
            raise UnreadableError("bad_value")
        return value == 1

    def blob(self) -> bytes:
        return self.take(self.u16())

    def raw_text(self) -> bytes:
        """Accepted modified UTF-8, as its bytes."""
        data = self.blob()
        try:
            text.units(data)
        except text.BadTextError:
            raise UnreadableError("bad_text") from None
        return data

    def text(self) -> str:
        return text.decode(self.raw_text())

    def count(self) -> int:
        announced = self.u16()
        self.records += announced
        if self.records > MAX_RECORDS:
            raise UnreadableError("over_budget")
        return announced

    def many(self, read: Callable[[], T]) -> list[T]:
        return [read() for _ in range(self.count())]

    def maybe(self, read: Callable[[], T]) -> T | None:
        return read() if self.flag() else None

    def pair(self) -> list[str]:
        return [self.text(), self.text()]

    def padded_pair(self) -> list[str]:
        """A pair and one byte 0, as protocols 29 and later write properties."""
        pair = self.pair()
        self.must(self.u8, 0)
        return pair
