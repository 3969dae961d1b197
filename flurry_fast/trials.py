"""Switches that only tests can turn: seeded bugs and fail points.

An ordinary build has none: `seeded` is always false and `fail_point` does nothing, whatever the settings and the
environment say, because the native module lacks the switch (cargo feature `trials`; `make trials` builds with it).

The proof of exactness puts one bug in at a time and must notice it; it stops, kills or fails a process at every fail
point. docs/exactness.md lists both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flurry_fast import _core

_native: Any = _core if _core.build_info()["trials"] == "yes" else None
ENABLED = _native is not None
"""Whether this build has the switches."""

BUGS: tuple[str, ...] = ()
"""Bugs of the Python code; the native code has its own."""

if _native is None:

    def seeded(bug: str) -> bool:  # noqa: ARG001
        """Whether this bug is in: never."""
        return False

    def fail_point(name: str) -> None:
        """Nothing."""

else:
    _seeded: str | None = None
    _handlers: list[Callable[[str], None]] = []

    def seeded(bug: str) -> bool:
        """Whether this bug is in."""
        return _seeded == bug

    def fail_point(name: str) -> None:
        """Tell the handler that this place is passed; whatever it does happens here."""
        for handler in _handlers:
            handler(name)


def bugs() -> list[str]:
    """Every bug that can be put in, native ones included; empty in an ordinary build."""
    return sorted([*BUGS, *_native._trial_bugs()]) if _native is not None else []


def seed(bug: str | None) -> None:
    """Put one bug in, instead of whichever is in; None takes it out. Raises ValueError if there is no such bug."""
    global _seeded
    if bug is not None and bug not in bugs():
        raise ValueError(f"no bug {bug!r} can be put into this build")
    if _native is not None:
        _native._trial_seed(bug if bug is None or bug in _native._trial_bugs() else None)
        _seeded = bug


def on_fail_point(handler: Callable[[str], None]) -> None:
    """Call `handler(name)` at every fail point from now on, native ones included. Does nothing in an ordinary build.

    What the handler raises at a native fail point unwinds as a panic of the native code would.
    """
    if _native is not None:
        _handlers[:] = [handler]
        _native._trial_hook(fail_point)
