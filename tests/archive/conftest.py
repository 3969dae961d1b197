"""A chain in a folder of the test's own; makes the helpers beside the tests importable (importlib adds no path)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import ArchiveFileSystem, LocalFileSystem

sys.path.insert(0, str(Path(__file__).parent))

from places import LocalPlace, Place, hdfs_place


@pytest.fixture(params=["local", "hdfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Every file system that there is an archive for, in turn."""
    if request.param == "local":
        yield LocalPlace(tmp_path / "archive")
    else:
        with hdfs_place(request.getfixturevalue("stack")) as place:
            yield place


@pytest.fixture
def files(place: Place) -> ArchiveFileSystem:
    return place.files


@pytest.fixture
def chain(files: ArchiveFileSystem) -> Chain:
    return Chain(files, "reports", 0xBEEF, 3)


@pytest.fixture
def local(tmp_path: Path) -> LocalFileSystem:
    return LocalFileSystem(tmp_path / "archive")
