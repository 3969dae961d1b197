"""Which injections go together into an episode."""

from __future__ import annotations

import random

from torture.places import Cell

FIRSTS = 4  # an episode has few partitions that were never begun
OTHERS = 24
STOPS = 8  # each of them takes seconds of waiting


class Deck:
    """All cells that are still to be played, lowest seeds first; what was missed comes back."""

    def __init__(self, cells: list[Cell], seed: int) -> None:
        self._draw = random.Random(seed)
        self._cells = sorted(cells, key=lambda cell: (cell.seed, self._draw.random()))
        self._whole = False

    @classmethod
    def of_one_hand(cls, cells: list[Cell]) -> Deck:
        """Deals just these, together and in this order: an episode that is played again."""
        deck = cls([], 0)
        deck._cells, deck._whole = list(cells), True
        return deck

    def __len__(self) -> int:
        return len(self._cells)

    def put_back(self, cells: list[Cell]) -> None:
        """They were not met; an episode that is played again is played only once."""
        if not self._whole:
            self._cells[:0] = cells

    def deal(self) -> list[Cell]:
        """The next episode's; empty if nothing is left."""
        if self._whole:
            hand, self._cells = self._cells, []
            return hand
        hand = []
        firsts = stops = 0
        for cell in self._cells:
            first, stop = cell.place.way == "first", cell.action == "stop" or cell.place.way == "lost"
            if len(hand) - firsts >= OTHERS and firsts >= FIRSTS:
                break
            if (firsts >= FIRSTS if first else len(hand) - firsts >= OTHERS) or (stop and stops >= STOPS):
                continue
            if stop and first and any(c.place.way == "first" and c.action == "stop" for c in hand):
                continue
            hand.append(cell)
            firsts, stops = firsts + first, stops + stop
        dealt = set(hand)
        self._cells = [cell for cell in self._cells if cell not in dealt]
        return hand
