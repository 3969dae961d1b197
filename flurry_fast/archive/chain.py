"""A partition's files: a chain in which each starts where the one before ended.

Files are named by their start alone. Two writers of one start meet at one name, and one of them loses: with the end in
the name they would not. The end of the file with the highest name *is* the archive's position.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass

from flurry_fast import trials
from flurry_fast.archive.filesystem import ArchiveFileSystem
from flurry_fast.archive.footer import Footer
from flurry_fast.archive.format import PARQUET, Format
from flurry_fast.errors import PositionMissing, StoreCorrupt
from flurry_fast.positions import ArchivePosition

ORIGIN = "origin"
TEMPORARY = ".tmp-"
TEMPORARY_SECONDS = 86_400.0  # a temporary file older than this has no writer any more
_FILE = re.compile(r"(\d{20})(-\d{20})?\.parquet" if trials.ENABLED else r"(\d{20})\.parquet")
_PARTITION = re.compile(r"p=(\d{5,10})")
_INCARNATION = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Link:
    """A file of the chain, by its name."""

    start: int
    path: str
    bytes: int


@dataclass(frozen=True)
class Chain:
    """The files of one partition of one incarnation of a topic. Blocks and raises as the file system does."""

    files: ArchiveFileSystem
    topic: str
    incarnation: int
    partition: int
    format: Format = PARQUET

    @property
    def folder(self) -> str:
        return f"{self.topic}/{self.incarnation:08x}/p={self.partition:05d}"

    def path(self, start: int, end: int | None = None) -> str:
        """The name that whoever archives from `start` must claim. `end` is for a seeded bug: it is not in the name."""
        if trials.seeded("archive_named_with_end"):
            named = [link.path for link in self.links() if link.start == start]
            return f"{self.folder}/{start:020d}-{end:020d}.parquet" if end is not None else max(named, default="")
        return f"{self.folder}/{start:020d}.parquet"

    def temporary(self, writer: str) -> str:
        """A name for a file that is not finished; no reader takes it for a part of the archive."""
        return f"{self.folder}/{TEMPORARY}{writer}"

    def links(self) -> list[Link]:
        """Every file, in the order of their starts."""
        found = []
        for entry in self.files.list(self.folder):
            match = _FILE.fullmatch(entry.name)
            if match and not entry.is_folder:
                found.append(Link(int(match[1]), f"{self.folder}/{entry.name}", entry.bytes))
        return sorted(found, key=lambda link: link.start)

    def footer(self, start: int) -> Footer:
        """Of the file that starts there. Raises FileNotFoundError, StoreCorrupt."""
        path = self.path(start)
        where = self.files.describe(path)
        with self.files.open(path) as source:
            footer, _ = self.format.read(source, where)
        named = (footer.topic, footer.incarnation, footer.partition, footer.start)
        if named != (self.topic, self.incarnation, self.partition, start):
            raise StoreCorrupt(
                f"{where} says that it is partition {footer.partition} of {footer.topic}"
                f" {footer.incarnation:08x} from {footer.start} on: it was moved or renamed."
            )
        return footer

    def origin(self) -> int | None:
        """The offset at which the archive of the partition begins; None if it never began. Raises StoreCorrupt."""
        path = f"{self.folder}/{ORIGIN}"
        try:
            with self.files.open(path) as source:
                content = source.read()
        except FileNotFoundError:
            return None
        try:
            return int(json.loads(content)["offset"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreCorrupt(f"{self.files.describe(path)} is damaged.") from error

    def locate(self) -> ArchivePosition | None:
        """Where the archive stands: the end of its highest-named file; None if it never began.

        Raises PositionMissing for files without an origin, StoreCorrupt for a damaged file.
        """
        links = self.links()
        trials.fail_point("archive.locate.inside")
        # After the listing: a file can only be there if its origin was there before.
        origin = self.origin()
        if origin is None:
            if not links:
                return None
            raise PositionMissing(
                f"{self.files.describe(self.folder)} holds {len(links)} files but no `{ORIGIN}`: its start is lost.",
                way_out="Restore the folder as a whole.",
            )
        if not links:
            return ArchivePosition(origin)
        last = links[-1]
        if last.start < origin:
            raise StoreCorrupt(f"{self.files.describe(last.path)} starts before the origin {origin}.")
        footer = self.footer(last.start)
        return ArchivePosition(footer.end, footer.last_crc)

    def begin(self, offset: int) -> ArchivePosition:
        """Claim `offset` as the origin, unless there is one; where the archive stands then."""
        temporary = self.temporary(uuid.uuid4().hex)
        with self.files.create(temporary) as sink:
            sink.write(json.dumps({"offset": offset}).encode() + b"\n")
        self.files.make_durable(temporary)
        trials.fail_point("archive.origin.before")
        if not self.files.claim(temporary, f"{self.folder}/{ORIGIN}"):
            self.files.remove(temporary)
        trials.fail_point("archive.origin.after")
        position = self.locate()
        if position is None:
            raise StoreCorrupt(f"{self.files.describe(self.folder)}/{ORIGIN} vanished.")
        return position

    def sweep(self, now: float) -> int:
        """Remove temporary files that no writer can own any more (`now`: seconds since the epoch); how many."""
        swept = 0
        for entry in self.files.list(self.folder):
            if entry.name.startswith(TEMPORARY) and now - entry.modified > TEMPORARY_SECONDS:
                self.files.remove(f"{self.folder}/{entry.name}")
                swept += 1
        return swept


def chains(files: ArchiveFileSystem, topic: str | None = None) -> list[Chain]:
    """Every partition in the archive, or of one topic, in order."""
    found = []
    for name in sorted(entry.name for entry in files.list("") if entry.is_folder):
        if topic is not None and name != topic:
            continue
        for incarnation in sorted(entry.name for entry in files.list(name) if entry.is_folder):
            if not _INCARNATION.fullmatch(incarnation):
                continue
            matches = [_PARTITION.fullmatch(entry.name) for entry in files.list(f"{name}/{incarnation}")]
            partitions = sorted(int(match[1]) for match in matches if match)
            found += [Chain(files, name, int(incarnation, 16), partition) for partition in partitions]
    return found
