"""Which file system an archive is on, by its settings."""

from __future__ import annotations

from pathlib import Path

from flurry_fast.archive.filesystem import ArchiveFileSystem, LocalFileSystem
from flurry_fast.config.model import Archive
from flurry_fast.config.places import hdfs_place


def open_files(settings: Archive) -> ArchiveFileSystem:
    """The file system under `archive.root`. Nothing is read, connected or made yet."""
    place = hdfs_place(settings.root)
    if place is None:
        return LocalFileSystem(Path(settings.root))
    from flurry_fast.archive.hdfs import HdfsFileSystem  # a large library that local archives do without

    return HdfsFileSystem(place, settings.call_timeout)


def is_remote(settings: Archive) -> bool:
    """Whether a file is closed over the network, where several at once pay."""
    return hdfs_place(settings.root) is not None
