"""The independent count, against small cases worked out by hand from docs/counters.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flurry_fast.verify.clock import HOUR_MS
from flurry_fast.verify.count import OTHER, Count, CountError, count_lines
from flurry_fast.verify.plan import CountedPlan

RECEIVED = 1_385_000_000_000  # 2013-11-21T02:13:20Z
HOUR = RECEIVED // HOUR_MS
DAY_MS = 24 * HOUR_MS


def rollup(name: str, dimensions: list[str], measures: list[str], cap: int = 1000) -> str:
    return (
        f"[[rollup]]\nname = {json.dumps(name)}\ndimensions = {json.dumps(dimensions)}\n"
        f"measures = {json.dumps(measures)}\ncap = {cap}\n"
    )


def plan(*rollups: str, head: str = "") -> CountedPlan:
    return CountedPlan.parse(head + "".join(rollups))


def session(**fields: Any) -> dict[str, Any]:
    return {
        "app_version": "1.0",
        "start_ms": RECEIVED - 60_000,
        "duration_ms": 5_000,
        "locale": "en_US",
        "timezone": "Europe/Berlin",
        "network": 2,
        "user_id": "",
        "location": None,
        "page_views": 0,
        "gender": None,
        "birth_ms": None,
        "event_counts": [],
        "events": [],
        "events_complete": True,
        "total_errors": 0,
        "errors": [],
    } | fields


def event(name: str, params: list[list[str]] | None = None, duration_ms: int | None = 0) -> dict[str, Any]:
    return {"id": 1, "name": name, "params": params or [], "offset_ms": 0, "duration_ms": duration_ms}


def error(error_id: str = "E", kind: int | None = 2) -> dict[str, Any]:
    return {"id": 1, "time_ms": 0, "error_id": error_id, "message": "", "class": "", "kind": kind, "trace": None}


def report(*sessions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "outcome": "ok",
        "device_ids": [{"type": 0, "hex": "d0"}],
        "protocol": 26,
        "platform": 3,
        "agent_version": 148,
        "reported_at_ms": RECEIVED,
        "api_key": "APP",
        "app_version": "2.0",
        "first_session_start_ms": 0,
        "session_start_ms": RECEIVED,
        "properties": {},
        "sessions": list(sessions),
        "partition": 0,
        "offset": 0,
        "timestamp_ms": RECEIVED,
        "crc32c": 7,
    } | fields


def count(plan: CountedPlan, *reports: dict[str, Any]) -> dict[Any, Any]:
    folded = Count(plan)
    for offset, line in enumerate(reports):
        folded.add(line | {"offset": offset})
    return folded.finish()


def test_a_report_and_its_sessions() -> None:
    app = rollup("app", [], ["reports", "sessions", "new_users", "ended_sessions", "duration", "page_views", "events"])
    early = RECEIVED - 3 * HOUR_MS
    first = session(start_ms=early, page_views=4, event_counts=[["a", 2], ["b", 3], ["a", -9]])
    second = session(duration_ms=None, page_views=-1)
    blocks = count(plan(app), report(first, second, first_session_start_ms=early))
    assert blocks == {
        (0, b"APP", HOUR): {
            "app": {
                (): {
                    "reports": 1,
                    "sessions": 1,
                    "new_users": 0,
                    "ended_sessions": 0,
                    "duration": 0,
                    "page_views": 0,
                    "events": 0,
                }
            }
        },
        (0, b"APP", HOUR - 3): {
            "app": {
                (): {
                    "reports": 0,
                    "sessions": 1,
                    "new_users": 1,
                    "ended_sessions": 1,
                    "duration": 5_000,
                    "page_views": 4,
                    "events": 5,
                }
            }
        },
    }


def test_the_longest_record_stands_for_its_session() -> None:
    app = rollup("app", [], ["sessions", "duration"])
    records = [
        session(duration_ms=None),
        session(duration_ms=900, app_version="kept no more"),
        session(duration_ms=900, app_version="kept"),
        session(duration_ms=100),
        session(start_ms=RECEIVED - 1, duration_ms=-7, app_version="first"),
        session(start_ms=RECEIVED - 1, duration_ms=None, app_version="last"),
    ]
    blocks = count(plan(app, rollup("version", ["app_version"], ["sessions"])), report(*records))
    assert blocks[0, b"APP", HOUR] == {
        "app": {(): {"sessions": 2, "duration": 900}},
        "version": {("kept",): {"sessions": 1}, ("last",): {"sessions": 1}},
    }


@pytest.mark.parametrize(
    ("protocol", "skew_ms", "shift_ms"),
    [
        (26, 600_000, 0),
        (26, 600_001, -600_001),
        (26, -600_000, 0),
        (26, -600_001, 600_001),
        (27, -600_001, 0),
        (30, 600_001, -600_001),
        (8, -(9 * DAY_MS), 9 * DAY_MS),
    ],
)
def test_a_clock_plainly_wrong_is_corrected(protocol: int, skew_ms: int, shift_ms: int) -> None:
    counted = plan(rollup("app", [], ["sessions", "clock_suspect"]))
    start = RECEIVED - 5 * HOUR_MS
    blocks = count(counted, report(session(start_ms=start), protocol=protocol, reported_at_ms=RECEIVED + skew_ms))
    bucket = (start + shift_ms) // HOUR_MS
    suspect = 0
    if not RECEIVED - 30 * DAY_MS <= start + shift_ms <= RECEIVED + 600_000:
        bucket, suspect = HOUR, 1
    assert blocks == {(0, b"APP", bucket): {"app": {(): {"sessions": 1, "clock_suspect": suspect}}}}


@pytest.mark.parametrize(
    ("start_ms", "suspect"),
    [
        (RECEIVED - 30 * DAY_MS, 0),
        (RECEIVED - 30 * DAY_MS - 1, 1),
        (RECEIVED + 600_000, 0),
        (RECEIVED + 600_001, 1),
        (-(2**63), 1),
        (2**63 - 1, 1),
    ],
)
def test_sessions_far_from_their_receipt(start_ms: int, suspect: int) -> None:
    blocks = count(plan(rollup("app", [], ["clock_suspect"])), report(session(start_ms=start_ms)))
    bucket = HOUR if suspect else start_ms // HOUR_MS
    assert blocks == {(0, b"APP", bucket): {"app": {(): {"clock_suspect": suspect}}}}


def test_receive_times_without_a_calendar() -> None:
    counted = plan(rollup("app", [], ["reports", "clock_suspect"]), rollup("hour", ["local_hour"], ["sessions"]))
    line = report(session(start_ms=-5, timezone="America/New_York"), timestamp_ms=-1, reported_at_ms=0)
    assert count(counted, line) == {
        (0, b"APP", 0): {"app": {(): {"reports": 1, "clock_suspect": 1}}, "hour": {("19",): {"sessions": 1}}}
    }
    line = report(session(start_ms=2**62, timezone="Asia/Tokyo"), timestamp_ms=2**63 - 1)
    assert count(counted, line) == {
        (0, b"APP", 253_402_300_799_999 // HOUR_MS): {
            "app": {(): {"reports": 1, "clock_suspect": 1}},
            "hour": {("08",): {"sessions": 1}},
        }
    }


def test_unreadable_reports_count_by_reason() -> None:
    line = {"outcome": "bad_crc", "partition": 3, "offset": 0, "timestamp_ms": RECEIVED}
    folded = count_lines([json.dumps(line), json.dumps(line | {"offset": 1})], plan(rollup("app", [], ["sessions"])))
    assert folded.blocks == {(3, b"", HOUR): {"unreadable": {("bad_crc",): {"reports": 2}}}}


def test_dimensions_of_the_report() -> None:
    dimensions = ["agent_version", "platform", "protocol", "device_model", "brand", "os_version", "install_day"]
    line = report(
        properties={"device.model": "Nexus 4", "version.release": "4.2.2"},
        first_session_start_ms=RECEIVED - 5 * DAY_MS,
    )
    blocks = count(plan(rollup("all", dimensions, ["reports"])), line)
    key = ("148", "3", "26", "Nexus 4", "", "4.2.2", "2013-11-16")
    assert blocks == {(0, b"APP", HOUR): {"all": {key: {"reports": 1}}}}


@pytest.mark.parametrize(
    ("first_ms", "day"),
    [
        (1_199_145_600_000, "2008-01-01"),
        (1_199_145_599_999, ""),
        (RECEIVED + 600_000, "2013-11-21"),
        (RECEIVED + 600_001, ""),
    ],
)
def test_install_day(first_ms: int, day: str) -> None:
    blocks = count(plan(rollup("d", ["install_day"], ["reports"])), report(first_session_start_ms=first_ms))
    assert blocks[0, b"APP", HOUR]["d"] == {(day,): {"reports": 1}}


def one(dimension: str, **fields: Any) -> str:
    """The value of a session's dimension."""
    blocks = count(plan(rollup("d", [dimension], ["sessions"])), report(session(**fields)))
    (groups,) = blocks.values()
    ((key,),) = groups["d"]
    return str(key)


