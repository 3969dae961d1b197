"""Which brokers a test runs over: the embedded one always, real Kafka where its address is known."""

from __future__ import annotations

import os

import pytest

ADDRESS = "FLURRY_FAST_KAFKA"


def real_kafka() -> str:
    """host:port of a real cluster that tests may use; skips, and says so, where there is none."""
    address = os.environ.get(ADDRESS)
    if not address:
        pytest.skip(f"no real Kafka: set {ADDRESS}=host:port")
    return address
