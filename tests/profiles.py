"""How many examples a hypothesis test gets: few by default, so that the suite stays quick, many when asked for."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
_TIMES = 50 if THOROUGH else 1


def register() -> None:
    """The profiles `fast` (default) and `thorough` (environment HYPOTHESIS_PROFILE)."""
    settings.register_profile("fast", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("thorough", parent=settings.get_profile("fast"), max_examples=60 * _TIMES)
    settings.load_profile("thorough" if THOROUGH else "fast")


def examples(fast: int) -> settings:
    """Decorates a test that wants another number of examples than the profile's 60."""
    return settings(max_examples=fast * _TIMES)
