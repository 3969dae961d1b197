"""The time rule and the calendar of docs/counters.md, in whole milliseconds."""

from __future__ import annotations

import importlib.resources
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from flurry_fast.verify.plan import CountedPlan

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 31_556_952_000
LAST_MS = 253_402_300_799_999
INSTALLS_FROM_MS = 1_199_145_600_000
PROTOCOL_BUILDING_AT_SEND = 26

_I64_MIN, _I64_MAX = -(2**63), 2**63 - 1
# The compiled database has no transitions after this; the offset that holds then holds for ever.
_LAST_ZONED_MS = 4_102_358_400_000  # 2099-12-31T00:00Z
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED_OFFSET = re.compile(r"(?:GMT|UTC)(?:([+-])([0-9]{1,2})(?::([0-9]{2}))?)?")


def saturate(value: int) -> int:
    """What signed 64-bit saturating arithmetic leaves of `value`."""
    return max(_I64_MIN, min(_I64_MAX, value))


def receive_ms(timestamp_ms: int) -> int:
    """Receive time R of a Kafka timestamp."""
    return max(0, min(timestamp_ms, LAST_MS))


def shift_ms(plan: CountedPlan, report: dict[str, Any], received: int) -> int:
    """What is added to the device's times because its clock is plainly wrong."""
    skew = saturate(report["reported_at_ms"] - received)
    ahead = skew > plan.max_skew_ms
    behind = skew < -plan.max_skew_ms and report["protocol"] <= PROTOCOL_BUILDING_AT_SEND
    return saturate(-skew) if ahead or behind else 0


def effective_ms(plan: CountedPlan, start_ms: int, shift: int, received: int) -> tuple[int, bool]:
    """A session's effective time t, and whether its start was replaced by the receive time."""
    corrected = saturate(start_ms + shift)
    if max(0, received - plan.max_age_ms) <= corrected <= min(received + plan.max_ahead_ms, LAST_MS):
        return corrected, False
    return received, True


def install_day(plan: CountedPlan, first_session_ms: int, shift: int, received: int) -> str:
    """The UTC day `YYYY-MM-DD` of the first session, or nothing if it cannot be true."""
    first = saturate(first_session_ms + shift)
    if not INSTALLS_FROM_MS <= first <= min(received + plan.max_ahead_ms, LAST_MS):
        return ""
    return (_EPOCH + timedelta(milliseconds=first)).date().isoformat()


def age_band(birth_ms: int | None, at_ms: int) -> str:
    """The age group of somebody born at `birth_ms`; unset or 0: empty."""
    if not birth_ms:
        return ""
    years = saturate(at_ms - birth_ms) // YEAR_MS
    if not 0 <= years <= 120:
        return ""
    bands = ((12, "0-12"), (17, "13-17"), (24, "18-24"), (34, "25-34"), (54, "35-54"), (120, "55+"))
    return next(name for last, name in bands if years <= last)


def session_length(duration_ms: int) -> str:
    """The length band of a session; negative = not ended."""
    if duration_ms < 0:
        return "not ended"
    bands = (
        (3_000, "0-3s"),
        (10_000, "3-10s"),
        (30_000, "10-30s"),
        (60_000, "30-60s"),
        (180_000, "1-3m"),
        (600_000, "3-10m"),
        (1_800_000, "10-30m"),
    )
    return next((name for end, name in bands if duration_ms < end), "30m+")


@cache
def zone(name: str) -> ZoneInfo | None:
    """The IANA zone of that exact spelling from the pinned tzdata package, never from the host's files."""
    root = importlib.resources.files("tzdata")
    if name not in _zone_names():
        return None
    with root.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def _zone_names() -> frozenset[str]:
    names = importlib.resources.files("tzdata").joinpath("zones").read_text().split()
    # A placeholder for "not configured", which is no zone and not in the compiled database.
    return frozenset(names) - {"Factory"}


@cache
def _fixed_offset_minutes(name: str) -> int | None:
    match = _FIXED_OFFSET.fullmatch(name)
    if match is None:
        return None
    sign, hours, minutes = match.group(1), int(match.group(2) or 0), int(match.group(3) or 0)
    if hours > 23 or minutes > 59:
        return None
    return -(hours * 60 + minutes) if sign == "-" else hours * 60 + minutes


def local_hour(zone_name: str, at_ms: int) -> str:
    """`00` to `23` in the session's own zone; empty where the zone is not known."""
    found = zone(zone_name)
    if found is not None:
        offset_ms = _offset_ms(found, min(at_ms, _LAST_ZONED_MS))
    else:
        minutes = _fixed_offset_minutes(zone_name)
        if minutes is None:
            return ""
        offset_ms = minutes * 60_000
    return f"{(at_ms + offset_ms) // HOUR_MS % 24:02d}"


def _offset_ms(zone: ZoneInfo, at_ms: int) -> int:
    offset = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // timedelta(milliseconds=1)
