"""Which brokers a test runs over: the embedded one always, real Kafka where the stack can run."""

from __future__ import annotations

import pytest


def real_kafka(request: pytest.FixtureRequest) -> str:
    """host:port of the shared stack's cluster; skips, or fails, where there can be none."""
    address = request.getfixturevalue("stack").addresses.kafka
    assert address is not None
    return str(address)
