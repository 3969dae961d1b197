"""Cells of the control table: one at a time, atomic over all processes.

A control cell must do two things that no single put of HBase does together: a put keeps the highest timestamp, and a
put-if-absent has one winner, on the same cell, whoever calls at once. `checkAndPut` compares one cell and replaces it
under the row's lock; but in Thrift1 its put takes no timestamp. So the logical timestamp goes **into the value**:

    format(1) | timestamp(8) | value | CRC-32 of row, qualifier and all before (4)

and every change is one compare-and-put of that envelope, `expected -> new`, where new's timestamp is higher than
expected's, or new is expected itself, or nothing was there.

*Why the highest timestamp wins.* A cell changes only by such a step, so its logical timestamp never goes down, and
whatever was there is replaced only by something that was made with it in view. An envelope that was replaced never
comes back: so a step that arrives late (a call that timed out here and went on in the gateway, a process that slept)
finds another envelope than it expects, and does nothing. It may also arrive late and apply: then nothing was changed
meanwhile, and the contract allows that an exception's effect comes later.

*Why a put-if-absent has one winner.* Its step expects nothing; no cell is ever deleted; so of all such steps, and of
all puts that expect nothing, one applies. Whoever lost reads what is there. A reply that was lost is no question
either: whoever repeats the call finds the own envelope and returns it.

*What HBase's own timestamp is.* The server's clock, and never looked at. It only must not go down, or the new envelope
would hide behind the old one: a region server gives the put of a checkAndPut a timestamp not below that of the cell
that was compared (HBASE-14054, in 1.2 and later), and of equal ones the later wins. `canary.py` tries it.

*Why many may be put at once.* Each step is about one cell and atomic by itself, and no argument above says when the
steps of other cells are taken, or over which connection: so steps of several cells may be under way at the same time,
as they are when several threads put. Each still counts only by its own clean reply; a cell whose step found something
else is put again, alone.

*What it costs.* A put is one call where this process knows what is there (it mostly put it itself), else one or two
more; of many cells, one read of the row shows what is there. The memory is a guess for what to compare with, never an
answer: each call ends with the store's own word.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Sequence
from typing import Protocol

from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from flurry_fast.stores.base import ControlCell

FORMAT = 1
TRIES = 100  # each lost step means that somebody else got on
GUESSES = 65_536  # envelopes that are remembered
_HEAD = struct.Struct(">Bq")
_CRC = struct.Struct(">I")


class Register(Protocol):
    """Single cells of a table that can be compared and replaced. Each method is one call; StoreUnavailable as ever."""

    def get(self, row: bytes, qualifier: bytes) -> bytes | None:
        """What is there now; None: nothing."""

    def get_row(self, row: bytes) -> dict[bytes, bytes]:
        """Every cell of a row, by qualifier."""

    def replace(self, row: bytes, qualifier: bytes, expected: bytes | None, new: bytes) -> bool:
        """Put `new` where `expected` is (None: nothing), atomically; False: something else is there."""

    def replace_all(self, row: bytes, cells: Sequence[tuple[bytes, bytes | None, bytes]]) -> list[bool]:
        """`replace` for each (qualifier, expected, new), in any order or at once. An exception: any of it may apply."""


class ControlCells:
    """See the module. Any thread."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._lock = threading.Lock()
        self._guesses: dict[tuple[bytes, bytes], bytes] = {}

    def get(self, row: bytes, qualifier: bytes) -> ControlCell | None:
        """Raises StoreCorrupt for a cell that is damaged, or that something else wrote."""
        found = self._read(row, qualifier)
        return None if found is None else _open(row, qualifier, found)

    def scan(self, row: bytes) -> dict[bytes, ControlCell]:
        """Every cell of a row, in the order of qualifiers. Raises as `get`."""
        cells = sorted(self._register.get_row(row).items())
        return {qualifier: _open(row, qualifier, envelope) for qualifier, envelope in cells}

    def put(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
        """The highest timestamp wins; an equal one with other bytes is StoreCorrupt."""
        new = _seal(row, qualifier, timestamp, value)
        guess = self._guesses.get((row, qualifier))
        for _ in range(TRIES):
            expected = guess if guess is not None else self._read(row, qualifier)
            if expected is not None:
                there = _open(row, qualifier, expected)
                if there.timestamp == timestamp and there.value != value:
                    raise StoreCorrupt(
                        f"Control row {row!r}, column {qualifier.hex()}, was put twice at {timestamp} with different"
                        " values."
                    )
                if there.timestamp > timestamp:
                    if guess is None:
                        return
                    guess = None  # it was there once, so it or a later one still is; but the store is to say so
                    continue
            if self._register.replace(row, qualifier, expected, new):
                self._remember(row, qualifier, new)
                return
            guess = None
        raise self._contended(row)

    def put_all(self, row: bytes, cells: Sequence[tuple[bytes, int, bytes]]) -> None:
        """`put` for each (qualifier, timestamp, value); qualifiers are distinct."""
        if any((row, qualifier) not in self._guesses for qualifier, _, _ in cells):
            for qualifier, envelope in self._register.get_row(row).items():
                self._remember(row, qualifier, envelope)
        steps: list[tuple[bytes, bytes | None, bytes]] = []
        alone = []  # what a guess says should not be put is looked at with care
        for cell in cells:
            qualifier, timestamp, value = cell
            new, expected = _seal(row, qualifier, timestamp, value), self._guesses.get((row, qualifier))
            if expected is None or _open(row, qualifier, expected).timestamp < timestamp or expected == new:
                steps.append((qualifier, expected, new))
            else:
                alone.append(cell)
        by_name = {cell[0]: cell for cell in cells}
        for step, done in zip(steps, self._register.replace_all(row, steps), strict=True):
            if done:
                self._remember(row, step[0], step[2])
            else:
                alone.append(by_name[step[0]])
        for qualifier, timestamp, value in alone:
            with self._lock:
                self._guesses.pop((row, qualifier), None)
            self.put(row, qualifier, timestamp, value)

    def put_if_absent(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> ControlCell:
        """The cell that is there now: this one, or the one that was there before."""
        new = _seal(row, qualifier, timestamp, value)
        for _ in range(TRIES):
            found = self._read(row, qualifier)
            if found is not None:
                return _open(row, qualifier, found)
            if self._register.replace(row, qualifier, None, new):
                self._remember(row, qualifier, new)
                return ControlCell(timestamp, value)
        raise self._contended(row)

    def _read(self, row: bytes, qualifier: bytes) -> bytes | None:
        found = self._register.get(row, qualifier)
        if found is not None:
            self._remember(row, qualifier, found)
        return found

    def _remember(self, row: bytes, qualifier: bytes, envelope: bytes) -> None:
        with self._lock:
            if len(self._guesses) >= GUESSES:
                self._guesses.clear()
            self._guesses[row, qualifier] = envelope

    def _contended(self, row: bytes) -> StoreUnavailable:
        return StoreUnavailable(f"Control row {row!r} is changed all the time by others.")


def _seal(row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> bytes:
    if not 0 <= timestamp < 2**63:
        raise ValueError(f"a cell needs an explicit timestamp, not {timestamp}")
    body = _HEAD.pack(FORMAT, timestamp) + value
    return body + _CRC.pack(_checksum(row, qualifier, body))


def _open(row: bytes, qualifier: bytes, envelope: bytes) -> ControlCell:
    body, crc = envelope[: -_CRC.size], envelope[-_CRC.size :]
    if len(body) < _HEAD.size or _CRC.unpack(crc)[0] != _checksum(row, qualifier, body):
        raise StoreCorrupt(
            f"Control row {row!r}, column {qualifier.hex()}, is damaged, or was not written by flurry_fast."
        )
    form, timestamp = _HEAD.unpack_from(body)
    if form != FORMAT:
        raise StoreCorrupt(f"Control row {row!r} has cells of format {form}; this version reads {FORMAT}.")
    return ControlCell(timestamp, body[_HEAD.size :])


def _checksum(row: bytes, qualifier: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(len(row).to_bytes(4, "big") + row + qualifier))