@pytest.mark.parametrize(
    ("locale", "language", "country"),
    [("en_US", "en", "US"), ("he_", "he", ""), ("zh_Hant_TW", "zh", "Hant"), ("fr", "fr", ""), (None, "", "")],
)
def test_locale(locale: str | None, language: str, country: str) -> None:
    assert (one("language", locale=locale), one("country", locale=locale)) == (language, country)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [
        ("Europe/Berlin", "03"),
        ("America/New_York", "21"),
        ("Asia/Kolkata", "07"),
        ("europe/berlin", ""),
        ("GMT", "02"),
        ("UTC", "02"),
        ("GMT+5", "07"),
        ("GMT-03:30", "22"),
        ("UTC+0:46", "02"),
        ("UTC+0:47", "03"),
        ("GMT+23:59", "02"),
        ("GMT+24", ""),
        ("GMT+1:60", ""),
        ("GMT+5:3", ""),
        ("GMT5", ""),
        ("GMT+0530", ""),
        ("Etc/GMT+5", "21"),
        ("Factory", ""),
        ("../../etc/passwd", ""),
        ("GMT+\u0665", ""),
        ("GMT+5\n", ""),
        (None, ""),
    ],
)
def test_local_hour(zone: str | None, hour: str) -> None:
    assert one("local_hour", timezone=zone, start_ms=RECEIVED) == hour


