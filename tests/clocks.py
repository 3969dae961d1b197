"""A clock that nobody waits for."""

from __future__ import annotations


class ManualClock:
    """Time passes when a test says so (`now`, seconds), or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
