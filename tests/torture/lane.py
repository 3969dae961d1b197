"""A process that plays one episode after the other."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

from torture.episode import Episode, Outcome
from torture.nursery import Nursery
from torture.places import Cell


@dataclass(frozen=True)
class Task:
    """An episode to be played."""

    seed: int
    cells: list[Cell]
    bug: str | None = None


@dataclass(frozen=True)
class News:
    """What a lane says: what it does now, or (`outcome`) how an episode ended; `folder` is kept after a failure."""

    lane: int
    folder: Path
    doing: str = ""
    outcome: Outcome | None = None


def play(lane: int, root: Path, tasks: Queue[Task | None], news: Queue[News]) -> None:
    """Until there is no task (None)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver stops giving tasks
    nursery = Nursery()
    try:
        while (task := tasks.get()) is not None:
            folder = root / f"episode-{task.seed}"
            shutil.rmtree(folder, ignore_errors=True)

            def tell(doing: str, folder: Path = folder) -> None:
                news.put(News(lane, folder, doing))

            outcome = Episode(nursery, folder, task.seed, task.cells, bug=task.bug, tell=tell).run()
            if outcome.failure is None:
                shutil.rmtree(folder)
            news.put(News(lane, folder, "between two episodes", outcome))
    finally:
        nursery.close()
