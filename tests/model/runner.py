"""One schedule, from a seed or from a list of choices."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import structlog

from flurry_fast.consumer import loop
from model.draw import Draw, Replay
from model.errors import Violation
from model.scenarios import SCENARIOS
from model.world import World


@dataclass
class Outcome:
    """How a schedule went: how often each event, each check, and each reason of a sink to stop occurred."""

    seed: int
    scenario: str
    happened: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    violation: Violation | None = None


def _quiet() -> None:
    """Logs and status lines are not what is on trial, and cost a fifth of the time."""
    loop.STATE_SECONDS = 60.0  # type: ignore[misc]
    if structlog.get_config().get("wrapper_class") is not _SILENT:
        structlog.configure(wrapper_class=_SILENT)


_SILENT = structlog.make_filtering_bound_logger(logging.CRITICAL)
_NAMES = list(SCENARIOS)
_TOTAL = sum(scenario.weight for scenario in SCENARIOS.values())
_EDGES = [sum(SCENARIOS[name].weight for name in _NAMES[: place + 1]) / _TOTAL for place in range(len(_NAMES))]


def run(seed: int, scenario: str = "all") -> Outcome:
    """One schedule. Raises Violation, and KeyError for a scenario that does not exist."""
    outcome = attempt(Draw(seed), scenario, seed)
    if outcome.violation is not None:
        raise outcome.violation
    return outcome


def attempt(draw: Draw, scenario: str, seed: int = -1, *, trace: bool = False) -> Outcome:
    """The same, with whatever was violated in the outcome."""
    _quiet()
    before = random.getstate()
    random.seed(0)  # jitter of pauses
    try:
        with ExitStack() as cleanup:
            return _attempt(draw, scenario, seed, cleanup, trace=trace)
    finally:
        random.setstate(before)


def _attempt(draw: Draw, scenario: str, seed: int, cleanup: ExitStack, *, trace: bool) -> Outcome:
    name = _NAMES[draw.weighted(_EDGES)] if scenario == "all" else scenario
    world = World(draw, SCENARIOS[name], cleanup)
    if trace:
        world.trace = []
    outcome = Outcome(seed, name, world.happened, world.checks.made, world.stops)
    try:
        for _ in range(1 + draw.below(3)):
            world.produce()
        world.spawn()
        steps, done = 30 + draw.below(80), 0
        while draw.more(wanted=done < steps):
            world.step()
            done += 1
        world.finish()
    except Violation as violation:
        outcome.violation = violation
    outcome.trace = world.trace or []
    outcome.choices, outcome.spans = draw.choices, draw.spans
    return outcome


def replay(choices: Sequence[int], scenario: str, *, trace: bool = False) -> Outcome:
    """The schedule that a list of choices describes."""
    return attempt(Replay(choices), scenario, trace=trace)
