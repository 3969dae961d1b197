"""The same job in plain Python: `struct` over bytes, counters in dicts. As fast as we could make CPython do it.

Reads reports of every agent protocol and counts the five rollups of `bench/plans/five.toml` by the rules of
docs/counters.md (skew, buckets, clamps, one record a session), so that its counters must equal the engine's exactly.
Where the two differ it is in this contender's favour:

- It checks the CRC, every bound and that nothing is left over, but not that text is valid, nor most fixed values.
- It makes no object for what the rollups do not need: names stay slices of bytes, everything else is stepped over.
- It has no caps, no repair of broken bodies, no saturation, keeps no offsets, and cannot be stored or restored.

What made it fast, in the order of the gain: whole runs of fixed-width fields read by one precompiled
`Struct.unpack_from` that also takes the length of the next text; text lengths read by indexing (a small int is free,
a tuple is not); one dict a (app, hour) so that inner keys are bare bytes with their hash cached; one loop for the
protocols of 2013, without a branch per field.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from struct import Struct, error
from typing import Any

HOUR = 3_600_000
SKEW = 600_000
MAX_AGE = 30 * 24 * HOUR
MAX_AHEAD = 600_000
MAX_COUNT = 1_000_000
MAX_DURATION = 30 * 24 * HOUR
LAST_MS = 253_402_300_799_999

_u16 = Struct(">H").unpack_from
_u16_u16 = Struct(">HH").unpack_from
_u32 = Struct(">I").unpack_from
_i64_u16 = Struct(">qH").unpack_from  # creation time, length of the API key
_two_i64_u16 = Struct(">qqH").unpack_from  # first and current session start, number of properties
_session_2013 = Struct(">HH").unpack_from  # record version, length of the app version
_times = Struct(">qq8xH").unpack_from  # start, duration, pause; length of the locale
_counts_head = Struct(">i3xB").unpack_from  # page views, two unknown bytes, gender, has birth date
_count_next = Struct(">iH").unpack_from  # occurrences, then the next name's length or the number of events
_event_times = Struct(">8xq").unpack_from  # offset, duration
_event_next = Struct(">8xqxxH").unpack_from  # offset, duration; the next event's id and the length of its name
_errors_head = Struct(">iH").unpack_from  # total errors, number of error records

# One session as the counters need it: app version, start, duration, locale, page views, {event: occurrences},
# [(event, duration) where it is above 0], total errors.
_Session = tuple[bytes, int, int, bytes, int, dict[bytes, int], list[tuple[bytes, int]], int]
# API key, creation time, protocol, first session start, device model, sessions.
_Report = tuple[bytes, int, int, int, bytes, list[_Session]]


class Unreadable(ValueError):
    """The report is not counted: its CRC, a bound or its end is wrong, or its protocol unknown."""


class PythonStruct:
    """Counters of many reports. `blocks` maps (API key) to {hour: [totals, versions, countries, models, events]}."""

    def __init__(self) -> None:
        self.blocks: dict[Any, dict[int, list[Any]]] = {}
        self.unreadable = 0
        self._countries: dict[Any, Any] = {}

    def absorb(self, payloads: Iterable[bytes], timestamps_ms: Iterable[int]) -> None:
        """Counts each payload, received at its timestamp. A report that cannot be read only adds to `unreadable`."""
        fold = self._fold
        for payload, received in zip(payloads, timestamps_ms, strict=True):
            try:
                report = decode(payload)
            except (Unreadable, error, IndexError):
                self.unreadable += 1
            else:
                if report[5]:
                    fold(report, received)

    def _fold(self, report: _Report, received: int) -> None:
        key, created, protocol, first_start, model, sessions = report
        if not 0 <= received <= LAST_MS:
            received = 0 if received < 0 else LAST_MS
        skew = created - received
        shift = -skew if skew > SKEW or (skew < -SKEW and protocol <= 26) else 0
        oldest = received - MAX_AGE
        newest = received + MAX_AHEAD
        if oldest < 0:
            oldest = 0
        hours = self.blocks.get(key)
        if hours is None:
            hours = self.blocks[key] = {}
        if len(sessions) > 1:
            sessions = _one_record_each(sessions)
        countries = self._countries
        for version, start, duration, locale, page_views, counts, timed, errors in sessions:
            time = start + shift
            hour = (time if oldest <= time <= newest else received) // HOUR
            block = hours.get(hour)
            if block is None:
                block = hours[hour] = [[0, 0, 0, 0, 0, 0, 0], {}, {}, {}, {}]
            totals, versions, by_country, models, events = block
            totals[0] += 1
            if start == first_start:
                totals[1] += 1
            if duration >= 0:
                totals[2] += 1
                totals[3] += duration if duration <= MAX_DURATION else MAX_DURATION
            if page_views > 0:
                totals[4] += page_views if page_views <= MAX_COUNT else MAX_COUNT
            if errors > 0:
                totals[6] += errors if errors <= MAX_COUNT else MAX_COUNT
            versions[version] = versions.get(version, 0) + 1
            country = countries.get(locale)
            if country is None:
                country = countries[locale] = _country(locale)
            by_country[country] = by_country.get(country, 0) + 1
            models[model] = models.get(model, 0) + 1
            occurrences = 0
            for name, count in counts.items():
                occurrences += count
                line = events.get(name)
                if line is None:
                    events[name] = [count, 1, 0]
                else:
                    line[0] += count
                    line[1] += 1
            totals[5] += occurrences
            for name, duration in timed:
                line = events.get(name)
                if line is None:
                    line = events[name] = [0, 0, 0]
                line[2] += duration if duration <= MAX_DURATION else MAX_DURATION

    def groups(self) -> int:
        """Number of distinct (rollup, block, group)."""
        return sum(
            1 + sum(len(lines) for lines in block[1:]) for hours in self.blocks.values() for block in hours.values()
        )

    def lines(self) -> dict[tuple[bytes, int, str, str], tuple[int, ...]]:
        """Every counter: (API key, hour, rollup, group as UTF-8 text) to its measures in the plan's order."""
        found: dict[tuple[bytes, int, str, str], tuple[int, ...]] = {}
        for app, hours in self.blocks.items():
            key = app.encode() if isinstance(app, str) else app
            for hour, block in hours.items():
                found[key, hour, "totals", ""] = tuple(block[0])
                for rollup, lines in zip(("versions", "countries", "models", "events"), block[1:], strict=True):
                    for name, measures in lines.items():
                        group = (key, hour, rollup, text(name))
                        values = tuple(measures) if rollup == "events" else (measures,)
                        if group in found:  # two spellings on the wire of one text
                            values = tuple(a + b for a, b in zip(found[group], values, strict=True))
                        found[group] = values
        return found


