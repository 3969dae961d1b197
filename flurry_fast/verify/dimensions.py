"""Dimension values of one decoded report (the decode schema), as docs/counters.md defines them."""

from __future__ import annotations

from typing import Any

from flurry_fast.verify import clock
from flurry_fast.verify.plan import CountedPlan

Values = dict[str, str]

_PROPERTIES = {"device_model": "device.model", "brand": "build.brand", "os_version": "version.release"}
_NETWORKS = {1: "available", 2: "wifi", 3: "cell"}
_GENDERS = {0: "female", 1: "male"}
_ERROR_KINDS = {1: "no throwable", 2: "caught", 3: "uncaught"}
_FIRST_PROTOCOL_WITH_KINDS = 26


def of_report(plan: CountedPlan, report: dict[str, Any], shift: int, received: int) -> Values:
    """The report-level dimensions, and `app_version` as the envelope has it."""
    values = {
        "app_version": report["app_version"],
        "agent_version": str(report["agent_version"]),
        "platform": str(report["platform"]),
        "protocol": str(report["protocol"]),
        "install_day": clock.install_day(plan, report["first_session_start_ms"], shift, received),
    }
    for dimension, name in _PROPERTIES.items():
        values[dimension] = report["properties"].get(name, "")
    return values


def of_session(session: dict[str, Any], at_ms: int) -> Values:
    """The session-level dimensions at the session's effective time."""
    language, has_country, rest = (session["locale"] or "").partition("_")
    zone = session["timezone"] or ""
    return {
        "app_version": session["app_version"],
        "language": language,
        "country": rest.partition("_")[0] if has_country else "",
        "time_zone": zone,
        "network": _NETWORKS.get(session["network"], ""),
        "gender": _GENDERS.get(session["gender"], ""),
        "age_band": clock.age_band(session["birth_ms"], at_ms),
        "local_hour": clock.local_hour(zone, at_ms),
        "session_length": clock.session_length(session["duration_ms"]),
    }


def error_kind(protocol: int, error: dict[str, Any]) -> str:
    """`no throwable`, `caught`, `uncaught` or nothing."""
    if protocol < _FIRST_PROTOCOL_WITH_KINDS:
        return "uncaught" if error["error_id"] == "uncaught" else ""
    return _ERROR_KINDS.get(error["kind"], "")
