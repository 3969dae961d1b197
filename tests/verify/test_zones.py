"""Two tz databases that must be one: the compiled one of the engine, the pinned package of the independent count."""

from __future__ import annotations

import importlib.resources
from random import Random

import pytest
import tzdata

from flurry_fast import _core
from flurry_fast.verify.clock import HOUR_MS, local_hour

from ..profiles import THOROUGH
from ..reference.encoder import encode
from ..reference.generate import Generator
from .logs import Consumer
from .test_engine import assert_exact

PLAN = _core.Plan.parse(
    '[[rollup]]\nname = "hours"\ndimensions = ["time_zone", "local_hour"]\nmeasures = ["sessions"]\ncap = 10000\n'
)
ZONES = importlib.resources.files("tzdata").joinpath("zones").read_text().split()
OTHERS = ["GMT+5", "UTC-03:30", "GMT+23:59", "GMT-0:01", "UTC+24", "GMT+1:60", "gmt", "", "Mars", "GMT+\u0660", "EST "]
LAST_MS = 253_402_300_799_999


def report(at_ms: int) -> bytes:
    """A session of that moment in every zone."""
    generator = Generator(Random(1), odd=0.0)
    generated = generator.report(26, sessions=1) | {"api_key": "ZONES", "reported_at_ms": at_ms}
    session = generated["sessions"][0] | {"event_counts": [], "events": [], "errors": []}
    generated["sessions"] = [
        session | {"timezone": name, "start_ms": at_ms + place} for place, name in enumerate([*ZONES, *OTHERS])
    ]
    return encode(generated)


def test_one_database() -> None:
    assert _core.tzdata_version() == tzdata.IANA_VERSION


def test_every_zone_at_many_times() -> None:
    random = Random(3)
    years = range(1970, 2120, 1 if THOROUGH else 5)
    times = [(year - 1970) * 31_556_952_000 + random.randint(0, 31_556_952_000) for year in years]
    # Around the changes of 2013, an hour at a time.
    times += [1_383_350_400_000 + hour * HOUR_MS for hour in range(0, 72, 1 if THOROUGH else 4)]
    times += [0, LAST_MS - 1_000, 4_102_444_800_000, 4_102_358_400_000, 4_118_000_000_000]
    logs = {0: [(report(at_ms), at_ms) for at_ms in times]}
    count = assert_exact(Consumer(PLAN, logs).run(flush_every=1000, step=1000).store, PLAN, logs)
    assert len(count.blocks) > len(times) // 2


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("Asia/Kathmandu", "05"), ("America/St_Johns", "20"), ("Pacific/Kiritimati", "14"), ("Factory", "")],
)
def test_a_few_by_hand(zone: str, hour: str) -> None:
    assert local_hour(zone, 1_385_000_000_000 - 2 * HOUR_MS - 800_000) == hour