def _country(locale: Any) -> Any:
    """Between the first `_` and the second or the end; empty without one. Bytes or str, as it comes."""
    mark = b"_" if isinstance(locale, bytes) else "_"
    return locale.split(mark, 2)[1] if mark in locale else mark[:0]


def text(wire: bytes | str) -> str:
    """Modified UTF-8 as text: surrogate pairs joined, lone surrogates U+FFFD."""
    if isinstance(wire, str):
        return wire
    if wire.isascii():
        return wire.decode("ascii")
    units = wire.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass").encode("utf-16-be", "surrogatepass")
    return units.decode("utf-16-be", "replace")


def decode(report: bytes) -> _Report:
    """What the counters need of one report. Raises Unreadable, struct.error or IndexError for one it cannot read."""
    protocol = _u16(report, 0)[0]
    if protocol < 22:
        return _decode_rare(report, protocol, len(report))
    end = len(report) - 4
    if zlib.crc32(memoryview(report)[:end]) != _u32(report, end)[0]:
        raise Unreadable("bad CRC")
    if protocol == 26 or protocol == 22 or 24 <= protocol <= 27:
        return _decode_2013(report, protocol, end)
    return _decode_rare(report, protocol, end)


def _decode_2013(b: bytes, protocol: int, end: int) -> _Report:
    """Protocols 22, 24, 25, 26 and 27."""
    p = 14 + 9 * _u16(b, 12)[0] + 4  # protocol, ad flag, ad cache, ad ids, platform, agent version
    created, n = _i64_u16(b, p)
    p += 10
    key = b[p : p + n]
    p += n
    p += 2 + _u16(b, p)[0]  # app version of the envelope
    p += 2
    for _ in range(_u16(b, p - 2)[0]):  # device ids
        p += 4 + _u16(b, p + 2)[0]
    p += 1 if protocol != 27 else 2
    first_start, _current, n = _two_i64_u16(b, p)
    p += 18
    model, p = _properties(b, p, n)
    if protocol >= 24:
        p = _skip_lists(b, p)
        p += 3 + _u16(b, p + 1)[0] if b[p] else 1  # push token
        if protocol >= 25:
            p = _skip_lists(b, p + 1 if protocol == 25 else p)
    sessions: list[_Session] = []
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        n = _session_2013(b, p)[1]
        q = p + 4
        p = q + n
        version = b[q:p]
        start, duration, n = _times(b, p)
        q = p + 26
        p = q + n
        locale = b[q:p]
        p += b[p + 1] + 3 if not b[p] else _u16(b, p)[0] + 3  # time zone, network
        p += b[p + 1] + 2 if not b[p] else _u16(b, p)[0] + 2  # user id
        p += 21 if b[p] else 1  # location
        page_views, has_birth = _counts_head(b, p)
        p += 16 if has_birth else 8

        counts: dict[bytes, int] = {}
        n, size = _u16_u16(b, p)
        q = p + 4
        for _ in range(n):
            p = q + size
            count, size = _count_next(b, p)
            name = b[q:p]
            if name in counts:  # a name that comes again is one group of the session
                counts[name] += _clamp(count)
            else:
                counts[name] = count if 0 <= count <= MAX_COUNT else _clamp(count)
            q = p + 6
        p = q  # `size` has read the number of events

        timed: list[tuple[bytes, int]] = []
        if size:
            n = _u16(b, p + 2)[0]
            for _ in range(size):
                q = p + 4
                p = q + n
                m = b[p + 1] if not b[p] else _u16(b, p)[0]
                p += 2
                for _ in range(m + m):
                    p += b[p + 1] + 2 if not b[p] else _u16(b, p)[0] + 2
                spent, after = _event_next(b, p)  # of the last event, `after` means nothing
                p += 16
                if spent > 0:
                    timed.append((b[q : q + n], spent))
                n = after

        errors, n = _errors_head(b, p + 1)  # after "event log complete"
        p += 7
        for _ in range(n):
            p += 10
            p += 2 + _u16(b, p)[0]
            p += 2 + _u16(b, p)[0]
            p += 2 + _u16(b, p)[0]
            if protocol >= 26:
                p += 2 if b[p + 1] == 0 else 6 + _u32(b, p + 2)[0]
        if b[p : p + 4] != b"\0\0\0\0":
            raise Unreadable("bad tail")
        p += 4
        sessions.append((version, start, duration, locale, page_views, counts, timed, errors))
    if p != end or not 0 < len(key) < 256:
        raise Unreadable("trailing bytes or bad key")
    return key, created, protocol, first_start, model, sessions


