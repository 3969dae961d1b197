"""A decoded report on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flurry_fast._core import REASONS

Json = Mapping[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SENTENCES = {name: sentence for _, name, sentence in REASONS}
NETWORKS = {1: "available", 2: "wifi", 3: "cell"}
GENDERS = {0: "female", 1: "male"}
ERROR_KINDS = {1: "no throwable", 2: "caught", 3: "uncaught"}
DEVICE_ID_TYPES = {0: "device id", 5: "SHA-1 of IMEI", 13: "advertising id"}


def render(report: Json, *, title: str, size: int) -> RenderableType:
    """The report (decode schema of docs/wire-format.md) under a title; `size` = its bytes.

    Whatever a device sent is shown with control characters escaped, so that no report can steer a terminal.
    """
    outcome = report["outcome"]
    name = Text(shown(title), style="bold", overflow="fold")
    head = Text(f"{size:,} bytes, ")
    if outcome != "ok":
        head.append(f"unreadable: {outcome}", style="bold red")
        return Group(name, _indented(head, 2), _indented(Text(SENTENCES[outcome]), 2), "")
    head.append(f"protocol {report['protocol']}, agent {report['agent_version']}", style="green")
    if report.get("repaired_errors"):
        head.append(f", repaired: {report['repaired_errors']} counted errors were never written", style="yellow")
    parts: list[RenderableType] = [name, _indented(head, 2), _indented(_fields(_envelope(report)), 2)]
    if not report["sessions"]:
        parts.append(_indented(Text("no sessions: one just began", style="dim"), 2))
    details = report.get("session_details") or [{}] * len(report["sessions"])
    for number, (session, detail) in enumerate(zip(report["sessions"], details, strict=True), 1):
        parts.extend(_session(session, detail, number))
    return Group(*parts, "")


def shown(text: str) -> str:
    """The text with everything unprintable escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def instant(ms: int) -> str:
    """Device time in ms since the epoch as UTC; the bare number where no calendar reaches."""
    try:
        moment = EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return f"{ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d} UTC"


def duration(ms: int | None) -> str:
    """A duration in ms as people say it."""
    if ms is None:
        return "not ended"
    if ms < 60_000:
        return f"{ms / 1000:g} s"
    minutes, rest = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min {rest:02d} s" if hours else f"{minutes} min {rest:02d} s"


def _envelope(report: Json) -> Iterator[tuple[str, str]]:
    yield "app", f"{report['api_key']}, version {report['app_version']}"
    yield "created", instant(report["reported_at_ms"])
    yield "current session", instant(report["session_start_ms"])
    yield "first session ever", instant(report["first_session_start_ms"])
    for device_id in report["device_ids"]:
        kind = device_id["type"]
        text = report["device_id"] if kind == 0 else device_id["hex"]
        yield DEVICE_ID_TYPES.get(kind, f"id of type {kind}"), text
    yield "device", _pairs(report["properties"].items())
    for key in ("referrer", "launch_options", "origins"):
        if report.get(key):
            yield key.replace("_", " "), _pairs((name, _plain(values)) for name, values in report[key].items())
    for key in ("package", "push_token", "previous_delivered", "ad_tracking"):
        if report.get(key) is not None:
            yield key.replace("_", " "), _plain(report[key])


def _session(session: Json, detail: Json, number: int) -> Iterator[RenderableType]:
    head = Text.assemble((f"session {number}", "bold cyan"), f"  {instant(session['start_ms'])}, ")
    head.append(duration(session["duration_ms"]))
    yield _indented(head, 2)
    yield _indented(_fields(_circumstances(session, detail)), 4)
    if session["events"]:
        yield _indented(_events(session["events"]), 4)
    if session["errors"]:
        yield _indented(_errors(session["errors"]), 4)


def _circumstances(session: Json, detail: Json) -> Iterator[tuple[str, str]]:
    yield "app version", session["app_version"]
    if session["user_id"]:
        yield "user", session["user_id"]
    if session["locale"] is not None:
        yield "locale", f"{session['locale'] or 'unknown'}, {session['timezone'] or 'unknown zone'}"
    if session["network"] in NETWORKS:
        yield "network", NETWORKS[session["network"]]
    if location := session["location"]:
        yield "location", f"{location['lat']}, {location['lon']} (within {location['accuracy']} m)"
    if session["gender"] is not None:
        yield "gender", GENDERS.get(session["gender"], str(session["gender"]))
    if session["birth_ms"] is not None:
        yield "birth date", instant(session["birth_ms"])
    yield "page views", str(session["page_views"])
    if session["event_counts"]:
        full = "" if session["events_complete"] else " (log is full)"
        yield "events", _pairs(session["event_counts"], " x ") + full
    if session["total_errors"]:
        yield "errors", str(session["total_errors"])
    if detail.get("properties"):
        yield "properties", _pairs(detail["properties"])
    if launch := detail.get("launch"):
        for key in ("origin", "deep_link"):
            if launch[key] is not None:
                yield key.replace("_", " "), launch[key]
        if launch["options"]:
            yield "launch options", _pairs(launch["options"])


def _events(events: list[Json]) -> Table:
    table = Table("id", "after", "event", "took", "parameters", box=None, header_style="dim", pad_edge=False)
    for event in events:
        table.add_row(
            _cell(event["id"]),
            _cell(None if event["offset_ms"] is None else duration(event["offset_ms"])),
            _cell(event["name"]),
            _cell(duration(event["duration_ms"]) if event["duration_ms"] else None),
            _cell(_pairs(event["params"])),
        )
    return table


def _errors(errors: list[Json]) -> Table:
    table = Table("id", "at", "error", "kind", "class", "message", box=None, header_style="dim", pad_edge=False)
    for error in errors:
        kind = error["kind"]
        table.add_row(
            _cell(error["id"]),
            _cell(instant(error["time_ms"])),
            _cell(error["error_id"]),
            _cell(None if kind is None else ERROR_KINDS.get(kind, str(kind))),
            _cell(error["class"]),
            _cell(error["message"]),
        )
        if error["trace"]:
            lines = error["trace"].splitlines()
            more = f" ... {len(lines) - 1} more lines" if len(lines) > 1 else ""
            table.add_row("", "", "", "", "", Text(f"{shown(lines[0])}{more}", style="dim"))
    return table


def _fields(rows: Iterator[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, _cell(value))
    return table


def _pairs(pairs: Any, between: str = " = ") -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in pairs)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " | ".join(_plain(item) for item in value)
    return str(value)


def _cell(value: Any) -> Text:
    return Text("" if value is None else shown(str(value)), overflow="fold")


def _indented(part: RenderableType, by: int) -> Padding:
    return Padding(part, (0, 0, 0, by), expand=False)
