"""Plays episodes on several lanes at a time until the deck is empty or time is over."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

from torture.lane import News, Task, play
from torture.report import Report
from torture.schedule import Deck
from torture.screen import Screen

PATIENCE = 10  # failures; then no episode is started any more


class Driver:
    """`run` fills the report; the folders of failed episodes stay below `root`."""

    def __init__(self, report: Report, deck: Deck, lanes: int, root: Path, screen: Screen, bug: str | None) -> None:
        """`bug`: a seeded bug for the consumers."""
        self._report, self._deck, self._screen, self._bug, self._root = report, deck, screen, bug, root
        self._lanes = lanes

    def run(self, seed: int, deadline: float) -> None:
        """Episodes are numbered from `seed` on, and none is started after `deadline` (monotonic)."""
        began = time.monotonic()
        context = multiprocessing.get_context("spawn")
        news = context.Queue()
        queues = [context.Queue() for _ in range(self._lanes)]
        workers = [context.Process(target=play, args=(i, self._root, queue, news)) for i, queue in enumerate(queues)]
        for worker in workers:
            worker.start()
        idle = set(range(self._lanes))
        try:
            while True:
                while idle and time.monotonic() < deadline and len(self._report.failures) < PATIENCE:
                    cells = self._deck.deal()
                    if not cells:
                        break
                    queues[idle.pop()].put(Task(seed, cells, self._bug))
                    seed += 1
                if len(idle) == self._lanes:
                    return
                told: News = news.get()
                if told.outcome is not None:
                    self._report.add(told.outcome, told.folder)
                    self._deck.put_back(told.outcome.missed)
                    idle.add(told.lane)
                self._report.seconds = time.monotonic() - began
                self._screen.show(told.lane, told.doing, len(self._deck))
        finally:
            for queue in queues:
                queue.put(None)
            for worker in workers:
                worker.join()
