"""A page of memory that the driver shares with one process: an order one way, what became of it the other.

It is a file that both have mapped, so what a process noted is there after `kill -9`.
"""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import Any

from flurry_fast.trials import POINTS

_HEAD = struct.Struct("<III")  # number of the order, its length; then what was fired: order * 256 + step
_ORDER = 4096
_COUNT = struct.Struct("<I")
_INDEX = {point: _HEAD.size + _ORDER + _COUNT.size * place for place, point in enumerate(POINTS)}
SIZE = _HEAD.size + _ORDER + _COUNT.size * len(POINTS)


class Mailbox:
    """Both sides use this; each writes only its own part."""

    def __init__(self, path: Path) -> None:
        """Maps the file, which is made if it is not there."""
        if not path.exists():
            path.write_bytes(bytes(SIZE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), SIZE)

    # --- the driver's side ---------------------------------------------------------------------------------------

    def give(self, order: dict[str, Any]) -> int:
        """Give an order in the place of the last one; its number."""
        text = json.dumps(order).encode()
        number = self.number + 1
        self._page[_HEAD.size : _HEAD.size + len(text)] = text
        struct.pack_into("<I", self._page, 4, len(text))
        struct.pack_into("<I", self._page, 0, number)  # last: now it counts
        return number

    def fired(self, number: int) -> int:
        """How many steps of that order were fired."""
        (word,) = struct.unpack_from("<I", self._page, 8)
        return word % 256 if word // 256 == number else 0

    def passed(self, point: str) -> int:
        """How often the process has passed a point."""
        (count,) = _COUNT.unpack_from(self._page, _INDEX[point])
        return int(count)

    # --- the process's side --------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Of the order that holds; 0 before the first."""
        (number,) = struct.unpack_from("<I", self._page, 0)
        return int(number)

    def order(self) -> dict[str, Any]:
        """The order that holds."""
        (length,) = struct.unpack_from("<I", self._page, 4)
        found: dict[str, Any] = json.loads(self._page[_HEAD.size : _HEAD.size + length])
        return found

    def note_fired(self, number: int, step: int) -> None:
        """Before the deed: afterwards there may be nobody left to note it."""
        struct.pack_into("<I", self._page, 8, number * 256 + step)

    def note_passed(self, point: str) -> None:
        _COUNT.pack_into(self._page, _INDEX[point], self.passed(point) + 1)
