"""What the engine counts, against the independent count of flurry_fast.verify."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_helpers import assigned_engine, batch_of, counted, in_memory, simulated

from flurry_fast._core import Plan

DEFAULT = (Path(__file__).parents[2] / "flurry_fast" / "plans" / "default.toml").read_text()

# Every dimension and every measure, at every level, in groups that reach their caps.
EVERYTHING = """
[time]
max_age_ms = 7_200_000
max_ahead_ms = 60_000
max_skew_ms = 300_000
[limits]
max_count = 3
max_duration_ms = 40_000
[[rollup]]
name = "reports"
dimensions = [
    "agent_version", "platform", "protocol", "device_model", "brand", "os_version", "install_day", "app_version"
]
measures = ["reports"]
cap = 7
[[rollup]]
name = "report"
dimensions = ["protocol", "app_version"]
measures = ["clock_suspect", "sessions", "reports"]
cap = 3
[[rollup]]
name = "session"
dimensions = ["language", "country", "time_zone", "network", "gender", "age_band", "local_hour", "session_length"]
measures = [
    "sessions", "new_users", "ended_sessions", "duration", "page_views", "events", "errors", "crashes", "data_points",
    "clock_suspect"
]
cap = 5
[[rollup]]
name = "local_hour"
dimensions = ["local_hour"]
measures = ["sessions"]
[[rollup]]
name = "app"
dimensions = []
measures = ["sessions", "duration"]
cap = 1
[[rollup]]
name = "event"
dimensions = ["protocol", "event", "gender"]
measures = ["event_duration", "events", "event_sessions"]
cap = 11
[[rollup]]
name = "event_wide"
dimensions = ["event"]
measures = ["events", "event_sessions", "event_duration"]
[[rollup]]
name = "parameter"
dimensions = ["event", "parameter", "value"]
measures = ["events", "event_sessions"]
cap = 13
[[rollup]]
name = "value"
dimensions = ["value", "network"]
measures = ["event_sessions"]
[[rollup]]
name = "parameter_of_event"
dimensions = ["parameter", "event"]
measures = ["event_sessions", "events"]
[[rollup]]
name = "error"
dimensions = ["error_kind", "error", "session_length"]
measures = ["crashes", "errors"]
cap = 2
"""

# Plans where hardly anything is touched: blocks must not appear for nothing.
SPARSE = [
    f'[[rollup]]\nname = "only"\ndimensions = {dimensions}\nmeasures = {measures}\ncap = 2\n'
    for dimensions, measures in [
        ('["device_model"]', '["reports"]'),
        ('["event"]', '["event_duration"]'),
        ('["parameter"]', '["events"]'),
        ('["error"]', '["crashes"]'),
        ("[]", '["sessions"]'),
    ]
]


def check(toml: str, payloads: list[bytes], timestamps: list[int]) -> int:
    engine = assigned_engine(Plan.parse(toml))
    assert engine.absorb(batch_of(payloads, timestamps)) is None
    expected = counted(toml, payloads, timestamps).finish()
    found = in_memory(engine, toml)
    assert found.keys() == expected.keys()
    for key, block in expected.items():
        assert found[key] == block, key
    return len(expected)


@pytest.mark.parametrize("toml", [DEFAULT, EVERYTHING, *SPARSE], ids=["default", "everything", *"12345"])
def test_captures(toml: str, captures: list[Path]) -> None:
    payloads = [path.read_bytes() for path in captures]
    assert check(toml, payloads, [1_400_000_000_000] * len(payloads)) > 0


@pytest.mark.parametrize("toml", [DEFAULT, EVERYTHING, *SPARSE], ids=["default", "everything", *"12345"])
def test_simulated_fleet(toml: str) -> None:
    payloads, timestamps = simulated(4_000, seed=7, apps=40, devices=500, malformed=0.05, hostile=0.01)
    assert check(toml, payloads, timestamps) > 20


@pytest.mark.parametrize("protocol", [8, 15, 22, 24, 25, 26, 27, 29, 30])
def test_every_protocol(protocol: int) -> None:
    payloads, timestamps = simulated(600, seed=protocol, apps=5, devices=60, protocols={protocol: 1})
    assert check(EVERYTHING, payloads, timestamps) > 5


def test_odd_timestamps(captures: list[Path]) -> None:
    payloads = [path.read_bytes() for path in captures[:60]]
    timestamps = [-1, 0, 2**62, -(2**63), 2**63 - 1, 253_402_300_799_999] * 10
    assert check(DEFAULT, payloads, timestamps) > 1
