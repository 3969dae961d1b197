"""The reference decoder: docs/wire-format.md in the plainest Python. It shares nothing with the Rust one."""

from __future__ import annotations

import math
import zlib
from typing import Any

from .cursor import Cursor, UnreadableError
from .text import decode as decode_text

PROTOCOLS = (8, 15, 22, 24, 25, 26, 27, 29, 30)
MAX_REPORT_BYTES = 16_777_216
MAX_REPAIR_BYTES = 16_777_216
REPAIRABLE = ("truncated", "bad_text", "bad_value", "trailing_bytes")

Json = dict[str, Any]


def decode(data: bytes) -> Json:
    """The report in the decode schema, or {"outcome": reason}."""
    try:
        return _Report(data).read()
    except UnreadableError as unreadable:
        return {"outcome": unreadable.reason}


def message_key(data: bytes, shards: int = 1) -> bytes:
    """The Kafka message key: needs fields 1 to 10 only, and no CRC."""
    try:
        report = _Report(data)
        report.start()
        report.head()
    except UnreadableError:
        return b"%08x" % zlib.crc32(data)
    device = next((blob for kind, blob in report.ids if kind == 0), b"")
    return report.api_key + b"|" + str(zlib.crc32(device) % shards).encode()


class _Report:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cursor = Cursor(data)
        self.protocol = 0
        self.api_key = b""
        self.key_bytes: Json = {}
        self.ids: list[tuple[int, bytes]] = []
        self.out: Json = {"outcome": "ok"}
        self.extra: Json = {}
        self.details: list[Json] = []
        self.announced_sessions = 0
        # (sessions read before, session so far, m, n, at, records)
        self.places: list[tuple[int, Json, int, int, int, int]] = []

    # --- steps 1 to 6 --------------------------------------------------------

    def read(self) -> Json:
        self.start()
        if self.protocol >= 22:
            if len(self.data) < 6:
                raise UnreadableError("truncated")
            if zlib.crc32(self.data[:-4]) != int.from_bytes(self.data[-4:]):
                raise UnreadableError("bad_crc")
            self.cursor.body = self.data[:-4]
        repaired = 0
        sessions: list[Json] = []
        try:
            self.head()
            self.rest_of_envelope()
            self.announced_sessions = self.cursor.count()
            self.sessions(self.cursor, sessions, self.details, remember=True)
        except UnreadableError as unreadable:
            if self.protocol < 24 or unreadable.reason not in REPAIRABLE:
                raise
            sessions, self.details, repaired = self.repair(sessions, unreadable)
        self.out["sessions"] = sessions
        if repaired:
            self.out["repaired_errors"] = repaired
        if self.protocol >= 29:
            self.extra["session_details"] = self.details
        return self.out | self.key_bytes | self.extra

    def start(self) -> None:
        if len(self.data) > MAX_REPORT_BYTES:
            raise UnreadableError("over_budget")
        self.protocol = self.cursor.u16()
        if self.protocol not in PROTOCOLS:
            raise UnreadableError("unknown_protocol")

    # --- envelope ------------------------------------------------------------

    def head(self) -> None:
        """Fields 2 to 10."""
        cursor, protocol, out, extra = self.cursor, self.protocol, self.out, self.extra
        out["protocol"] = protocol
        extra["ad_flag"] = cursor.u16()
        if protocol >= 15:
            extra["ad_cache_ms"] = cursor.i64()
            extra["ad_ids"] = cursor.many(lambda: [cursor.u8(), cursor.i64()])
        out["platform"] = cursor.u16()
        out["agent_version"] = cursor.u16()
        out["reported_at_ms"] = cursor.i64()
        self.api_key = cursor.raw_text()
        if not 1 <= len(self.api_key) <= 255:
            raise UnreadableError("bad_key")
        out["api_key"] = decode_text(self.api_key)
        self.key_bytes = {} if self.api_key.isascii() else {"api_key_hex": self.api_key.hex()}
        out["app_version"] = cursor.text()
        if protocol == 8:
            self.ids = [(0, cursor.raw_text())]
        elif protocol == 15:
            self.ids = [(cursor.u16(), cursor.raw_text())]
        else:
            self.ids = cursor.many(lambda: (cursor.u16(), cursor.blob()))
        device = next((blob for kind, blob in self.ids if kind == 0), None)
        if device is None:
            out["device_id"] = None
        else:
            out["device_id"] = decode_text(device) if protocol <= 15 else device.decode("utf-8", "replace")
        out["device_ids"] = [{"type": kind, "hex": blob.hex()} for kind, blob in self.ids]

    def rest_of_envelope(self) -> None:
        """Fields 11 to 22."""
        cursor, protocol, out, extra = self.cursor, self.protocol, self.out, self.extra
        if protocol >= 22:
            cursor.must(cursor.u8, 0)
        if protocol >= 27:
            extra["previous_delivered"] = cursor.flag()
        if protocol >= 29:
            extra["ad_tracking"] = cursor.flag()
        out["first_session_start_ms"] = cursor.i64()
        out["session_start_ms"] = cursor.i64()
        properties = cursor.many(cursor.padded_pair if protocol >= 29 else cursor.pair)
        out["properties"] = dict(reversed(properties))
        # Of equal names the first counts, and stands where it came first.
        out["properties"] = {name: out["properties"][name] for name, _ in properties}
        out["referrer"] = self._named_lists() if protocol >= 24 else {}
        if protocol >= 24:
            extra["push_token"] = cursor.maybe(cursor.text)
        if protocol == 25:
            cursor.must(cursor.u8, 0)
        out["launch_options"] = self._named_lists() if protocol >= 25 else {}
        if protocol >= 29:
            extra["origins"] = _grouped(cursor.many(lambda: (cursor.text(), cursor.many(cursor.pair))))
        if protocol >= 30:
            extra["package"] = cursor.text()

    def _named_lists(self) -> dict[str, list[Any]]:
        cursor = self.cursor
        return _grouped(cursor.many(lambda: (cursor.text(), cursor.many(cursor.text))))

    # --- sessions ------------------------------------------------------------

    def sessions(self, cursor: Cursor, done: list[Json], details: list[Json], *, remember: bool) -> None:
        """The sessions that are not done yet, field 24, and nothing after it."""
        while len(done) < self.announced_sessions:
            session = self.session_up_to_errors(cursor, details)
            announced = cursor.count()
            for read in range(announced):
                if remember:
                    self.places.append((len(done), session, read, announced, cursor.at, cursor.records))
                session["errors"].append(self.error(cursor))
            self.tail(cursor)
            done.append(session)
        if self.protocol >= 29:
            cursor.must(cursor.u16, 0)
        if cursor.at != len(cursor.body):
            raise UnreadableError("trailing_bytes")

    def session_up_to_errors(self, cursor: Cursor, details: list[Json]) -> Json:
        """Session fields 1 to 21; what only `session_details` shows goes there."""
        protocol = self.protocol
        session: Json = {}
        detail: Json = {}
        if protocol >= 15:
            cursor.must(cursor.u16, {29: 3, 30: 7}.get(protocol, 1))
        session["app_version"] = cursor.text()
        session["start_ms"] = cursor.i64()
        duration = cursor.i64()
        session["duration_ms"] = None if duration == -1 else duration
        if protocol >= 15:
            cursor.i64()
        if protocol >= 30:
            launch: Json = {"flag": cursor.flag(), "kind": cursor.i8()}
            launch["origin"] = cursor.maybe(cursor.text)
            launch["deep_link"] = cursor.maybe(cursor.text)
            launch["options"] = cursor.many(cursor.pair)
        if protocol >= 29:
            detail["properties"] = cursor.many(cursor.padded_pair)
        session["locale"] = cursor.text() if protocol >= 15 else None
        session["timezone"] = cursor.text() if protocol >= 15 else None
        session["network"] = cursor.i8() if protocol >= 15 else None
        if protocol >= 30:
            detail["launch"] = launch
            detail["orientation"] = cursor.u8()
        session["user_id"] = cursor.text()
        session["location"] = cursor.maybe(lambda: self.location(cursor))
        session["page_views"] = cursor.i32()
        cursor.i8()
        session["gender"] = session["birth_ms"] = None
        if protocol >= 15:
            cursor.i8()
            gender = cursor.i8()
            session["gender"] = None if gender == -1 else gender
            session["birth_ms"] = cursor.maybe(cursor.i64) or None
        session["event_counts"] = cursor.many(lambda: [cursor.text(), cursor.i32()])
        session["events"] = cursor.many(lambda: self.event(cursor))
        session["events_complete"] = cursor.flag()
        session["total_errors"] = cursor.i32()
        session["errors"] = []
        if protocol >= 29:
            details.append(detail)
        return session

    def location(self, cursor: Cursor) -> Json:
        values = {"lat": cursor.f64(), "lon": cursor.f64(), "accuracy": cursor.f32()}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def event(self, cursor: Cursor) -> Json:
        event: Json = {"id": cursor.u16() if self.protocol >= 22 else None}
        event["name"] = cursor.text()
        event["params"] = cursor.many(cursor.pair)
        event["offset_ms"] = cursor.i64() if self.protocol >= 15 else None
        event["duration_ms"] = cursor.i64() if self.protocol >= 15 else None
        return event

    def error(self, cursor: Cursor) -> Json:
        error: Json = {"id": cursor.u16() if self.protocol >= 22 else None}
        error["time_ms"] = cursor.i64()
        error["error_id"] = cursor.text()
        error["message"] = cursor.text()
        error["class"] = cursor.text()
        error["kind"] = cursor.u8() if self.protocol >= 26 else None
        error["trace"] = self.trace(cursor) if self.protocol >= 26 else None
        return error

    def trace(self, cursor: Cursor) -> str | None:
        tag = cursor.u8()
        if tag not in (0, 2):
            raise UnreadableError("bad_value")
        if tag == 0:
            return None
        length = cursor.i32()
        if length < 0:
            raise UnreadableError("bad_value")
        return cursor.take(length).decode("utf-8", "replace")

    def tail(self, cursor: Cursor) -> None:
        if self.protocol >= 29:
            cursor.must(cursor.i32, -1)
        for _ in range(1 if self.protocol <= 15 else 2 if self.protocol <= 27 else 3):
            cursor.must(cursor.u16, 0)

    # --- repair --------------------------------------------------------------

    def repair(self, plain: list[Json], reason: UnreadableError) -> tuple[list[Json], list[Json], int]:
        """Tries every place of the plain reading, whose whole sessions are `plain`."""
        body = self.cursor.body
        readings: list[tuple[list[Json], list[Json], int]] = []
        work = 0
        for before, session, read, announced, at, records in self.places:
            cursor = Cursor(body, at, records)
            try:
                self.tail(cursor)
            except UnreadableError:
                continue
            work += len(body) - at
            if work > MAX_REPAIR_BYTES:
                raise UnreadableError("over_budget")
            done = [*plain[:before], {**session, "errors": session["errors"][:read]}]
            details = self.details[: before + 1]
            try:
                self.sessions(cursor, done, details, remember=False)
            except UnreadableError:
                continue
            readings.append((done, details, announced - read))
            if len(readings) == 2:
                break
        if len(readings) != 1:
            raise reason
        return readings[0]


def _grouped(named: list[tuple[str, list[Any]]]) -> dict[str, list[Any]]:
    """Name to list; what comes again under a name is appended."""
    grouped: dict[str, list[Any]] = {}
    for name, values in named:
        grouped.setdefault(name, []).extend(values)
    return grouped
