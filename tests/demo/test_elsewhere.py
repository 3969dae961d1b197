"""A child of the demo runs the package that its parent is, whatever lies in the folder one stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from flurry_fast.demo.children import children
from flurry_fast.demo.workspace import prepare


def test_a_package_of_the_same_name_in_the_folder_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flurry_fast").mkdir()
    (tmp_path / "flurry_fast" / "__init__.py").write_text("raise SystemExit('another one')")
    monkeypatch.chdir(tmp_path)
    with children(prepare(tmp_path / "run")) as started:
        child = started.start("version", "--version")
        assert child.wait(60) == 0, child.tail()
    assert "version" in child.tail()