@pytest.mark.parametrize(
    ("years", "band"),
    [
        *[(-0.01, ""), (0.1, "0-12"), (12.99, "0-12"), (13, "13-17"), (18, "18-24"), (34.9, "25-34"), (35, "35-54")],
        *[(55, "55+"), (120.9, "55+"), (121, "")],
    ],
)
def test_age_band(years: float, band: str) -> None:
    assert one("age_band", start_ms=RECEIVED, birth_ms=RECEIVED - round(years * 31_556_952_000)) == band


@pytest.mark.parametrize(
    ("duration", "band"),
    [
        *[(None, "not ended"), (-2, "not ended"), (0, "0-3s"), (2_999, "0-3s"), (3_000, "3-10s"), (10_000, "10-30s")],
        *[(30_000, "30-60s"), (60_000, "1-3m"), (180_000, "3-10m"), (600_000, "10-30m"), (1_800_000, "30m+")],
    ],
)
def test_session_length(duration: int | None, band: str) -> None:
    assert one("session_length", duration_ms=duration) == band


def test_network_and_gender() -> None:
    assert [one("network", network=n) for n in (-1, 0, 1, 2, 3, 4, None)] == [
        "",
        "",
        "available",
        "wifi",
        "cell",
        "",
        "",
    ]
    assert [one("gender", gender=g) for g in (None, 0, 1, 2)] == ["", "female", "male", ""]


def test_events() -> None:
    counted = plan(rollup("event", ["event"], ["events", "event_sessions", "event_duration"]))
    line = report(
        session(
            event_counts=[["a", 2], ["b", 0], ["a", 2_000_000]],
            events=[event("c", duration_ms=40), event("a", duration_ms=-4), event("d"), event("e", duration_ms=None)],
        )
    )
    assert count(counted, line)[0, b"APP", HOUR]["event"] == {
        ("a",): {"events": 1_000_002, "event_sessions": 1, "event_duration": 0},
        ("b",): {"events": 0, "event_sessions": 1, "event_duration": 0},
        ("c",): {"events": 0, "event_sessions": 0, "event_duration": 40},
    }


def test_parameters() -> None:
    full = rollup("full", ["event", "parameter", "value"], ["events", "event_sessions"])
    loose = rollup("loose", ["parameter"], ["events", "event_sessions"])
    line = report(session(events=[event("a", [["p", "1"], ["p", "1"], ["p", "2"]]), event("b", [["p", "1"]])]))
    blocks = count(plan(full, loose), line)
    assert blocks[0, b"APP", HOUR] == {
        "full": {
            ("a", "p", "1"): {"events": 2, "event_sessions": 1},
            ("a", "p", "2"): {"events": 1, "event_sessions": 1},
            ("b", "p", "1"): {"events": 1, "event_sessions": 1},
        },
        "loose": {("p",): {"events": 4, "event_sessions": 1}},
    }


