"""One budget in bytes over everything that grows: blocks, archive buffers, batches, flushes in flight.

Each kind has its share. Blocks stay in theirs: what they hold is put away as bytes where that frees most, and written
ones are evicted. A sink that holds more than its share is written early. When everything together is too much, blocks
become smaller still, then the largest sink is written, then partitions pause until there is room again; a sink that can
not write gives up its buffers and reads again later. Never out of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from flurry_fast.consumer.ports import Source
from flurry_fast.sinks.base import Sink

if TYPE_CHECKING:
    from flurry_fast._core import Engine

BLOCKS_SHARE = 0.5  # of the budget
EVICT_AT = 0.85  # of the budget, everything together: blocks must do with less than their share
FLUSH_AT = 0.88  # write what is unwritten, if the largest sink holds ...
FLUSH_SHARE = 0.1  # ... at least this much of it
PAUSE_AT = 0.94  # take nothing more ...
RESUME_AT = 0.9  # ... until here
KINDS = ("blocks", "archive", "dedup", "passed", "gone", "scratch")


class Governor:
    """Keeps memory under the budget; one call a turn, on the loop's thread."""

    def __init__(
        self, engine: Engine, source: Source, sinks: Sequence[Sink[Any]], budget: int, reserved: int = 0
    ) -> None:
        """`budget` is bytes, `reserved` what of it is always taken (fetch queue, one batch)."""
        self._reserved = reserved
        self._engine = engine
        self._source = source
        self._sinks = sinks
        self._budget = budget
        self._log = structlog.get_logger("flurry_fast.memory")
        self.paused: set[int] = set()
        self.evicted = self.sheds = 0

    def held(self) -> dict[str, int]:
        """Bytes held now, by kind: the engine's buffers, `fetched` (queue and batch, always taken), and `frozen`, what
        sinks are writing."""
        memory = self._engine.memory()
        frozen = sum(sink.held_bytes() for sink in self._sinks)
        return {kind: memory[kind] for kind in KINDS} | {"fetched": self._reserved, "frozen": frozen}

    def used(self) -> int:
        """All of them together."""
        return sum(self.held().values())

    def poll(self, active: Callable[[], set[int]]) -> int:
        """Act on what is used; how much is used now. `active()`: the partitions whose records are taken."""
        room = min(BLOCKS_SHARE * self._budget, self._over(EVICT_AT))
        self.evicted += self._engine.evict(int(room))
        used = self.used()
        states = {sink: sink.status() for sink in self._sinks}
        for sink, status in states.items():
            if not status.in_flight and status.unwritten_bytes >= sink.share * self._budget:
                sink.flush()
        if used >= FLUSH_AT * self._budget:
            largest = max(states, key=lambda sink: states[sink].unwritten_bytes)
            # Crumbs, over and over, would only make small files.
            if states[largest].unwritten_bytes >= FLUSH_SHARE * self._budget or used >= PAUSE_AT * self._budget:
                largest.flush()
        if used >= PAUSE_AT * self._budget:
            if self._shed():
                used = self.used()
            self._pause(active(), used)
        elif self.paused:
            # A sink may have begun to fail after the pause: what it holds would keep the others waiting for ever.
            if used >= RESUME_AT * self._budget and self._shed():
                used = self.used()
            if used < RESUME_AT * self._budget:
                self._log.info("partitions resumed", used=used)
                self._source.resume(self.paused & active())
                self.paused = set()
        return used

    def forget(self, partitions: set[int]) -> None:
        """These partitions left us."""
        self.paused -= partitions

    def _over(self, share: float) -> float:
        """How large blocks may be, for everything together to be at `share` of the budget."""
        held = self.held()
        return max(0.0, share * self._budget - (sum(held.values()) - held["blocks"]))

    def _shed(self) -> bool:
        freed = [(sink.name, sink.shed()) for sink in self._sinks if sink.status().failing_since is not None]
        for name, size in freed:
            if size:
                self.sheds += 1
                self._log.warning("a sink that can not write gave up its buffers", sink=name, bytes=size)
        return any(size for _, size in freed)

    def _pause(self, active: set[int], used: int) -> None:
        new = active - self.paused
        if new:
            self._log.warning("memory is full: partitions paused", partitions=len(new), used=used, budget=self._budget)
            self._source.pause(new)
            self.paused |= new