def _decode_rare(b: bytes, protocol: int, end: int) -> _Report:
    """Protocols 8, 15, 29 and 30, field by field."""
    if protocol not in (8, 15, 29, 30):
        raise Unreadable("unknown protocol")
    old, new = protocol == 8, protocol >= 29
    p = 8 if old else 14 + 9 * _u16(b, 12)[0] + 4
    created, n = _i64_u16(b, p)
    p += 10
    key = b[p : p + n]
    p += n
    p += 2 + _u16(b, p)[0]
    if new:
        n = _u16(b, p)[0]
        p += 2
        for _ in range(n):
            p += 4 + _u16(b, p + 2)[0]
        p += 3
    else:
        p += 0 if old else 2
        p += 2 + _u16(b, p)[0]
    first_start, _current, n = _two_i64_u16(b, p)
    p += 18
    model, p = _properties(b, p, n, int(new))
    if new:
        p = _skip_lists(b, p)
        p += 3 + _u16(b, p + 1)[0] if b[p] else 1
        p = _skip_lists(b, p)
        p = _skip_lists(b, p, 2)
        if protocol == 30:
            p += 2 + _u16(b, p)[0]
    sessions: list[_Session] = []
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        session, p = _session_rare(b, p, protocol)
        sessions.append(session)
    p += 2 if new else 0
    if p != end or not 0 < len(key) < 256:
        raise Unreadable("trailing bytes or bad key")
    return key, created, protocol, first_start, model, sessions


