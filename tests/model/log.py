"""The simulated topic: what the broker keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from flurry_fast import _wire
from flurry_fast.verify.dedup import Memory
from model.records import PLANS, POOL, Addition, Fate, additions, meet


class Log:
    """One partition of one incarnation: places in the pool, Kafka times, and the first offset that is still there.

    Arrays hold everything from offset 0 on, whatever retention took: the oracle needs it.
    """

    def __init__(self) -> None:
        self.places: list[int] = []
        self.times: list[int] = []
        self.crcs: list[int] = []
        self.start = 0
        self.known_from = 0  # what lies below is not known to deduplication: a gap ended here
        self._fates: list[Fate] = []
        self._memory = _memory()
        self.holes: set[int] = set()

    @property
    def end(self) -> int:
        return len(self.places)

    def append(self, place: int, time_ms: int) -> None:
        self.places.append(place)
        self.times.append(time_ms)
        self.crcs.append(POOL[place].crc)

    def additions(self, plan: int, offset: int) -> tuple[Addition, ...]:
        """What a record adds under a plan."""
        place, time_ms = self.places[offset], self.times[offset]
        return (
            additions(plan, place, time_ms, self.fate(offset)) if PLANS[plan].dedup else additions(plan, place, time_ms)
        )

    def fate(self, offset: int) -> Fate:
        """What of a record came before, in the log as it is."""
        while len(self._fates) <= offset:
            at = len(self._fates)
            self._fates.append(meet(self._memory, self.places[at], self.times[at]))
        return self._fates[offset]

    def forget(self, offset: int) -> None:
        """A gap ends here: nothing that was before is known."""
        self.fate(offset - 1)
        del self._fates[offset:]
        self._memory, self.known_from = _memory(), offset

    def cut(self, end: int) -> Log:
        """The same log without what is at `end` and above: another one from now on."""
        shorter = Log()
        shorter.places, shorter.times, shorter.crcs = self.places[:end], self.times[:end], self.crcs[:end]
        shorter.start = min(self.start, end)
        return shorter

    def batch(self, first: int, count: int, partition: int) -> Any:
        """Records from `first` on as the drain gives them."""
        offsets = [offset for offset in range(first, min(first + count, self.end)) if offset not in self.holes]
        bodies = [POOL[self.places[offset]].body for offset in offsets]
        ends, at = [0], 0
        for body in bodies:
            at += len(body)
            ends.append(at)
        return _wire.Batch.from_buffers(
            b"".join(bodies),
            np.array(ends, np.int64),
            np.array(offsets, np.int64),
            np.array([self.times[offset] for offset in offsets], np.int64),
            partition,
        )


def _memory() -> Memory:
    plan = next(plan.counted for plan in PLANS if plan.dedup)
    return Memory(plan.window_ms, plan.max_sessions)


class Topic:
    """One incarnation of the topic."""

    def __init__(self, incarnation: int, partitions: int) -> None:
        self.incarnation = incarnation
        self.logs = [Log() for _ in range(partitions)]
