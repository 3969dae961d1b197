"""The simulated topic: what the broker keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from flurry_fast import _wire
from model.records import POOL


class Log:
    """One partition of one incarnation: places in the pool, Kafka times, and the first offset that is still there.

    Arrays hold everything from offset 0 on, whatever retention took: the oracle needs it.
    """

    def __init__(self) -> None:
        self.places: list[int] = []
        self.times: list[int] = []
        self.crcs: list[int] = []
        self.start = 0
        self.holes: set[int] = set()

    @property
    def end(self) -> int:
        return len(self.places)

    def append(self, place: int, time_ms: int) -> None:
        self.places.append(place)
        self.times.append(time_ms)
        self.crcs.append(POOL[place].crc)

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


class Topic:
    """One incarnation of the topic."""

    def __init__(self, incarnation: int, partitions: int) -> None:
        self.incarnation = incarnation
        self.logs = [Log() for _ in range(partitions)]
