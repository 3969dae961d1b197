"""What the loop reads from, and what it answers to. The model test offers a simulated source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Listener(Protocol):
    """Who owns which partition. Called on the loop's thread, from inside `Source.drain` and `Source.close`."""

    def assigned(self, partitions: set[int]) -> None:
        """These are ours now; answers with `Source.assign`. Nothing of them is read before."""

    def revoked(self, partitions: set[int]) -> None:
        """These leave us when this returns; until then a commit is still accepted."""

    def lost(self, partitions: set[int]) -> None:
        """These left us some time ago; somebody else may be counting them already."""


class SourceStats(Protocol):
    """What a source counts; totals only grow."""

    @property
    def native(self) -> bool:
        """Records come through the native drain, not through the slow fallback."""

    @property
    def commits(self) -> int:
        """Partitions whose commit the broker confirmed."""

    @property
    def commit_failures(self) -> int:
        """Partitions whose commit failed."""

    @property
    def librdkafka(self) -> Mapping[str, Any]:
        """librdkafka's newest statistics; empty before the first."""


class Source(Protocol):
    """One topic, read as a member of a consumer group. All calls on the loop's thread."""

    @property
    def stats(self) -> SourceStats:
        """How it goes."""

    def subscribe(self, listener: Listener) -> None:
        """Join the group."""

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        """The next records as a native batch (None: nothing came), and partition errors.

        Blocks at most `timeout` seconds, and as long as the listener takes. Raises FlurryFastError when the
        consumer can not go on.
        """

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Start reading each partition at its offset; only inside `Listener.assigned`."""

    def unassign(self, partitions: set[int]) -> None:
        """Stop reading them; only inside `Listener.revoked` and `Listener.lost`."""

    def seek(self, partition: int, offset: int) -> None:
        """Read on from `offset`; no record taken before the seek is returned after it."""

    def pause(self, partitions: set[int]) -> None:
        """Take nothing from them until `resume`; the group membership lives on."""

    def resume(self, partitions: set[int]) -> None:
        """Take from them again."""

    def watermarks(self, partition: int) -> tuple[int, int]:
        """(first offset still in the log, next offset to be written), asked of the broker at this moment.

        Raises FlurryFastError when the broker does not answer in time.
        """

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        """The first offset still in the log whose Kafka time is `timestamp` (ms) or later; None if there is none, or
        if the broker does not know.

        Raises FlurryFastError when the broker does not answer in time.
        """

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        """The group's commits: partition -> (offset, metadata); partitions without one are missing."""

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        """Commit partition -> (offset, metadata). A failure is logged, never raised: a commit is only a hint."""

    def close(self) -> None:
        """Leave the group; calls `Listener.revoked` for what is still assigned."""
