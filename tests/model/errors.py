"""How a schedule ends badly, and how a process ends."""

from __future__ import annotations


class Violation(BaseException):
    """An invariant does not hold. No code of the product may catch it, so it is no Exception.

    `check` is the invariant's stable short name, `detail` what was seen.
    """

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check, self.detail = check, detail


class Killed(BaseException):
    """kill -9 in the midst of a call."""
