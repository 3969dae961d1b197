"""A stack's folder: one command at a time, nothing of anybody else's is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from flurry_fast.stack import NoStack, OptionsRefused, Stack, StackBusy, StackOptions, take_down
from flurry_fast.stack.folder import Folder


def test_one_at_a_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "stack")
    with folder.claimed(), pytest.raises(StackBusy, match="is at work in"), Folder(tmp_path / "stack").claimed():
        pass
    with folder.claimed():
        pass


def test_other_peoples_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(OptionsRefused, match="holds other things than a stack"), Folder(tmp_path).claimed():
        pass
    with pytest.raises(OptionsRefused, match="holds other things"):
        Stack.up(tmp_path, fresh=True)
    assert (tmp_path / "data").exists()
    assert take_down(tmp_path, wipe=True) == []
    assert (tmp_path / "data").exists()


def test_paths_that_servers_would_stumble_over(tmp_path: Path) -> None:
    with pytest.raises(OptionsRefused, match="can not live in"), Folder(tmp_path / "a b").claimed():
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OptionsRefused, match="can not be a stack's folder"), Folder(tmp_path / "file").claimed():
        pass


def test_what_is_recorded_is_read_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "stack")
    with pytest.raises(NoStack):
        Stack.at(folder.root)
    options = StackOptions(brokers=3, extra={"hbase": {"a": "b"}})
    with folder.claimed():
        folder.record(options)
    assert Stack.at(folder.root).options == options
    (folder.root / "stack.json").write_text("{}x")
    with pytest.raises(OptionsRefused, match="is not what this version writes"):
        Stack.at(folder.root)


def test_a_wipe_leaves_what_is_not_the_stacks(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "stack")
    with folder.claimed():
        folder.record(StackOptions())
        folder.prepare()
        (folder.data / "kafka1").mkdir()
        assert folder.has_data()
        (folder.root / "notes").touch()
        folder.wipe()
        assert [path.name for path in folder.root.iterdir()] == ["notes"]
        (folder.root / "notes").unlink()
        folder.record(StackOptions())
        folder.wipe()
    assert not folder.root.exists()


def test_a_wipe_that_was_interrupted_leaves_no_half_data(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "stack")
    with folder.claimed():
        folder.record(StackOptions())
        folder.prepare()
        (folder.data / "nn").mkdir()
        folder.data.rename(folder.root / ".removed")  # and then it died
        folder.prepare()
        assert not folder.has_data()
        assert not (folder.root / ".removed").exists()
