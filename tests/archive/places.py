"""A folder of a test's own, local or on HDFS, and how to spoil what is in it behind the archive's back."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from flurry_fast.archive.files import open_files
from flurry_fast.archive.filesystem import ArchiveFileSystem
from flurry_fast.config.model import Archive
from flurry_fast.stack import Stack


class Place(Protocol):
    """Where an archive is, and the means of whoever can reach it without the archive."""

    root: str
    files: ArchiveFileSystem

    def get(self, path: str) -> bytes: ...

    def put(self, path: str, content: bytes) -> None: ...

    def move(self, path: str, target: str) -> None: ...

    def delete(self, path: str) -> None: ...

    def age(self, path: str, seconds: float) -> None:
        """Last written at that time (since the epoch)."""


class LocalPlace:
    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.files = open_files(Archive(root=self.root))

    def _path(self, path: str) -> Path:
        return Path(self.root) / path

    def get(self, path: str) -> bytes:
        return self._path(path).read_bytes()

    def put(self, path: str, content: bytes) -> None:
        self._path(path).parent.mkdir(parents=True, exist_ok=True)
        self._path(path).write_bytes(content)

    def move(self, path: str, target: str) -> None:
        self._path(path).rename(self._path(target))

    def delete(self, path: str) -> None:
        self._path(path).unlink()

    def age(self, path: str, seconds: float) -> None:
        os.utime(self._path(path), (seconds, seconds))


class HdfsPlace:
    def __init__(self, server: str, **settings: Any) -> None:
        import hdfs_native

        self.server, self.folder = server, f"/flurry-fast-tests/{uuid.uuid4().hex}"
        self.root = server + self.folder
        self.files = open_files(Archive(root=self.root, **settings))
        self.client = hdfs_native.Client(server)

    def get(self, path: str) -> bytes:
        return self.client.read(f"{self.folder}/{path}").read()

    def put(self, path: str, content: bytes) -> None:
        import hdfs_native

        options = hdfs_native.WriteOptions(overwrite=True, create_parent=True)
        with self.client.create(f"{self.folder}/{path}", options) as file:
            file.write(content)

    def move(self, path: str, target: str) -> None:
        self.client.rename(f"{self.folder}/{path}", f"{self.folder}/{target}")

    def delete(self, path: str) -> None:
        assert self.client.delete(f"{self.folder}/{path}")

    def age(self, path: str, seconds: float) -> None:
        self.client.set_times(f"{self.folder}/{path}", round(seconds * 1000), round(seconds * 1000))

    def clear(self) -> None:
        self.client.delete(self.folder, True)


@contextmanager
def hdfs_place(stack: Stack) -> Iterator[HdfsPlace]:
    """A folder on that HDFS; gone afterwards."""
    assert stack.addresses.hdfs is not None
    place = HdfsPlace(stack.addresses.hdfs, call_timeout=20.0)
    try:
        yield place
    finally:
        place.clear()
