"""What every test may use: hypothesis profiles, and where the captures are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from . import profiles

profiles.register()
sys.path.insert(0, str(Path(__file__).parent))  # `reference`, and `model` as `python -m model` finds it

CAPTURES = Path(__file__).parent / "captures"


@pytest.fixture(scope="session")
def captures() -> list[Path]:
    """The bodies of all reports made by real agents."""
    found = sorted(CAPTURES.glob("*/*.bin"))
    assert len(found) == 245
    return found


@pytest.fixture(scope="session")
def bodies(captures: list[Path]) -> list[bytes]:
    """All captured reports."""
    return [path.read_bytes() for path in captures]
