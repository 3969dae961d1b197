"""What every benchmark here is run on. A debug build is refused before anything is timed."""

from __future__ import annotations

import pytest

from bench.corpus import Corpus, make_corpus
from bench.environment import describe, refuse_debug_build

REPORTS = 20_000


@pytest.fixture(scope="session", autouse=True)
def _release_build() -> None:
    refuse_debug_build()


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """20,000 reports: small enough for a round of seconds, larger than any cache a core has to itself."""
    return make_corpus(REPORTS)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, object]) -> None:  # noqa: ARG001
    """Saved figures say how the native modules were built."""
    machine_info["flurry_fast"] = describe(["pytest", "bench"])
