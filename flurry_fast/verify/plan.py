"""The plan as the independent count reads it: plain TOML, no canonical text, no id."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property

UNREADABLE_NUMBER = 255
UNREADABLE_NAME = "unreadable"

# What a report adds to itself, in its receive hour.
REPORT_MEASURES = frozenset({"reports", "duplicates", "superseded"})
# Depth of each dimension that is deeper than a session.
_LEVELS = {"event": "event", "parameter": "parameter", "value": "parameter", "error": "error", "error_kind": "error"}


@dataclass(frozen=True)
class CountedRollup:
    """One rollup of the plan: `number` is its place in the file, `level` that of its deepest dimension."""

    number: int
    name: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    cap: int

    @property
    def of_reports(self) -> bool:
        """Whether reports themselves add to it."""
        return not REPORT_MEASURES.isdisjoint(self.measures)

    @property
    def only_reports(self) -> bool:
        """Whether nothing else does."""
        return REPORT_MEASURES.issuperset(self.measures)

    @cached_property
    def level(self) -> str:
        """`session`, `event`, `parameter` or `error`."""
        levels = {_LEVELS.get(dimension, "session") for dimension in self.dimensions}
        for level in ("parameter", "event", "error"):
            if level in levels:
                return level
        return "session"


@dataclass(frozen=True)
class CountedPlan:
    """What docs/counters.md calls the plan; times in ms."""

    rollups: tuple[CountedRollup, ...]
    max_age_ms: int
    max_ahead_ms: int
    max_skew_ms: int
    max_count: int
    max_duration_ms: int
    window_ms: int
    max_sessions: int

    @classmethod
    def parse(cls, toml: str) -> CountedPlan:
        """Reads a plan that `flurry_fast.Plan` has accepted; anything else raises KeyError or ValueError."""
        document = tomllib.loads(toml)
        time, limits, dedup = (document.get(section, {}) for section in ("time", "limits", "dedup"))
        rollups = tuple(
            CountedRollup(
                number=number,
                name=entry["name"],
                dimensions=tuple(entry.get("dimensions", ())),
                measures=tuple(entry["measures"]),
                cap=entry.get("cap", 1000),
            )
            for number, entry in enumerate(document.get("rollup", ()))
        )
        return cls(
            rollups=rollups,
            max_age_ms=time.get("max_age_ms", 2_592_000_000),
            max_ahead_ms=time.get("max_ahead_ms", 600_000),
            max_skew_ms=time.get("max_skew_ms", 600_000),
            max_count=limits.get("max_count", 1_000_000),
            max_duration_ms=limits.get("max_duration_ms", 2_592_000_000),
            window_ms=dedup.get("window_ms", 0),
            max_sessions=dedup.get("max_sessions", 1_800_000),
        )

    def rollup(self, number: int) -> CountedRollup:
        """The rollup of that number; 255 is `unreadable`, which every plan has."""
        if number == UNREADABLE_NUMBER:
            return CountedRollup(number, UNREADABLE_NAME, ("reason",), ("reports",), 1000)
        return self.rollups[number]
