"""The demo's folder is its own, or left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from flurry_fast.config.load import load
from flurry_fast.demo.ground import embedded
from flurry_fast.demo.settings import write_config
from flurry_fast.demo.workspace import MARKER, DemoFolderRefused, prepare


def test_makes_a_folder_and_empties_its_own_things_the_next_time(tmp_path: Path) -> None:
    root = tmp_path / "run"
    workspace = prepare(root)
    workspace.manifest.write_text("old\n")
    workspace.store.write_bytes(b"old")
    (workspace.archive / "reports").mkdir(parents=True)
    (root / "notes.txt").write_text("mine")
    prepare(root)
    assert sorted(path.name for path in root.iterdir()) == [MARKER, "logs", "notes.txt"]
    assert (root / "notes.txt").read_text() == "mine"


def test_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    with pytest.raises(DemoFolderRefused, match="no demo made") as refused:
        prepare(tmp_path)
    assert refused.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_does_not_follow_a_link_out_of_the_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    workspace = prepare(tmp_path / "run")
    workspace.archive.symlink_to(elsewhere)
    prepare(workspace.root)
    assert (elsewhere / "file").exists()
    assert not workspace.archive.is_symlink()


def test_refuses_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DemoFolderRefused, match="cannot be used"):
        prepare(tmp_path / "file")


def test_its_settings_are_accepted(tmp_path: Path) -> None:
    workspace = prepare(tmp_path / 'a "quoted" name')
    write_config(workspace, embedded(workspace))
    settings = load(workspace.config, {}, {}).settings
    assert settings.archive.root == str(workspace.archive)
    assert settings.consume.status_file == workspace.consumer_status
    assert settings.counters.store == f"sqlite:{workspace.store}"
    assert settings.kafka.broker_file == workspace.broker_file
