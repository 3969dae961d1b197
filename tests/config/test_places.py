"""Where an archive may be: what is taken, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flurry_fast.archive.files import is_remote, open_files
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.config import ConfigError, load_settings
from flurry_fast.config.model import Archive
from flurry_fast.config.places import HdfsPlace, hdfs_place


@pytest.mark.parametrize("root", ["data/archive", "/var/archive", "./a b", "C/x:y"])
def test_local_folders_are_left_as_they_are(root: str) -> None:
    settings = Archive(root=root)
    assert settings.root == root
    assert Archive(root=Path(root)).root == str(Path(root))
    files = open_files(settings)
    assert isinstance(files, LocalFileSystem)
    assert files.root == Path(root)
    assert not is_remote(settings)


@pytest.mark.parametrize(
    ("root", "place"),
    [
        ("hdfs://nn.example:8020/flurry/archive", HdfsPlace("nn.example", 8020, "/flurry/archive")),
        ("hdfs://production/archive/", HdfsPlace("production", None, "/archive")),
        ("hdfs://127.0.0.1:9000//a", HdfsPlace("127.0.0.1", 9000, "/a")),
    ],
)
def test_folders_on_hdfs(root: str, place: HdfsPlace) -> None:
    assert hdfs_place(root) == place
    assert Archive(root=root).root == str(place)
    assert hdfs_place(str(place)) == place
    assert is_remote(Archive(root=root))
    assert open_files(Archive(root=root)).describe("a/b") == f"{place}/a/b"


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("s3://bucket/x", "no file system there is an archive for"),
        ("file:///x", "no file system there is an archive for"),
        ("hdfs:/x", "no file system there is an archive for"),
        ("hdfs:///x", "names no host"),
        ("hdfs://me@host/x", "names no host"),
        ("hdfs://host:0/x", "names no host"),
        ("hdfs://host:99999/x", "no port from 1 to 65535"),
        ("hdfs://host:port/x", "no port from 1 to 65535"),
        ("hdfs://host:1", "names no folder"),
        ("hdfs://host:1/", "names no folder"),
        ("hdfs://host:1/a/../b", "names no folder"),
        ("hdfs://host:1/a//b", "names no folder"),
        ("hdfs://host:1/a?b", "names no folder"),
    ],
)
def test_other_places_are_refused(root: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Archive(root=root)
    with pytest.raises(ConfigError, match=reason) as refusal:
        load_settings(None, {"archive.root": root})
    assert str(refusal.value).count("\n") == 0
    assert "hdfs://HOST:PORT/FOLDER" in str(refusal.value)
