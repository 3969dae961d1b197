"""Up to where everything is durable in every sink, and the commit that says so.

The commit is for lag tools, and a hint: each sink's own position is the truth. Its metadata names the store and the
topic's incarnation, so that a commit left behind by another topic of the same name is never believed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from flurry_fast import trials
from flurry_fast.consumer.ports import Source
from flurry_fast.registry import Registration
from flurry_fast.sinks.base import Sink


class Frontier:
    """Commits, per partition, the minimum over the sinks of what is durable."""

    def __init__(self, source: Source, sinks: Sequence[Sink[Any]], registration: Registration) -> None:
        self._source = source
        self._sinks = sinks
        self._metadata = commit_metadata(registration.incarnation, registration.store_id)
        self._registration = registration
        self._committed: dict[int, int] = {}

    def durable(self, partition: int) -> int | None:
        """Every record below is durable in every sink; None while some sink has no position there."""
        positions = [sink.durable(partition) for sink in self._sinks]
        known = [position for position in positions if position is not None]
        complete = len(known) == len(positions) or trials.seeded("stopped_sink_passed_over")
        return min(known) if known and complete else None

    def committed(self, partition: int) -> int | None:
        """What this process committed last; None if nothing yet."""
        return self._committed.get(partition)

    def commit(self, partitions: Collection[int], *, asynchronous: bool = True) -> None:
        """Commit what became durable since the last commit. Never raises: it is only a hint."""
        moved: dict[int, int] = {}
        for partition in partitions:
            position = self.durable(partition)
            if position is not None and position != self._committed.get(partition):
                moved[partition] = position
        if moved:
            offsets = {partition: (position, self._metadata) for partition, position in moved.items()}
            self._source.commit(offsets, asynchronous=asynchronous)
            self._committed |= moved

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions left us, or their commit failed: what is durable is committed again."""
        for partition in partitions:
            self._committed.pop(partition, None)

    def hints(self, partitions: Collection[int]) -> dict[int, int]:
        """What the group committed for this very incarnation and store; anything else is ignored."""
        found: Mapping[int, tuple[int, str]] = self._source.committed(set(partitions))
        return {partition: offset for partition, (offset, text) in found.items() if text == self._metadata}


def commit_metadata(incarnation: int, store_id: bytes) -> str:
    """A commit's metadata: short, printable, the same for every process of an installation."""
    fields = {"incarnation": f"{incarnation:08x}", "store": store_id.hex()}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))
