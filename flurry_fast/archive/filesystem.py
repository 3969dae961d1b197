"""What the archive asks of a file system, and the local one.

The chain of claims (docs/archive.md) stands on one primitive: giving a finished file a name that nobody has, so that of
two writers exactly one succeeds. POSIX `rename` overwrites and is therefore useless here; a file system without an
exclusive primitive is refused.

Paths are relative to the archive's root and written with `/`.
"""

from __future__ import annotations

import abc
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from flurry_fast import trials
from flurry_fast.errors import FlurryFastError, StoreUnavailable


class FileSystemRefused(FlurryFastError):
    """The file system cannot give a name exclusively: an archive on it could lose or double records."""


@dataclass(frozen=True)
class Entry:
    """A name in a folder; `modified` is seconds since the epoch, `bytes` the size of a file (0 of a folder)."""

    name: str
    is_folder: bool
    bytes: int
    modified: float


class ArchiveFileSystem(abc.ABC):
    """Every method may block as long as the file system does, and raises StoreUnavailable when it fails.

    A failed call says nothing about its effect: whoever needs to know looks. Methods may be called on any thread.
    """

    @abc.abstractmethod
    def check(self) -> None:
        """Try the claim primitive. Raises FileSystemRefused where it is missing, StoreUnavailable."""

    @abc.abstractmethod
    def create(self, path: str) -> pa.NativeFile:
        """A new file to write, with its folders. The name is not durable and may be left behind by a crash."""

    @abc.abstractmethod
    def make_durable(self, path: str) -> None:
        """What the file holds, and its name, survive a power cut from here on."""

    @abc.abstractmethod
    def claim(self, temporary: str, path: str) -> bool:
        """Give a durable temporary file the name `path`, durably, unless any file has it.

        True: the name is ours and the temporary name is gone. False: somebody has it, nothing was changed.
        """

    @abc.abstractmethod
    def list(self, folder: str) -> list[Entry]:
        """What is in a folder, in no order; nothing if the folder does not exist."""

    @abc.abstractmethod
    def open(self, path: str) -> pa.NativeFile:
        """A file to read at random. Raises FileNotFoundError."""

    @abc.abstractmethod
    def remove(self, path: str) -> None:
        """Remove a temporary file; no error if it is gone already."""

    @abc.abstractmethod
    def describe(self, path: str) -> str:
        """The path as an operator would look for it."""


@contextmanager
def _unavailable(doing: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreUnavailable(f"The archive's file system failed {doing}: {error}.") from error


class LocalFileSystem(ArchiveFileSystem):
    """Files under a folder of this machine. The claim is `link`, which fails where the name exists."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self) -> None:
        name = f".probe-{uuid.uuid4().hex}"
        probe, linked = self._path(name), self._path(f"{name}-linked")
        with _unavailable(f"at a first test in {self.root}"):
            _make_folder(self.root)
            try:
                probe.touch()
                os.link(probe, linked)
                try:
                    os.link(probe, linked)
                except FileExistsError:
                    return
                raise FileSystemRefused(f"{self.root} lets two files claim one name.")
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
                    raise FileSystemRefused(
                        f"The file system of {self.root} has no hard links ({error}), so that two writers could"
                        " overwrite each other.",
                        way_out="Set archive.root to a folder on a local POSIX file system.",
                    ) from error
                raise
            finally:
                linked.unlink(missing_ok=True)
                probe.unlink(missing_ok=True)

    def create(self, path: str) -> pa.NativeFile:
        full = self._path(path)
        with _unavailable(f"creating {full}"):
            _make_folder(full.parent)
            return pa.OSFile(str(full), "wb")

    def make_durable(self, path: str) -> None:
        full = self._path(path)
        with _unavailable(f"making {full} durable"):
            _sync(full)
            _sync(full.parent)

    def claim(self, temporary: str, path: str) -> bool:
        source, target = self._path(temporary), self._path(path)
        with _unavailable(f"claiming {target}"):
            try:
                os.link(source, target)
                ours = True
                trials.fail_point("files.link.after")
            except FileExistsError:
                # NFS repeats a request whose answer was lost, and then answers the repetition.
                ours = os.path.samestat(source.stat(), target.stat())
            # Also of a name that another has: we are about to go on from it.
            _sync(target.parent)
            trials.fail_point("files.claim.durable")
            if ours:
                source.unlink(missing_ok=True)
            return ours

    def list(self, folder: str) -> list[Entry]:
        entries = []
        with (
            _unavailable(f"listing {self._path(folder)}"),
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self._path(folder)) as found,
        ):
            for entry in found:
                with suppress(FileNotFoundError):  # a temporary file that was claimed or swept meanwhile
                    stat = entry.stat()
                    is_folder = entry.is_dir()
                    entries.append(Entry(entry.name, is_folder, 0 if is_folder else stat.st_size, stat.st_mtime))
        return entries

    def open(self, path: str) -> pa.NativeFile:
        full = self._path(path)
        with _unavailable(f"opening {full}"):
            return pa.OSFile(str(full), "rb")

    def remove(self, path: str) -> None:
        full = self._path(path)
        with _unavailable(f"removing {full}"):
            full.unlink(missing_ok=True)

    def describe(self, path: str) -> str:
        return str(self._path(path))

    def _path(self, path: str) -> Path:
        return self.root / PurePosixPath(path)


def _make_folder(folder: Path) -> None:
    """Like mkdir -p, and durable."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
