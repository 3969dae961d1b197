"""Leaves the process as it was: schedules run without logs and status lines, which other tests want."""

from collections.abc import Iterator

import pytest
import structlog

from flurry_fast.consumer import loop


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    config, seconds = structlog.get_config(), loop.STATE_SECONDS
    yield
    structlog.configure(**config)
    loop.STATE_SECONDS = seconds  # type: ignore[misc]
