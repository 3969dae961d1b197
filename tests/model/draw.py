"""Where every decision of a schedule comes from: a seed, or a list of choices that was recorded before.

One source, so that a schedule is its list of choices: it can be replayed, and shrunk by making the list shorter and its
numbers smaller. Zero is the dullest choice everywhere, and a list that is used up goes on with zeros.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Draws from a seed, and writes down what it drew."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random
        self.choices: list[int] = []
        self.spans: list[tuple[int, int]] = []  # of the choices: where a step begins and ends

    def below(self, limit: int) -> int:
        """A number from 0 to, and without, `limit`."""
        value = int(self._random() * limit)
        self.choices.append(value)
        return value

    def chance(self, share: float) -> bool:
        """True in `share` of the cases."""
        hit = self._random() < share
        self.choices.append(hit)
        return hit

    def pick(self, options: Sequence[T]) -> T:
        """One of them; the first is the dullest."""
        return options[self.below(len(options))]

    def weighted(self, edges: Sequence[float]) -> int:
        """The first place whose edge is above a number from 0 to 1."""
        value = self._random()
        for place, edge in enumerate(edges):
            if value < edge:
                self.choices.append(place)
                return place
        self.choices.append(len(edges) - 1)
        return len(edges) - 1

    def more(self, *, wanted: bool) -> bool:
        """Whether a loop goes on: what the caller wants, until a recorded list is used up."""
        self.choices.append(wanted)
        return wanted


class Replay(Draw):
    """Draws what a list says; what does not fit is bent."""

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__(0)
        self._script = choices
        self._at = 0

    def _next(self) -> int:
        value = self._script[self._at] if self._at < len(self._script) else 0
        self._at += 1
        self.choices.append(value)
        return value

    def below(self, limit: int) -> int:
        return min(self._next(), limit - 1)

    def chance(self, share: float) -> bool:
        return self._next() > 0 and share > 0

    def weighted(self, edges: Sequence[float]) -> int:
        place = min(self._next(), len(edges) - 1)
        possible = edges[place] > (edges[place - 1] if place else 0.0)
        return place if possible else 0

    def more(self, *, wanted: bool) -> bool:
        return self._next() > 0
