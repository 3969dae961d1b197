"""What the end of a worker means: start it again, and when, or stop all of them."""

from __future__ import annotations

import signal
from dataclasses import dataclass

MISCONFIGURED, LOOK_FIRST, OVER = 2, 3, 4  # exit statuses of `flurry-fast consume` (flurry_fast.errors)
FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 30.0
CALM_SECONDS = 60.0  # a worker that was steady for this long has nothing to do with its earlier ends


@dataclass
class Record:
    """How a worker's ends went so far."""

    failures: int = 0  # in a row, without a calm time between them
    over: int = 0  # ends with OVER in a row, without having been steady
    ends: int = 0  # all that nobody asked for

    def was_steady(self, seconds: float) -> None:
        """It has been steady for so long."""
        self.over = 0
        if seconds >= CALM_SECONDS:
            self.failures = 0


@dataclass(frozen=True)
class Verdict:
    """`pause`: seconds until it is started again; None: all are stopped, for nothing would be different."""

    pause: float | None


def judge(code: int, record: Record) -> Verdict:
    """After an end that nobody asked for; `record` is brought up to date. `code`: negative if a signal ended it."""
    record.ends += 1
    if code == 0:  # somebody asked that very process
        return Verdict(FIRST_PAUSE)
    record.failures += 1
    if code in (MISCONFIGURED, LOOK_FIRST):
        return Verdict(None)
    if code == OVER:
        record.over += 1
        if record.over > 1:  # it was given the world as it is now, and was refused all the same
            return Verdict(None)
    return Verdict(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (record.failures - 1)))


def how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
