"""A member of a group that keeps what it read: for tests of KafkaSource over any broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flurry_fast.config.model import Kafka
from flurry_fast.consumer.source import KafkaSource


class Member:
    """A source that keeps what it read, and reads on where its predecessor said (`positions`, shared)."""

    def __init__(self, kafka: Kafka, positions: dict[int, int], native: bool) -> None:
        self.source = KafkaSource(kafka, native=native)
        self.positions = positions
        self.mine: set[int] = set()
        self.read: list[tuple[int, int]] = []
        self.errors: list[Any] = []
        self.source.subscribe(self)

    def assigned(self, partitions: set[int]) -> None:
        self.mine |= partitions
        self.source.assign({partition: self.positions.get(partition, 0) for partition in partitions})

    def revoked(self, partitions: set[int]) -> None:
        self.source.commit({p: (self.positions.get(p, 0), f"meta {p}") for p in partitions}, asynchronous=False)
        self.mine -= partitions

    def lost(self, partitions: set[int]) -> None:
        self.mine -= partitions

    def turn(self, max_messages: int = 500) -> int:
        batch, errors = self.source.drain(max_messages, 2**20, 0.05)
        self.errors += errors
        if batch is None:
            return 0
        for partition, offset, *_ in batch.rows():
            assert partition in self.mine
            assert offset == self.positions.get(partition, 0), "a gap or a repetition"
            self.positions[partition] = offset + 1
            self.read.append((partition, offset))
        return len(batch)

    def read_until(self, done: Callable[[], bool]) -> None:
        for _ in range(2000):  # a turn waits 50 ms at most
            if done():
                return
            self.turn()
        raise AssertionError(f"never done: {self.positions} {self.errors} {self.source.stats}")


@contextmanager
def joining(settings: Kafka, native: bool) -> Iterator[Callable[..., Member]]:
    """A call that lets another member join, with some settings changed; all leave at the end."""
    members: list[Member] = []

    def join(positions: dict[int, int], **changes: Any) -> Member:
        members.append(Member(settings.model_copy(update=changes), positions, native))
        return members[-1]

    yield join
    for member in members:
        member.source.close()


def turn_all(members: list[Member], done: Callable[[], bool]) -> None:
    """Turn them in turn until `done()`."""
    for _ in range(2000):
        if done():
            return
        for member in members:
            member.turn()
    raise AssertionError(f"never done: {[(member.mine, member.source.stats) for member in members]}")
