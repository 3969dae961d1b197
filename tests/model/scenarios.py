"""Which things may happen in a schedule, and how often."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = (
    0.22,
    0.86,
    0.89,
    0.925,
    0.95,
    0.98,
    1.0,
)  # produce, a process steps, late write, spawn, kill, rebalance, event
MANY = (0.21, 0.83, 0.86, 0.88, 0.905, 0.935, 1.0)
RACE = (0.17, 0.81, 0.82, 0.86, 0.87, 1.0, 1.0)
ALL = (
    "reset",
    "copy",
    "copy",
    "copy",
    "switch",
    "retention",
    "stall",
    "overrun",
    "record_gap",
    "recreate",
    "foreigner",
)


@dataclass(frozen=True)
class Scenario:
    """Shares from 0 to 1. `events` are methods of the world."""

    events: tuple[str, ...] = ()
    archive: float = 0.5
    two_partitions: float = 0.3
    real_files: float = 0.04
    pressure: float = 0.1
    apart: float = 0.1
    dedup: float = 0.3
    halves: bool = False
    steps: tuple[float, ...] = STEPS
    weight: float = 1.0


SCENARIOS = {
    "base": Scenario(weight=5.0, archive=0.0),
    "archive": Scenario(weight=3.0, archive=1.0),
    "pressure": Scenario(weight=1.0, pressure=1.0),
    "race": Scenario(weight=0.5, archive=1.0, apart=0.0, steps=RACE),
    "apart": Scenario(weight=1.0, archive=1.0, apart=1.0),
    "stall": Scenario(events=("stall",), archive=1.0, pressure=0.5),
    "retention": Scenario(events=("retention",)),
    "recreate": Scenario(events=("recreate",)),
    "truncate": Scenario(events=("truncate",), halves=True),
    "vandal": Scenario(events=("vandal",), weight=0.3),
    "compact": Scenario(events=("compact",), weight=0.3),
    "reset": Scenario(events=("reset", "fence"), archive=0.4),
    "gap": Scenario(events=("overrun", "record_gap"), archive=0.6),
    "restore": Scenario(events=("copy",), archive=0.3, steps=MANY),
    "control lost": Scenario(events=("lose_control", "retention"), archive=1.0, apart=0.0, weight=0.5),
    "switch": Scenario(events=("switch",), archive=0.4),
    "everything": Scenario(events=ALL, weight=2.0, steps=MANY),
    "dedup": Scenario(events=("retention", "fence"), dedup=1.0, weight=2.0),
    "foreigner": Scenario(events=("foreigner",), weight=0.3),
}
