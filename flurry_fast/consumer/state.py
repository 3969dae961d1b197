"""What the loop says of itself: one plain value, made on the loop's thread, read by anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flurry_fast.sinks.base import SinkStatus

Phase = Literal["starting", "running", "draining", "stopped"]


@dataclass(frozen=True)
class PartitionState:
    """One partition of ours. Offsets: `next` to be read, `durable` per sink, `committed`; None: not known (yet)."""

    next: int | None
    committed: int | None
    durable: Mapping[str, int | None]
    stopped: Mapping[str, str]
    waiting_for: str | None


@dataclass(frozen=True)
class LoopState:
    """The consumer at one turn. Totals are of this process. `turned` is monotonic seconds, `held` bytes
    of the budget by what holds them."""

    phase: Phase
    turned: float
    records: int
    payload_bytes: int
    held: Mapping[str, int] = field(default_factory=dict)
    engine: Mapping[str, int] = field(default_factory=dict)  # the engine's monotonic totals
    unreadable: Mapping[str, int] = field(default_factory=dict)  # reason -> records
    memory: Mapping[str, int] = field(default_factory=dict)
    sinks: tuple[SinkStatus, ...] = ()
    partitions: Mapping[int, PartitionState] = field(default_factory=dict)
    paused: int = 0
    evicted: int = 0
    sheds: int = 0
    rebalances: Mapping[str, int] = field(default_factory=dict)
    incomplete_drains: int = 0
    native_drain: bool = True
    commits: int = 0
    commit_failures: int = 0
    commits_failing_since: float | None = None  # monotonic; None: the last one was confirmed
    member: bool | None = None  # in the group, as librdkafka's statistics say; None: not known
    last_record: float | None = None  # when (monotonic) a record came last

    @property
    def used(self) -> int:
        """Bytes of the budget, all together."""
        return sum(self.held.values())


STARTING = LoopState(phase="starting", turned=0.0, records=0, payload_bytes=0)
