"""Whether reading is behind the log, by what every turn sees: batches that come full."""

from __future__ import annotations

from flurry_fast.config.model import Consume
from flurry_fast.ports import Clock

SETTLED = 3.0  # seconds of nothing but full batches: a pause of a moment leaves less behind


class Backlog:
    """Told of every turn's batch."""

    def __init__(self, settings: Consume, clock: Clock) -> None:
        self._most = settings.batch_messages, settings.batch_bytes
        self._clock = clock
        self._since: float | None = None

    def note(self, messages: int, size: int) -> bool:
        """A turn's batch, its messages and their bytes; whether reading is behind now."""
        most_messages, most_bytes = self._most
        # A batch that is full by bytes ends before the message that would be too much.
        if messages < most_messages and size < most_bytes // 2:
            self._since = None
            return False
        now = self._clock.monotonic()
        self._since = now if self._since is None else self._since
        return now - self._since >= SETTLED
