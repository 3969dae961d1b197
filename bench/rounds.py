"""Contenders in turn: a busy moment of the machine hits all of them; the minimum of each is compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

SLOW_EVERY = 3  # a slow contender runs in every third round, from the first on


@dataclass
class Samples:
    """Of one contender, in order: CPU seconds a round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def least(self) -> float:
        return min(self.cpu)

    def figures(self, reports: int) -> dict[str, float | int]:
        """Per report, in nanoseconds."""
        return {
            "rounds": len(self.cpu),
            "ns_per_report": self.least / reports * 1e9,
            "median_ns_per_report": statistics.median(self.cpu) / reports * 1e9,
            "seconds": min(self.wall),
        }


@contextmanager
def progress(title: str, steps: int) -> Iterator[Callable[[str, str], None]]:
    """A bar on stderr; call what it gives with the stage and what is done next.

    Where stderr is no terminal: a plain line a stage.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        seen = set()

        def say(stage: str, what: str) -> None:  # noqa: ARG001
            if stage not in seen:
                seen.add(stage)
                console.print(f"{title}: {stage}", highlight=False)

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=steps)

        def step(stage: str, what: str) -> None:
            bar.update(task, advance=1, description=f"{title}: {stage}, {what}")

        yield step


def interleave(
    title: str,
    contenders: Mapping[str, Callable[[], tuple[float, float]]],
    rounds: int,
    slow: Iterable[str] = (),
) -> dict[str, Samples]:
    """Every contender once a round, each time in another order. A contender gives (CPU seconds, seconds)."""
    rare = set(slow)
    found = {name: Samples() for name in contenders}
    turns: list[tuple[int, Sequence[str]]] = []
    names = list(contenders)
    for number in range(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        turns.append((number, [name for name in order if name not in rare or number % SLOW_EVERY == 0]))
    with progress(title, sum(len(order) for _, order in turns)) as step:
        for number, order in turns:
            for name in order:
                step(f"round {number + 1} of {rounds}", name)
                cpu, wall = contenders[name]()
                found[name].cpu.append(cpu)
                found[name].wall.append(wall)
    return found
