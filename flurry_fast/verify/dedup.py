"""Sessions that come again, as docs/counters.md ("Duplicates") has it: whole identities in plain dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SLICES = 8

# API key, device id, session start: as the bytes and the number stand on the wire.
Identity = tuple[bytes, bytes, int]
Fate = Literal["counts", "duplicate", "superseded"]


@dataclass
class Memory:
    """What one partition knows of its past. `window_ms` must be above 0."""

    window_ms: int
    max_sessions: int
    time: int = -1  # T: the highest Kafka time so far
    slice: int = 0  # the number of the slice at hand
    _seen: dict[Identity, tuple[int, int]] = field(default_factory=dict)  # slice and length of the last appearance
    _held: set[Identity] = field(default_factory=set)  # of the slice at hand

    def record(self, received: int) -> None:
        """A record came, readable or not, at this receive time (ms)."""
        length = -(-self.window_ms // SLICES)
        before, self.time = self.time, max(self.time, received)
        # The first slice has no number before it; nothing is known then.
        passed = self.time // length - max(before, 0) // length
        if passed:
            self._turn(passed)

    def session(self, identity: Identity, duration_ms: int) -> Fate:
        """A session of that record, after what stands for it in the record was found."""
        if identity not in self._held and len(self._held) == max(1, self.max_sessions // (SLICES + 1)):
            self._turn(1)
        length = max(-1, min(duration_ms, 2**32 - 2))
        known = self._seen.get(identity)
        self._seen[identity] = (self.slice, length)
        self._held.add(identity)
        if known is None:
            return "counts"
        return "superseded" if length > known[1] else "duplicate"

    def _turn(self, slices: int) -> None:
        self.slice += slices
        self._held.clear()
        oldest = self.slice - SLICES
        self._seen = {identity: seen for identity, seen in self._seen.items() if seen[0] >= oldest}
