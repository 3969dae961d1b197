"""A decoder in plain Python that does what ours does: every field read, every text decoded, fixed values checked.

`python_struct.py` steps over whatever its five rollups do not need, which a pipeline with an archive could not do.
This one makes the whole report (tuples of numbers, `str` and `bytes`), the way one writes such a consumer with
`struct`, and then counts with the same code. Both are timed, so that nobody has to argue which of them is fair.

Texts are tried as plain UTF-8 first, which costs one C call each; a report with a text that is not is read again as
modified UTF-8. In its favour: it accepts 4-byte sequences, and has no budget and no repair.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from struct import Struct, error
from typing import Any

from bench.contenders.python_struct import MAX_COUNT, PythonStruct, Unreadable, text

_u16 = Struct(">H").unpack_from
_u16_u16 = Struct(">HH").unpack_from
_u32 = Struct(">I").unpack_from
_i32 = Struct(">i").unpack_from
_i32_u16 = Struct(">iH").unpack_from
_i64 = Struct(">q").unpack_from
_two_i64 = Struct(">qq").unpack_from
_three_i64 = Struct(">qqq").unpack_from
_id_time = Struct(">Hq").unpack_from
_location = Struct(">ddf").unpack_from
_ad_id = Struct(">Bq").unpack_from
_views = Struct(">ibbbB").unpack_from

RECORD_VERSION = {15: 1, 22: 1, 24: 1, 25: 1, 26: 1, 27: 1, 29: 3, 30: 7}
NEW_TAIL = b"\xff\xff\xff\xff\0\0\0\0\0\0"

Text = Callable[[bytes], str]
Pair = tuple[str, str]


class PythonDecode(PythonStruct):
    """As `PythonStruct`, but each report is decoded whole before it is counted."""

    def absorb(self, payloads: Iterable[bytes], timestamps_ms: Iterable[int]) -> None:
        """Counts each payload, received at its timestamp. A report that cannot be read only adds to `unreadable`."""
        fold = self._fold
        for payload, received in zip(payloads, timestamps_ms, strict=True):
            try:
                report = decode(payload)
            except (Unreadable, UnicodeDecodeError, error, IndexError):
                self.unreadable += 1
            else:
                if report["sessions"]:
                    fold(_needed(report), received)


def _needed(report: dict[str, Any]) -> Any:
    model = next((value for name, value in report["properties"] if name == "device.model"), "")
    sessions = []
    for session in report["sessions"]:
        counts: dict[str, int] = {}
        for name, count in session[12]:
            counts[name] = counts.get(name, 0) + (count if 0 <= count <= MAX_COUNT else min(max(count, 0), MAX_COUNT))
        timed = [(event[1], event[4]) for event in session[13] if event[4] > 0]
        sessions.append((*session[:4], session[8], counts, timed, session[15]))
    return report["api_key"], report["created"], report["protocol"], report["first_start"], model, sessions


def decode(report: bytes) -> dict[str, Any]:
    """The whole report. Raises Unreadable, UnicodeDecodeError, struct.error or IndexError for one it cannot read."""
    protocol = _u16(report, 0)[0]
    end = len(report)
    if protocol >= 22:
        end -= 4
        if zlib.crc32(memoryview(report)[:end]) != _u32(report, end)[0]:
            raise Unreadable("bad CRC")
    elif protocol not in (8, 15):
        raise Unreadable("unknown protocol")
    if protocol > 30 or protocol in (23, 28):
        raise Unreadable("unknown protocol")
    try:
        return _decode(report, protocol, end, bytes.decode)
    except UnicodeDecodeError:
        return _decode(report, protocol, end, text)


def _decode(b: bytes, protocol: int, end: int, to_text: Text) -> dict[str, Any]:
    ads: list[tuple[int, int]] = []
    ad_flag = _u16(b, 2)[0]
    ad_cache = 0
    p = 4
    if protocol >= 15:
        ad_cache, n = Struct(">qH").unpack_from(b, p)
        p += 10
        for _ in range(n):
            ads.append(_ad_id(b, p))
            p += 9
    platform, agent, created = Struct(">HHq").unpack_from(b, p)
    key, p = _text(b, p + 12, to_text)
    version, p = _text(b, p, to_text)
    devices: list[tuple[int, bytes]] = []
    if protocol >= 22:
        n = _u16(b, p)[0]
        p += 2
        for _ in range(n):
            kind, n = _u16_u16(b, p)
            devices.append((kind, b[p + 4 : p + 4 + n]))
            p += 4 + n
        _check(b[p] == 0)
        p += 1
    else:
        kind = 0
        if protocol == 15:
            kind = _u16(b, p)[0]
            p += 2
        device, p = _text(b, p, to_text)
        devices.append((kind, device.encode()))
    delivered = tracking = None
    if protocol >= 27:
        delivered, p = _bool(b, p)
    if protocol >= 29:
        tracking, p = _bool(b, p)
    first_start, current_start = _two_i64(b, p)
    properties, p = _pairs(b, p + 16, to_text, 1 if protocol >= 29 else 0)
    referrer: list[tuple[str, list[str]]] = []
    launch: list[tuple[str, list[str]]] = []
    origins: list[tuple[str, list[Pair]]] = []
    push = package = None
    if protocol >= 24:
        referrer, p = _lists(b, p, to_text)
        push, p = _optional(b, p, to_text)
    if protocol == 25:
        _check(b[p] == 0)
        p += 1
    if protocol >= 25:
        launch, p = _lists(b, p, to_text)
    if protocol >= 29:
        n = _u16(b, p)[0]
        p += 2
        for _ in range(n):
            name, p = _text(b, p, to_text)
            pairs, p = _pairs(b, p, to_text, 0)
            origins.append((name, pairs))
    if protocol == 30:
        package, p = _text(b, p, to_text)
    sessions = []
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        session, p = _session(b, p, protocol, to_text)
        sessions.append(session)
    if protocol >= 29:
        _check(b[p : p + 2] == b"\0\0")
        p += 2
    _check(p == end and 0 < len(key) < 256)
    return {
        "protocol": protocol,
        "ad_flag": ad_flag,
        "ad_cache": ad_cache,
        "ads": ads,
        "platform": platform,
        "agent": agent,
        "created": created,
        "api_key": key,
        "app_version": version,
        "devices": devices,
        "delivered": delivered,
        "tracking": tracking,
        "first_start": first_start,
        "current_start": current_start,
        "properties": properties,
        "referrer": referrer,
        "push": push,
        "launch": launch,
        "origins": origins,
        "package": package,
        "sessions": sessions,
    }


def _session(b: bytes, p: int, protocol: int, to_text: Text) -> tuple[Any, int]:
    old, new, traced, numbered = protocol == 8, protocol >= 29, protocol >= 26, protocol >= 22
    if not old:
        _check(_u16(b, p)[0] == RECORD_VERSION[protocol])
        p += 2
    version, p = _text(b, p, to_text)
    if old:
        start, duration = _two_i64(b, p)
        p += 16
    else:
        start, duration, _pause = _three_i64(b, p)
        p += 24
    launched: Any = None
    details: list[Pair] = []
    if protocol == 30:
        flag, p = _bool(b, p)
        how = b[p]
        origin, p = _optional(b, p + 1, to_text)
        link, p = _optional(b, p, to_text)
        options, p = _pairs(b, p, to_text, 0)
        launched = (flag, how, origin, link, options)
    if new:
        details, p = _pairs(b, p, to_text, 1)
    locale = zone = ""
    network = -1
    if not old:
        locale, p = _text(b, p, to_text)
        zone, p = _text(b, p, to_text)
        network = b[p]
        p += 2 if protocol == 30 else 1
    user, p = _text(b, p, to_text)
    located, p = _bool(b, p)
    location = None
    if located:
        location = _location(b, p)
        p += 20
    birth = None
    if old:
        views, gender = _i32(b, p)[0], -1
        p += 5
    else:
        views, _, _, gender, born = _views(b, p)
        p += 8
        _check(born < 2)
        if born:
            birth = _i64(b, p)[0]
            p += 8

    counts: list[tuple[str, int]] = []
    n, size = _u16_u16(b, p)
    q = p + 4
    for _ in range(n):
        p = q + size
        count, size = _i32_u16(b, p)  # with the next name's length, or the number of events
        counts.append((to_text(b[q:p]), count))
        q = p + 6
    p = q

    events: list[tuple[Any, ...]] = []
    for _ in range(size):
        number = None
        if numbered:
            number, n = _u16_u16(b, p)
            q = p + 4
        else:
            n = _u16(b, p)[0]
            q = p + 2
        p = q + n
        name = to_text(b[q:p])
        m = b[p + 1] if not b[p] else _u16(b, p)[0]
        p += 2
        parameters = []
        for _ in range(m):
            q = p + 2
            p = q + (b[p + 1] if not b[p] else _u16(b, p)[0])
            parameter = to_text(b[q:p])
            q = p + 2
            p = q + (b[p + 1] if not b[p] else _u16(b, p)[0])
            parameters.append((parameter, to_text(b[q:p])))
        if old:
            events.append((None, name, parameters, 0, 0))
        else:
            offset, spent = _two_i64(b, p)
            p += 16
            events.append((number, name, parameters, offset, spent))

    complete, p = _bool(b, p)
    total, n = _i32_u16(b, p)
    p += 6
    errors: list[tuple[Any, ...]] = []
    for _ in range(n):
        number = None
        if numbered:
            number, time = _id_time(b, p)
            p += 10
        else:
            time = _i64(b, p)[0]
            p += 8
        error_id, p = _text(b, p, to_text)
        message, p = _text(b, p, to_text)
        name, p = _text(b, p, to_text)
        kind = None
        trace = None
        if traced:
            kind, tag = b[p], b[p + 1]
            p += 2
            _check(tag in (0, 2))
            if tag:
                n = _i32(b, p)[0]
                _check(n >= 0)
                trace = b[p + 4 : p + 4 + n]
                p += 4 + n
        errors.append((number, time, error_id, message, name, kind, trace))
    tail = NEW_TAIL if new else b"\0\0\0\0" if numbered else b"\0\0"
    _check(b[p : p + len(tail)] == tail)
    p += len(tail)
    session = (version, start, duration, locale, zone, network, user, location, views, gender, birth)
    return (*session, (launched, details), counts, events, complete, total, errors), p


def _text(b: bytes, p: int, to_text: Text) -> tuple[str, int]:
    q = p + 2
    end = q + (b[p + 1] if not b[p] else _u16(b, p)[0])
    return to_text(b[q:end]), end


def _bool(b: bytes, p: int) -> tuple[int, int]:
    value = b[p]
    _check(value < 2)
    return value, p + 1


def _optional(b: bytes, p: int, to_text: Text) -> tuple[str | None, int]:
    there, p = _bool(b, p)
    return _text(b, p, to_text) if there else (None, p)


def _pairs(b: bytes, p: int, to_text: Text, padding: int) -> tuple[list[Pair], int]:
    pairs = []
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        q = p + 2
        p = q + (b[p + 1] if not b[p] else _u16(b, p)[0])
        name = to_text(b[q:p])
        q = p + 2
        p = q + (b[p + 1] if not b[p] else _u16(b, p)[0])
        pairs.append((name, to_text(b[q:p])))
        if padding:
            _check(b[p] == 0)
            p += 1
    return pairs, p


def _lists(b: bytes, p: int, to_text: Text) -> tuple[list[tuple[str, list[str]]], int]:
    lists = []
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        name, p = _text(b, p, to_text)
        m = _u16(b, p)[0]
        p += 2
        values = []
        for _ in range(m):
            value, p = _text(b, p, to_text)
            values.append(value)
        lists.append((name, values))
    return lists, p


def _check(holds: bool) -> None:
    if not holds:
        raise Unreadable("bad value")
