"""Reports on both sides of every edge that docs/counters.md draws: a millisecond or a minute makes the difference."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from ..reference.encoder import encode
from ..reference.generate import NOW_MS, Generator

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
YEAR_MS = 31_556_952_000
LAST_MS = 253_402_300_799_999
FULL_HOUR = NOW_MS // HOUR_MS * HOUR_MS
HALF_PAST = FULL_HOUR + 30 * MINUTE_MS

LENGTHS = (0, 3_000, 10_000, 30_000, 60_000, 180_000, 600_000, 1_800_000)
AGES = (0, 13, 18, 25, 35, 55, 121)
SKEWS = (300_000, 600_000)  # max_skew_ms of the two plans
OLDEST = (2 * HOUR_MS, 30 * DAY_MS)  # max_age_ms
NEWEST = (MINUTE_MS, 10 * MINUTE_MS)  # max_ahead_ms
OFFSETS = (
    "GMT", "UTC", "GMT+0:01", "GMT-0:01", "UTC+9", "UTC-09", "GMT+23", "GMT+24", "GMT-23:59", "GMT-23:60", "GMT+00:29",
    "GMT+00:30", "GMT-1:30", "GMT-1:31", "GMT+", "GMT+1:5", "gmt+1", "UTC+123", "Z", "Factory",
)  # fmt: skip
OLD_CLOCKS = (1_385_000_000_000, 1_340_000_000_000, 1_293_839_999_000, 4_118_000_000_000, LAST_MS - DAY_MS)


def at_the_edges() -> Iterator[tuple[int, bytes]]:
    """(Kafka timestamp in ms, payload). Each report from a device of its own, each session with a start of its own."""
    reports = _Reports()
    for end in LENGTHS:
        yield reports.of(HALF_PAST, [{"duration_ms": end - 1}, {"duration_ms": end}, {"duration_ms": end + 1}])
    for years in AGES:
        births = [{"age_ms": years * YEAR_MS + step} for step in (-1, 0, 1)]
        yield reports.of(HALF_PAST, births)
    for edge in (*(-oldest for oldest in OLDEST), *NEWEST):
        yield reports.of(HALF_PAST, [{"start_ms": HALF_PAST + edge + step} for step in (-1, 0, 1)])
        for step in (-1, 0, 1):
            yield reports.of(HALF_PAST, [], first_session_start_ms=HALF_PAST + edge + step)
    for received in (1_000, LAST_MS):
        yield reports.of(received, [{"start_ms": start} for start in (-1, 0, 1, LAST_MS - 1, LAST_MS, LAST_MS + 1)])
        yield reports.of(received, [], first_session_start_ms=LAST_MS)
    for first in (1_199_145_599_999, 1_199_145_600_000):
        yield reports.of(HALF_PAST, [], first_session_start_ms=first)
    for skew in SKEWS:
        for step in (0, 1):
            # The shift takes a session over a full hour, back or forth.
            for received, off in ((FULL_HOUR - 1, skew + step), (FULL_HOUR, -skew - step)):
                for protocol in (26, 27):
                    session = {"start_ms": received + off}
                    yield reports.of(received, [session], protocol=protocol, reported_at_ms=received + off)
    for zone in OFFSETS:
        times = (FULL_HOUR, HALF_PAST - 1, HALF_PAST)
        yield reports.of(HALF_PAST, [{"start_ms": at, "timezone": zone} for at in times])
    for received in OLD_CLOCKS:
        zones = ("America/New_York", "Australia/Sydney", "Europe/Moscow", "Pacific/Apia", "Asia/Tehran")
        yield reports.of(received, [{"timezone": zone} for zone in zones])
    # Records of one session: the longest stands for it; of those that did not end, the last.
    for durations in ((5, 9, 7), (9, 5, 9), (-1, -5), (-5, -1), (0, -1), (-1, 0)):
        twins = [
            {"start_ms": HALF_PAST, "duration_ms": duration, "page_views": 10**place}
            for place, duration in enumerate(durations)
        ]
        yield reports.of(HALF_PAST, twins)
    for count in (-1, 0, 3, 4, 1_000_000, 1_000_001):
        counts = {"page_views": count, "total_errors": count, "event_counts": [("e", count), ("e", 1), ("f", count)]}
        yield reports.of(HALF_PAST, [counts])
    for duration in (-1, 0, 1, 40_000, 40_001, 30 * DAY_MS, 30 * DAY_MS + 1):
        event = {"id": 1, "name": "e", "params": [("p", "v")] * 2, "offset_ms": 0, "duration_ms": duration}
        yield reports.of(HALF_PAST, [{"duration_ms": duration, "events": [event, event]}])


class _Reports:
    """Plain reports, in which only what is asked for differs."""

    def __init__(self) -> None:
        self._generator = Generator(Random(8), odd=0.0)
        self._number = 0

    def of(self, received: int, sessions: list[dict[str, Any]], **changes: Any) -> tuple[int, bytes]:
        self._number += 1
        report = self._generator.report(26, sessions=0) | {
            "api_key": "EDGES",
            "reported_at_ms": received,
            "first_session_start_ms": received - DAY_MS,
            "device_ids": [(0, b"AND%016x" % self._number)],
            "properties": [],
            "ad_ids": [],
        }
        report["sessions"] = [self._session(received - place, asked) for place, asked in enumerate(sessions)]
        return received, encode(report | changes)

    def _session(self, start: int, asked: dict[str, Any]) -> dict[str, Any]:
        quiet = {
            "event_counts": [],
            "events": [],
            "errors": [],
            "properties": [],
            "duration_ms": 5_000,
            "birth_ms": None,
        }
        session = self._generator.session() | quiet | {"start_ms": start, "timezone": "UTC", "locale": "en_US"} | asked
        if "age_ms" in asked:
            session["birth_ms"] = session["start_ms"] - session.pop("age_ms")
        return session
