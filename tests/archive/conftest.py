"""A chain in a folder of the test's own; makes the helpers beside the tests importable (importlib adds no path)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def files(tmp_path: Path) -> LocalFileSystem:
    return LocalFileSystem(tmp_path / "archive")


@pytest.fixture
def chain(files: LocalFileSystem) -> Chain:
    return Chain(files, "reports", 0xBEEF, 3)
