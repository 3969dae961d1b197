"""What can go wrong, as types. A command prints one sentence (and the way out) and exits with the error's code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


class FlurryFastError(Exception):
    """Base of every error that this package raises on purpose.

    `message` says what is wrong in one sentence, `way_out` what to do about it (None: nothing but to look).
    `exit_code` is what a command exits with: 1 operational, 2 usage or configuration, 3 somebody must look before it is
    started again, 4 what it was started with is over: started again, it either goes on or says why it can not.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, way_out: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out

    def __str__(self) -> str:
        return self.message if self.way_out is None else f"{self.message} {self.way_out}"


@dataclass(frozen=True)
class ConfigProblem:
    """One setting that was refused: where it was set (a file, a variable or a flag), its dotted key, and why."""

    source: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key}: {self.reason}." if self.key else f"{self.source}: {self.reason}."


class ConfigError(FlurryFastError):
    """Settings were refused; nothing was started. `problems` lists all of them, not only the first."""

    exit_code = 2

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


# --- stores ------------------------------------------------------------------------------------------------------


class StoreError(FlurryFastError):
    """A cell store failed. Only the subclasses are raised."""


class StoreUnavailable(StoreError):
    """Locked, full, timed out or unreachable: nothing is known about the call's effect. Send the same again."""


class StoreCorrupt(StoreError):
    """The store holds what the scheme rules out (equal timestamp, other bytes; a failed self-check). Never retried."""

    exit_code = 3


# --- registry and positions --------------------------------------------------------------------------------------


class RegistryMismatch(FlurryFastError):
    """Topic, generation or plan are not what this process started with: its state must be dropped."""

    exit_code = 4


class PositionMissing(FlurryFastError):
    """A partition has a history but no position for a sink: starting anywhere would be a guess."""


class PositionOutsideLog(FlurryFastError):
    """A position lies below the log's start (retention passed it) or above its end (the log was truncated)."""
