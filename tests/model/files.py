"""The simulated file system of the archive, and the light format of its files: same rows and footers, no Parquet."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from flurry_fast._core import archive_schema
from flurry_fast.archive.chain import ORIGIN, TEMPORARY
from flurry_fast.archive.filesystem import ArchiveFileSystem, Entry, LocalFileSystem
from flurry_fast.archive.footer import Footer
from flurry_fast.archive.format import Format
from flurry_fast.errors import StoreCorrupt, StoreUnavailable
from model.cells import edges
from model.errors import Killed, Violation

if TYPE_CHECKING:
    from model.checks import ProcessWatch
    from model.world import World

T = TypeVar("T")
FILE_CALL = edges(0.025, 0.025, 0.004, 0.004)  # fine; not done; no answer; killed after; killed before


class MemoryFile:
    """A file that keeps what was written: bytes, or a footer with its rows."""

    def __init__(self) -> None:
        self.content = b""
        self.footer: Footer | None = None
        self.rows: list[Any] = []

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, content: bytes) -> None:
        self.content += content

    def read(self) -> bytes:
        return self.content

    def tell(self) -> int:
        return len(self.content)


class LightFormat:
    """Rows and footer as they are."""

    def write(self, sink: Any, footer: Footer, chunk: Any) -> None:
        sink.footer, sink.rows = footer, [] if chunk is None else chunk.batches

    def read(self, source: Any, where: str) -> tuple[Footer, int]:
        if source.footer is None:
            raise StoreCorrupt(f"{where} is no file of the archive.")
        return source.footer, len(source.rows)

    def columns(self, source: Any, names: Sequence[str]) -> pa.Table:
        wanted = list(dict.fromkeys(name.partition(".")[0] for name in names))
        if not source.rows:
            return pa.Table.from_batches([pa.record_batch(archive_schema())]).select(wanted)
        return pa.Table.from_batches([pa.record_batch(rows) for rows in source.rows]).select(wanted)


class MemoryFiles(ArchiveFileSystem):
    """Folders of a process's memory."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, MemoryFile]] = {}

    def check(self) -> None:
        """Names are exclusive."""

    def create(self, path: str) -> Any:
        folder, _, name = path.rpartition("/")
        file = self.files.setdefault(folder, {})[name] = MemoryFile()
        return file

    def make_durable(self, path: str) -> None:
        """Nobody pulls the plug."""

    def claim(self, temporary: str, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        held = self.files.setdefault(folder, {})
        if name in held:
            return False
        held[name] = held.pop(temporary.rpartition("/")[2])
        return True

    def list(self, folder: str) -> list[Entry]:
        return [Entry(name, False, 1, 0.0) for name in self.files.get(folder, {})]

    def open(self, path: str) -> Any:
        folder, _, name = path.rpartition("/")
        try:
            return self.files[folder][name]
        except KeyError:
            raise FileNotFoundError(path) from None

    def remove(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        self.files.get(folder, {}).pop(name, None)

    def describe(self, path: str) -> str:
        return path


class UnreliableFiles(ArchiveFileSystem):
    """The archive's files as one process meets them."""

    def __init__(self, world: World, watch: ProcessWatch | None) -> None:
        self._world, self._watch, self._inner = world, watch, world.files
        self.dead = False

    def _call(self, apply: Callable[[], T], *, deep: bool = False) -> T:
        world = self._world
        if self.dead:
            raise Killed
        if world.faults:
            if deep:
                world.interleave()
                if self.dead:
                    raise Killed
            if world.archive_down:
                world.happened["archive down"] += 1
                raise StoreUnavailable("the file system is down")
            what = world.draw.weighted(FILE_CALL)
            if what == 1:
                world.happened["file call failed"] += 1
                raise StoreUnavailable("not done")
            if what == 4:
                world.happened["killed before a file call"] += 1
                self.dead = True
                raise Killed
            answer = apply()
            if what == 2:
                world.happened["file answer lost"] += 1
                raise StoreUnavailable("done, but no answer")
            if what == 3:
                world.happened["killed after a file call"] += 1
                self.dead = True
                raise Killed
            return answer
        return apply()

    def check(self) -> None:
        self._call(lambda: None)

    def create(self, path: str) -> Any:
        if not path.rpartition("/")[2].startswith(TEMPORARY):
            raise Violation("claim-exclusive", f"{path} is written under its final name")
        return self._call(lambda: self._inner.create(path))

    def make_durable(self, path: str) -> None:
        self._call(lambda: self._inner.make_durable(path))

    def claim(self, temporary: str, path: str) -> bool:
        if self._watch is not None:
            verified, self._watch.verified = self._watch.verified, False
            self._world.checks.require(
                "registry-read-before-claim", verified, f"{path} claimed without a registry read"
            )
            self._watch.identified = False
        return self._call(lambda: self._land(temporary, path), deep=True)

    def _land(self, temporary: str, path: str) -> bool:
        ours = self._inner.claim(temporary, path)
        world = self._world
        world.happened["claim" if ours else "claim lost"] += 1
        if ours:
            world.claimed(path)
        return ours

    def list(self, folder: str) -> list[Entry]:
        return self._call(lambda: self._inner.list(folder), deep=True)

    def open(self, path: str) -> Any:
        return self._call(lambda: self._inner.open(path))

    def remove(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if not name.startswith(TEMPORARY):
            raise Violation("claim-exclusive", f"{path} is removed")
        self._call(lambda: self._inner.remove(path))

    def describe(self, path: str) -> str:
        return self._inner.describe(path)


__all__ = ["ORIGIN", "Format", "LightFormat", "LocalFileSystem", "MemoryFile", "MemoryFiles", "UnreliableFiles", "io"]
