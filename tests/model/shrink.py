"""From a long schedule that fails to a short one that fails the same check."""

from __future__ import annotations

import time
from collections.abc import Iterator

from model.runner import Outcome, replay

SECONDS = 60.0


def shrink(failed: Outcome, scenario: str, seconds: float = SECONDS) -> Outcome:
    """Drop steps, then single choices, then make numbers smaller, as long as the same check still fails."""
    assert failed.violation is not None
    check, best = failed.violation.check, failed
    deadline = time.monotonic() + seconds
    improved = True
    while improved:
        improved = False
        for choices in _smaller(best):
            if time.monotonic() > deadline:
                improved = False
                break
            tried = replay(choices, scenario)
            if tried.violation is not None and tried.violation.check == check and _size(tried) < _size(best):
                best, improved = tried, True
                break
    return replay(best.choices, scenario, trace=True)


def _size(outcome: Outcome) -> tuple[int, int]:
    used = outcome.choices
    return len(used), sum(used)


def _smaller(best: Outcome) -> Iterator[list[int]]:
    choices = best.choices
    for share in (2, 4, 8):  # the larger part first
        length = max(1, len(choices) // share)
        for at in range(len(choices) - length, -1, -length):
            yield choices[:at] + choices[at + length :]
    for start, end in sorted(best.spans, key=lambda span: span[0] - span[1]):
        yield choices[:start] + choices[end:]
    for at in range(len(choices) - 1, -1, -1):
        if choices[at]:
            yield [*choices[:at], 0, *choices[at + 1 :]]
    for at in range(len(choices) - 1, -1, -1):
        if choices[at] > 1:
            yield [*choices[:at], choices[at] // 2, *choices[at + 1 :]]
    for at in range(len(choices) - 1, -1, -1):
        yield choices[:at] + choices[at + 1 :]
