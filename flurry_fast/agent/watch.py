"""Who is told how far a run is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_EVERY = 0.5


@dataclass(frozen=True)
class State:
    """How far a run is, `seconds` after its start. Without Kafka there are no acknowledgements, and without a
    throttle no lag. `waiting_for` names the group whose commits are waited for just now."""

    reports: int
    payload_bytes: int
    seconds: float
    acked: int | None = None
    lag: int | None = None
    waiting_for: str | None = None


class Watcher(Protocol):
    """Who is told how far the run is."""

    def due(self) -> bool:
        """Whether it wants to know now."""

    def show(self, state: State) -> None:
        """How far the run is."""


class StatusFile:
    """A file that holds the newest state as one JSON line, replaced atomically about twice a second.

    Keys: sent, delivered (null for a file), bytes, seconds, lag (null without a throttle), waiting.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = 0.0

    def due(self) -> bool:
        """Whether half a second has passed."""
        return time.monotonic() >= self._due

    def show(self, state: State) -> None:
        """Raises OSError."""
        self._due = time.monotonic() + _EVERY
        line = {
            "sent": state.reports,
            "delivered": state.acked,
            "bytes": state.payload_bytes,
            "seconds": round(state.seconds, 3),
            "lag": state.lag,
            "waiting": state.waiting_for is not None,
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(line) + "\n", encoding="utf-8")
        temporary.replace(self._path)


class Several:
    """Tells each watcher when it wants to know."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def due(self) -> bool:
        """Whether one of them wants to know."""
        return any(watcher.due() for watcher in self._watchers)

    def show(self, state: State) -> None:
        """Raises what they raise."""
        for watcher in self._watchers:
            watcher.show(state)
