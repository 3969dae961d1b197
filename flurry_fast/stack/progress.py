"""Who is told how far a stack is."""

from __future__ import annotations

from typing import Protocol

from flurry_fast.stack.options import PartName


class Progress(Protocol):
    """For people who wait."""

    def resolving(self, part: PartName, jars: int, of: int, downloaded: int) -> None:
        """`downloaded` bytes came over the network (Maven's own needs among them), and then so many jars of about so
        many were put into the cache."""

    def resolved(self, part: PartName, jars: int, size: int) -> None:
        """All jars of a part are in the cache, of so many bytes."""

    def launched(self, name: str) -> None:
        """A server's process was started."""

    def waiting(self, part: PartName, reason: str) -> None:
        """A part is not usable yet, and why."""

    def ready(self, part: PartName, seconds: float) -> None:
        """A part is usable, so many seconds after the begin."""


class Silent:
    """Tells nobody."""

    def resolving(self, part: PartName, jars: int, of: int, downloaded: int) -> None: ...

    def resolved(self, part: PartName, jars: int, size: int) -> None: ...

    def launched(self, name: str) -> None: ...

    def waiting(self, part: PartName, reason: str) -> None: ...

    def ready(self, part: PartName, seconds: float) -> None: ...
