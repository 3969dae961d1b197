"""From a long schedule that fails to a short one that fails the same check."""

from __future__ import annotations

from collections.abc import Iterator

from model.runner import Outcome, replay

ROUNDS = 3000


def shrink(failed: Outcome, scenario: str, rounds: int = ROUNDS) -> Outcome:
    """Drop steps, then single choices, then make numbers smaller, as long as the same check still fails.

    At most `rounds` schedules are tried.
    """
    assert failed.violation is not None
    check, best = failed.violation.check, failed
    tries = _smaller(best)
    for _ in range(rounds):
        choices = next(tries, None)
        if choices is None:
            break
        tried = replay(choices, scenario)
        if tried.violation is not None and tried.violation.check == check and _size(tried) < _size(best):
            best = tried
            tries = _smaller(best)
    return replay(best.choices, scenario, trace=True)


def _size(outcome: Outcome) -> tuple[int, int]:
    return len(outcome.choices), sum(outcome.choices)


def _smaller(best: Outcome) -> Iterator[list[int]]:
    choices = best.choices
    length = len(choices) // 2
    while length >= 8:  # halves, quarters and so on, the last ones first
        for at in range(len(choices) - length, -1, -length):
            yield choices[:at] + choices[at + length :]
        length //= 2
    for start, end in sorted(set(best.spans), key=lambda span: span[0] - span[1]):
        yield choices[:start] + choices[end:]
    for at in range(len(choices) - 1, -1, -1):
        yield choices[:at] + choices[at + 1 :]
        if choices[at]:
            yield [*choices[:at], 0, *choices[at + 1 :]]
        if choices[at] > 1:
            yield [*choices[:at], choices[at] // 2, *choices[at + 1 :]]
