"""What operations ask of log and archive. `log.py` asks Kafka; the model test has a simulated one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from flurry_fast.archive.chain import Chain

Chains: TypeAlias = Callable[[int, int], Chain]
"""(incarnation, partition) -> its chain in the archive, begun or not."""


@dataclass(frozen=True)
class Bounds:
    """The first offset that is still in the log, and the next one to be written."""

    start: int
    end: int


@dataclass(frozen=True)
class Record:
    """What an operation wants to know of a record: the checksum that positions carry, and Kafka's time (ms)."""

    crc: int
    timestamp: int


class LogView(Protocol):
    """A topic's log, read without a group. Every call asks anew, may block, and raises FlurryFastError."""

    def bounds(self, partition: int) -> Bounds:
        """Where the log of a partition begins and ends at this moment."""

    def record(self, partition: int, offset: int) -> Record:
        """The record at an offset that is in the log."""

    def max_timestamp(self, partition: int, start: int, end: int) -> int:
        """The highest Kafka timestamp (ms) of the records from `start` up to, and without, `end`; -1 without any."""

    def offset_at(self, partition: int, timestamp: int) -> int | None:
        """The first offset whose Kafka timestamp is `timestamp` (ms) or later; None if there is none yet."""
