"""What every test may use: hypothesis profiles, and where the captures are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("fast", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("fast"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

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
