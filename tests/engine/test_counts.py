"""What the engine counts, against the independent count of flurry_fast.verify."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_helpers import assigned_engine, batch_of, counted, in_memory, simulated

from flurry_fast._core import Plan

DEFAULT = (Path(__file__).parents[2] / "flurry_fast" / "plans" / "default.toml").read_text()

EVERYTHING = (Path(__file__).parents[1] / "golden" / "everything.toml").read_text()

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
