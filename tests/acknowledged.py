"""How far a log is that the simulator writes, from its manifest: what brokers acknowledged."""

from __future__ import annotations

from pathlib import Path

from flurry_fast.verify.manifest import partition_of


class Acknowledged:
    """Reads the manifest as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._rest = b""
        self._ends: dict[int, int] = {}

    def ends(self) -> dict[int, int]:
        """Partition -> next offset; offsets begin at 0, and a partition without a record is missing."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                data = self._rest + file.read()
                self._read = file.tell()
            *lines, self._rest = data.split(b"\n")
            for line in lines:
                number = partition_of(line)
                self._ends[number] = self._ends.get(number, 0) + 1
        return dict(self._ends)
