"""Writes reports from plain dicts, field by field, for tests. Not the product's encoder, and not a strict one:
whatever the dict says is written, wrong constants and counts included."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from .text import encode as encode_text

Json = dict[str, Any]


class Writer:
    """Big-endian fields, appended."""

    def __init__(self) -> None:
        self.out = bytearray()

    def put(self, layout: str, *values: Any) -> None:
        self.out += struct.pack(">" + layout, *values)

    def blob(self, data: bytes) -> None:
        self.put("H", len(data))
        self.out += data

    def text(self, value: str | bytes) -> None:
        """A string as an agent writes it; bytes as they stand."""
        self.blob(encode_text(value) if isinstance(value, str) else value)

    def texts(self, *values: str | bytes) -> None:
        for value in values:
            self.text(value)

    def many(self, items: Iterable[Any], write: Callable[[Any], None], extra: int = 0) -> None:
        """A count and the items; `extra` announces more (or fewer) than are written."""
        items = list(items)
        self.put("H", len(items) + extra)
        for item in items:
            write(item)

    def pairs(self, pairs: Iterable[Any], *, padded: bool = False) -> None:
        def write(pair: Any) -> None:
            self.texts(*pair)
            self.out += b"\0" if padded else b""

        self.many(pairs, write)

    def numbered_blob(self, item: Any) -> None:
        self.put("H", item[0])
        self.blob(item[1])

    def counted(self, item: Any) -> None:
        self.text(item[0])
        self.put("i", item[1])

    def maybe(self, value: Any, write: Callable[[Any], None]) -> None:
        self.put("B", value is not None)
        if value is not None:
            write(value)


def encode(report: Json, *, crc: bool = True) -> bytes:
    """The bytes of the report; the keys are those of tests/reference/generate.py."""
    writer = Writer()
    protocol = report["protocol"]
    _envelope(writer, report, protocol)
    writer.many(
        report["sessions"], lambda session: _session(writer, session, protocol), report.get("extra_sessions", 0)
    )
    if protocol >= 29:
        writer.put("H", report.get("field_24", 0))
    writer.out += report.get("trailing", b"")
    return with_crc(bytes(writer.out)) if protocol >= 22 and crc else bytes(writer.out)


def with_crc(body: bytes) -> bytes:
    """The body and its CRC-32 trailer."""
    return body + struct.pack(">I", zlib.crc32(body))


def _envelope(writer: Writer, report: Json, protocol: int) -> None:
    put = writer.put
    put("HH", protocol, report["ad_flag"])
    if protocol >= 15:
        put("q", report["ad_cache_ms"])
        writer.many(report["ad_ids"], lambda item: put("Bq", *item))
    put("HHq", report["platform"], report["agent_version"], report["reported_at_ms"])
    writer.texts(report["api_key"], report["app_version"])
    if protocol == 8:
        writer.text(report["device_ids"][0][1])
    elif protocol == 15:
        put("H", report["device_ids"][0][0])
        writer.text(report["device_ids"][0][1])
    else:
        writer.many(report["device_ids"], writer.numbered_blob)
        put("B", report.get("field_11", 0))
    if protocol >= 27:
        put("B", report["previous_delivered"])
    if protocol >= 29:
        put("B", report["ad_tracking"])
    put("qq", report["first_session_start_ms"], report["session_start_ms"])
    writer.pairs(report["properties"], padded=protocol >= 29)
    if protocol >= 24:
        writer.many(report["referrer"], lambda item: _named(writer, item, writer.text))
        writer.maybe(report["push_token"], writer.text)
    if protocol == 25:
        put("B", report.get("field_19", 0))
    if protocol >= 25:
        writer.many(report["launch_options"], lambda item: _named(writer, item, writer.text))
    if protocol >= 29:
        writer.many(report["origins"], lambda item: _named(writer, item, lambda pair: writer.texts(*pair)))
    if protocol >= 30:
        writer.text(report["package"])


def _named(writer: Writer, item: Any, write: Callable[[Any], None]) -> None:
    name, values = item
    writer.text(name)
    writer.many(values, write)


def _session(writer: Writer, session: Json, protocol: int) -> None:
    put = writer.put
    if protocol >= 15:
        put("H", session.get("version", {29: 3, 30: 7}.get(protocol, 1)))
    writer.text(session["app_version"])
    put("qq", session["start_ms"], session["duration_ms"])
    if protocol >= 15:
        put("q", session["pause_ms"])
    if protocol >= 30:
        launch = session["launch"]
        put("Bb", launch["flag"], launch["kind"])
        writer.maybe(launch["origin"], writer.text)
        writer.maybe(launch["deep_link"], writer.text)
        writer.pairs(launch["options"])
    if protocol >= 29:
        writer.pairs(session["properties"], padded=True)
    if protocol >= 15:
        writer.texts(session["locale"], session["timezone"])
        put("b", session["network"])
    if protocol >= 30:
        put("B", session["orientation"])
    writer.text(session["user_id"])
    writer.maybe(session["location"], lambda bits: put("QQI", *bits))
    put("ib", session["page_views"], session["unknown"][0])
    if protocol >= 15:
        put("bb", session["unknown"][1], session["gender"])
        writer.maybe(session["birth_ms"], lambda birth: put("q", birth))
    writer.many(session["event_counts"], writer.counted)
    writer.many(session["events"], lambda event: _event(writer, event, protocol))
    put("Bi", session["events_complete"], session["total_errors"])
    writer.many(session["errors"], lambda error: _error(writer, error, protocol), session.get("unwritten_errors", 0))
    if protocol >= 29:
        put("i", session.get("tail", -1))
    put(
        "H" * (1 if protocol <= 15 else 2 if protocol <= 27 else 3),
        *([0] * (1 if protocol <= 15 else 2 if protocol <= 27 else 3)),
    )


def _event(writer: Writer, event: Json, protocol: int) -> None:
    if protocol >= 22:
        writer.put("H", event["id"])
    writer.text(event["name"])
    writer.pairs(event["params"])
    if protocol >= 15:
        writer.put("qq", event["offset_ms"], event["duration_ms"])


def _error(writer: Writer, error: Json, protocol: int) -> None:
    if protocol >= 22:
        writer.put("H", error["id"])
    writer.put("q", error["time_ms"])
    writer.texts(error["error_id"], error["message"], error["class"])
    if protocol >= 26:
        writer.put("B", error["kind"])
        if error["trace"] is None:
            writer.put("B", error.get("tag", 0))
        else:
            writer.put("Bi", 2, len(error["trace"]))
            writer.out += error["trace"]