def _session_rare(b: bytes, p: int, protocol: int) -> tuple[_Session, int]:
    old, new = protocol == 8, protocol >= 29
    p += 0 if old else 2
    n = _u16(b, p)[0]
    version = b[p + 2 : p + 2 + n]
    p += 2 + n
    start, duration = Struct(">qq").unpack_from(b, p)
    p += 16 if old else 24
    locale = b""
    if protocol == 30:
        p += 2
        p += 3 + _u16(b, p + 1)[0] if b[p] else 1
        p += 3 + _u16(b, p + 1)[0] if b[p] else 1
        p = _skip_pairs(b, p, 0)
    if new:
        p = _skip_pairs(b, p, 1)
    if not old:
        n = _u16(b, p)[0]
        locale = b[p + 2 : p + 2 + n]
        p += 2 + n
        p += 2 + _u16(b, p)[0] + (2 if protocol == 30 else 1)
    p += 2 + _u16(b, p)[0]
    p += 21 if b[p] else 1
    page_views = Struct(">i").unpack_from(b, p)[0]
    p += 5
    if not old:
        p += 11 if b[p + 2] else 3
    counts: dict[bytes, int] = {}
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        q = p + 2 + _u16(b, p)[0]
        name = b[p + 2 : q]
        counts[name] = counts.get(name, 0) + _clamp(Struct(">i").unpack_from(b, q)[0])
        p = q + 4
    timed: list[tuple[bytes, int]] = []
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        p += 2 if new else 0
        q = p + 2 + _u16(b, p)[0]
        name = b[p + 2 : q]
        p = _skip_pairs(b, q, 0)
        if not old:
            spent = _event_times(b, p)[0]
            p += 16
            if spent > 0:
                timed.append((name, spent))
    errors, n = _errors_head(b, p + 1)
    p += 7
    for _ in range(n):
        p += 10 if new else 8
        p += 2 + _u16(b, p)[0]
        p += 2 + _u16(b, p)[0]
        p += 2 + _u16(b, p)[0]
        if new:
            p += 2 if b[p + 1] == 0 else 6 + _u32(b, p + 2)[0]
    p += 10 if new else 2
    return (version, start, duration, locale, page_views, counts, timed, errors), p


def _properties(b: bytes, p: int, n: int, padding: int = 0) -> tuple[bytes, int]:
    """The first `device.model` and the position after n properties. Agents write it first."""
    model = b""
    known = False
    for _ in range(n):
        q = p + 2 + (b[p + 1] if not b[p] else _u16(b, p)[0])
        end = q + 2 + (b[q + 1] if not b[q] else _u16(b, q)[0])
        if not known and b[p + 2 : q] == b"device.model":
            model = b[q + 2 : end]
            known = True
        p = end + padding
    return model, p


def _skip_lists(b: bytes, p: int, width: int = 1) -> int:
    """Steps over n x (UTF, m x (`width` UTF))."""
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        p += 2 + _u16(b, p)[0]
        m = _u16(b, p)[0]
        p += 2
        for _ in range(m * width):
            p += 2 + _u16(b, p)[0]
    return p


def _skip_pairs(b: bytes, p: int, padding: int) -> int:
    """Steps over n x (UTF, UTF, `padding` bytes)."""
    n = _u16(b, p)[0]
    p += 2
    for _ in range(n):
        p += 2 + _u16(b, p)[0]
        p += 2 + _u16(b, p)[0] + padding
    return p


def _clamp(count: int) -> int:
    return min(max(count, 0), MAX_COUNT)


def _one_record_each(sessions: list[_Session]) -> list[_Session]:
    """Of several records with one start, the longest (ties: the last; not ended is shortest), in wire order."""
    kept: dict[int, int] = {}
    for place, session in enumerate(sessions):
        other = kept.get(session[1])
        if other is None or max(session[2], -1) >= max(sessions[other][2], -1):
            kept[session[1]] = place
    if len(kept) == len(sessions):
        return sessions
    return [sessions[place] for place in sorted(kept.values())]
