"""F(block, E): what a cell must hold, folded by the independent count; worked out only where somebody asks."""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator

from flurry_fast.verify.blocks import FORMAT
from model.log import Log
from model.records import PLANS, Group, names, varint

_HEAD = struct.Struct(">BQII")
_SMALL = [bytes((value,)) for value in range(128)]
_BODIES: dict[tuple[int, ...], bytes] = {}  # of all schedules
Name = tuple[str, bytes]  # table, row


class History:
    """One block: which offsets added what, and what it looked like after each."""

    def __init__(self, caps: dict[int, int]) -> None:
        self.offsets: list[int] = []
        self._groups: list[tuple[Group, ...]] = []
        self._caps = caps
        self._bodies: dict[int, bytes] = {}
        self._reset()

    def _reset(self) -> None:
        self._folded = 0
        self._own: dict[int, dict[bytes, list[int]]] = {}
        self._other: dict[int, list[int]] = {}

    def add(self, offset: int, groups: tuple[Group, ...]) -> None:
        self.offsets.append(offset)
        self._groups.append(groups)

    def items(self) -> Iterator[tuple[int, tuple[Group, ...]]]:
        """Offsets and what they added."""
        return zip(self.offsets, self._groups, strict=True)

    def count(self, end: int) -> int:
        """How many records below `end` added something."""
        return bisect_left(self.offsets, end)

    def body(self, end: int) -> bytes | None:
        """The sections of the block of the records below `end`; None where nothing was added."""
        wanted = bisect_left(self.offsets, end)
        if not wanted:
            return None
        body = self._bodies.get(wanted)
        if body is None:
            # Additions live as long as the process, so their ids name them; short histories come again and again.
            key = (id(self._caps), *map(id, self._groups[:wanted]))
            body = self._bodies[wanted] = _BODIES.get(key) or self._work_out(wanted, key)
        return body

    def _work_out(self, wanted: int, key: tuple[int, ...]) -> bytes:
        if wanted < self._folded:
            self._reset()
        while self._folded < wanted:
            self._fold(self._groups[self._folded])
            self._folded += 1
        if len(_BODIES) > 300_000:
            _BODIES.clear()
        body = _BODIES[key] = self._encode()
        return body

    def _fold(self, groups: tuple[Group, ...]) -> None:
        for number, key, measures in groups:
            own = self._own.get(number)
            if own is None:
                own = self._own[number] = {}
            held = own.get(key)
            if held is None:
                if len(own) < self._caps[number]:
                    own[key] = list(measures)
                    continue
                held = self._other.get(number)
                if held is None:
                    self._other[number] = list(measures)
                    continue
            for place, amount in enumerate(measures):
                held[place] += amount

    def _encode(self) -> bytes:
        small = _SMALL
        parts = [small[len(self._own)]]
        for number in sorted(self._own):
            own, other = self._own[number], self._other.get(number)
            parts += (varint(number), small[len(own)], b"\x01" if other is not None else b"\x00")
            last = b""
            for key in sorted(own):
                shared = 0
                for one, two in zip(last, key, strict=False):
                    if one != two:
                        break
                    shared += 1
                parts += (small[shared], small[len(key) - shared], key[shared:])
                parts += [small[value] if value < 128 else varint(value) for value in own[key]]
                last = key
            if other is not None:
                parts += [varint(value) for value in other]
        return b"".join(parts)


class Oracle:
    """All blocks of one plan in one partition's log, from the offset on at which the plan began."""

    def __init__(self, plan: int, log: Log, first: int = 0) -> None:
        self.plan, self.log, self.first = plan, log, first
        self.next = first
        self.limit: int | None = None  # the plan is closed: it counts nothing from here on
        self.blocks: dict[Name, History] = {}
        self._id = PLANS[plan].plan.id
        self._caps = PLANS[plan].caps

    def extend(self, since: Callable[[Name], int] | None = None) -> None:
        """Fold what the log has by now; of each block only what lies at `since(block)` or above."""
        log = self.log
        while self.next < log.end:
            offset = self.next
            self.next += 1
            for (key, bucket), groups in log.additions(self.plan, offset):
                name = names(key, bucket)
                if since is not None and offset < since(name):
                    continue
                history = self.blocks.get(name)
                if history is None:
                    history = self.blocks[name] = History(self._caps)
                history.add(offset, groups)

    def without(self, lost: Callable[[Name], tuple[int, int]], end: int) -> Oracle:
        """The same, but for what each block lacks: records from an offset up to, and without, another one.

        No block lacks less than up to `end`. What comes behind is looked at anew.
        """
        self.extend()
        other = Oracle(self.plan, self.log, self.first)
        for name, history in self.blocks.items():
            start = lost(name)[0]
            kept = other.blocks[name] = History(self._caps)
            for offset, groups in history.items():
                if offset < start:
                    kept.add(offset, groups)
        other.next = end
        other.extend(lambda name: lost(name)[1])
        return other

    def value(self, name: Name, end: int) -> bytes | None:
        """The cell of a block at timestamp `end`, to the byte; None where there can be none."""
        if not 0 < end <= self.log.end:
            return None
        if self.next < end:
            self.extend()
        history = self.blocks.get(name)
        body = None if history is None else history.body(end)
        if body is None:
            return None
        value = _HEAD.pack(FORMAT, end, self._id, self.log.crcs[end - 1]) + body
        return value + zlib.crc32(value).to_bytes(4, "big")

    def between(self, name: Name, start: int, end: int) -> int:
        """How many records from `start` up to, and without, `end` added something to a block."""
        if self.next < end:
            self.extend()
        history = self.blocks.get(name)
        return 0 if history is None else history.count(end) - history.count(start)