def test_errors() -> None:
    counted = plan(
        rollup("app", [], ["errors", "crashes", "data_points"]),
        rollup("error", ["error", "error_kind"], ["errors", "crashes"]),
    )
    records = session(total_errors=5, errors=[error("x", 1), error("uncaught", 2), error("y", 3)], events=[event("a")])
    assert count(counted, report(records))[0, b"APP", HOUR] == {
        "app": {(): {"errors": 5, "crashes": 1, "data_points": 5}},
        "error": {
            ("x", "no throwable"): {"errors": 1, "crashes": 0},
            ("uncaught", "caught"): {"errors": 1, "crashes": 0},
            ("y", "uncaught"): {"errors": 1, "crashes": 1},
        },
    }
    old = session(errors=[error("x", None), error("uncaught", None)])
    assert count(counted, report(old, protocol=25))[0, b"APP", HOUR]["error"] == {
        ("x", ""): {"errors": 1, "crashes": 0},
        ("uncaught", "uncaught"): {"errors": 1, "crashes": 1},
    }


def test_caps_fold_what_comes_late() -> None:
    counted = plan(rollup("event", ["event"], ["events", "event_sessions"], cap=2))
    lines = [
        report(session(event_counts=[["b", 1]])),
        report(session(event_counts=[["c", 1], ["a", 1], ["d", 1], ["a", 5]])),
        report(session(event_counts=[["b", 1], ["a", 1]])),
    ]
    assert count(counted, *lines)[0, b"APP", HOUR]["event"] == {
        ("b",): {"events": 2, "event_sessions": 2},
        ("c",): {"events": 1, "event_sessions": 1},
        OTHER: {"events": 8, "event_sessions": 3},
    }


def test_reports_count_in_their_receive_hour_beside_sessions() -> None:
    counted = plan(rollup("v", ["app_version"], ["reports", "sessions"]), rollup("p", ["platform"], ["reports"]))
    blocks = count(counted, report(session(start_ms=RECEIVED - 2 * HOUR_MS)))
    assert blocks == {
        (0, b"APP", HOUR): {"v": {("2.0",): {"reports": 1, "sessions": 0}}, "p": {("3",): {"reports": 1}}},
        (0, b"APP", HOUR - 2): {"v": {("1.0",): {"reports": 0, "sessions": 1}}},
    }


def test_limits_of_the_plan() -> None:
    head = "[limits]\nmax_count = 10\nmax_duration_ms = 100\n"
    counted = plan(rollup("app", [], ["page_views", "duration"]), head=head)
    blocks = count(counted, report(session(page_views=99, duration_ms=5_000)))
    assert blocks[0, b"APP", HOUR]["app"] == {(): {"page_views": 10, "duration": 100}}


def test_keys_that_are_no_ascii_need_their_bytes() -> None:
    counted = plan(rollup("app", [], ["reports"]))
    line = report(api_key="\ufffd", api_key_hex="eda080")
    assert list(count(counted, line)) == [(0, b"\xed\xa0\x80", HOUR)]
    with pytest.raises(CountError, match="api_key_hex"):
        count(counted, report(api_key="é"))


def test_lines_may_come_out_of_order_but_none_may_lack() -> None:
    counted = plan(rollup("event", ["event"], ["events"], cap=1))
    lines = [json.dumps(report(session(event_counts=[[name, 1]]), offset=at)) for at, name in enumerate("abc")]
    ordered, shuffled = count_lines(lines, counted), count_lines([lines[2], lines[0], lines[1]], counted)
    assert ordered.blocks == shuffled.blocks
    assert ordered.end(0) == 3
    with pytest.raises(CountError, match="offset 1 is not in the manifest"):
        count_lines([lines[0], lines[2]], counted)
    with pytest.raises(CountError, match="comes twice"):
        count_lines([lines[0], lines[0]], counted)
    with pytest.raises(CountError, match="empty"):
        count_lines([], counted)


def test_the_default_plan_counts_captures_worth_of_everything() -> None:
    from importlib.resources import files

    counted = CountedPlan.parse(files("flurry_fast").joinpath("plans/default.toml").read_text())
    rich = session(event_counts=[["a", 1]], events=[event("a", [["p", "v"]])], errors=[error("e", 3)], total_errors=1)
    (block,) = count(counted, report(rich)).values()
    assert set(block) == {rollup.name for rollup in counted.rollups}
