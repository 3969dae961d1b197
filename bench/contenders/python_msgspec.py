"""The same reports as msgpack, read by msgspec into typed Structs (`array_like`, `gc=False`), counted in dicts.

What a team gets that may change the wire format. The records are whole: every field of the report is in them, texts as
UTF-8. In its favour: no CRC, no check of fixed values, one protocol. Two ways to read, both msgspec's documented fast
path: `MsgspecWhole` decodes every field, as our decoder does; `MsgspecNeeded` keeps as `msgspec.Raw`, undecoded and
unchecked, all that the five rollups do not look at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from bench.contenders import python_decode
from bench.contenders.python_struct import (
    HOUR,
    LAST_MS,
    MAX_AGE,
    MAX_AHEAD,
    MAX_COUNT,
    MAX_DURATION,
    SKEW,
    PythonStruct,
    _country,
)  # fmt: skip

Pairs = list[tuple[str, str]]
Lists = list[tuple[str, list[str]]]


class Event(Struct, array_like=True, gc=False):
    id: int | None
    name: str
    parameters: Pairs
    offset: int
    duration: int


class Error(Struct, array_like=True, gc=False):
    id: int | None
    time: int
    error_id: str
    message: str
    name: str
    kind: int | None
    trace: bytes | None


class Launch(Struct, array_like=True, gc=False):
    flag: int
    how: int
    origin: str | None
    link: str | None
    options: Pairs


class Session(Struct, array_like=True, gc=False):
    version: str
    start: int
    duration: int
    locale: str
    zone: str
    network: int
    user: str
    location: tuple[float, float, float] | None
    views: int
    gender: int
    birth: int | None
    launch: Launch | None
    details: Pairs
    counts: list[tuple[str, int]]
    events: list[Event]
    complete: int
    total: int
    errors: list[Error]


class Report(Struct, array_like=True, gc=False):
    protocol: int
    ad_flag: int
    ad_cache: int
    ads: list[tuple[int, int]]
    platform: int
    agent: int
    created: int
    api_key: str
    app_version: str
    devices: list[tuple[int, bytes]]
    delivered: int | None
    tracking: int | None
    first_start: int
    current_start: int
    properties: Pairs
    referrer: Lists
    push: str | None
    launch: Lists
    origins: list[tuple[str, Pairs]]
    package: str | None
    sessions: list[Session]


class NeededEvent(Struct, array_like=True, gc=False):
    id: Raw
    name: str
    parameters: Raw
    offset: Raw
    duration: int


class NeededSession(Struct, array_like=True, gc=False):
    version: str
    start: int
    duration: int
    locale: str
    zone: Raw
    network: Raw
    user: Raw
    location: Raw
    views: int
    gender: Raw
    birth: Raw
    launch: Raw
    details: Raw
    counts: list[tuple[str, int]]
    events: list[NeededEvent]
    complete: Raw
    total: int  # what follows is passed over


class NeededReport(Struct, array_like=True, gc=False):
    protocol: int
    ad_flag: Raw
    ad_cache: Raw
    ads: Raw
    platform: Raw
    agent: Raw
    created: int
    api_key: str
    app_version: Raw
    devices: Raw
    delivered: Raw
    tracking: Raw
    first_start: int
    current_start: Raw
    properties: Pairs
    referrer: Raw
    push: Raw
    launch: Raw
    origins: Raw
    package: Raw
    sessions: list[NeededSession]


def encode(report: bytes) -> bytes:
    """A wire report as msgpack. Raises what `python_decode.decode` raises."""
    fields = python_decode.decode(report)
    fields["sessions"] = [_session(session) for session in fields["sessions"]]
    return msgspec.msgpack.encode(Report(**fields))


def _session(session: Any) -> Session:
    (launch, details), counts, events, complete, total, errors = session[11:]
    return Session(
        *session[:11], Launch(*launch) if launch else None, details, counts, [Event(*event) for event in events],
        complete, total, [Error(*error) for error in errors],
    )  # fmt: skip


class MsgspecWhole(PythonStruct):
    """Reads every field."""

    record: type[Any] = Report

    def absorb(self, payloads: Iterable[bytes], timestamps_ms: Iterable[int]) -> None:
        """Counts each msgpack record, received at its timestamp. One that cannot be read only adds to `unreadable`."""
        decode = msgspec.msgpack.Decoder(self.record).decode
        fold = self._fold_struct
        for payload, received in zip(payloads, timestamps_ms, strict=True):
            try:
                report = decode(payload)
            except msgspec.MsgspecError:
                self.unreadable += 1
            else:
                fold(report, received)

    def _fold_struct(self, report: Any, received: int) -> None:
        """`PythonStruct._fold` over attributes."""
        sessions = report.sessions
        if not sessions:
            return
        if not 0 <= received <= LAST_MS:
            received = 0 if received < 0 else LAST_MS
        skew = report.created - received
        shift = -skew if skew > SKEW or (skew < -SKEW and report.protocol <= 26) else 0
        oldest = max(0, received - MAX_AGE)
        newest = received + MAX_AHEAD
        key = report.api_key
        hours = self.blocks.get(key)
        if hours is None:
            hours = self.blocks[key] = {}
        model = ""
        for name, value in report.properties:
            if name == "device.model":  # agents write it first
                model = value
                break
        if len(sessions) > 1:
            sessions = _one_record_each(sessions)
        first_start = report.first_start
        for session in sessions:
            start = session.start
            time = start + shift
            hour = (time if oldest <= time <= newest else received) // HOUR
            block = hours.get(hour)
            if block is None:
                block = hours[hour] = [[0, 0, 0, 0, 0, 0, 0], {}, {}, {}, {}]
            totals, versions, by_country, models, events = block
            totals[0] += 1
            if start == first_start:
                totals[1] += 1
            duration = session.duration
            if duration >= 0:
                totals[2] += 1
                totals[3] += duration if duration <= MAX_DURATION else MAX_DURATION
            if session.views > 0:
                totals[4] += session.views if session.views <= MAX_COUNT else MAX_COUNT
            if session.total > 0:
                totals[6] += session.total if session.total <= MAX_COUNT else MAX_COUNT
            version = session.version
            versions[version] = versions.get(version, 0) + 1
            locale = session.locale
            country = self._countries.get(locale)
            if country is None:
                country = self._countries[locale] = _country(locale)
            by_country[country] = by_country.get(country, 0) + 1
            models[model] = models.get(model, 0) + 1
            counts = dict(session.counts)
            if len(counts) < len(session.counts):
                counts = _summed(session.counts)
            occurrences = 0
            for name, count in counts.items():
                if count < 0 or (count > MAX_COUNT and len(counts) == len(session.counts)):
                    count = min(max(count, 0), MAX_COUNT)
                occurrences += count
                line = events.get(name)
                if line is None:
                    events[name] = [count, 1, 0]
                else:
                    line[0] += count
                    line[1] += 1
            totals[5] += occurrences
            for event in session.events:
                duration = event.duration
                if duration > 0:
                    line = events.get(event.name)
                    if line is None:
                        line = events[event.name] = [0, 0, 0]
                    line[2] += duration if duration <= MAX_DURATION else MAX_DURATION


class MsgspecNeeded(MsgspecWhole):
    """Leaves undecoded what the rollups do not look at."""

    record = NeededReport


def _summed(counts: list[tuple[str, int]]) -> dict[str, int]:
    """A name that comes again is one group of the session; each of its occurrences is clamped by itself."""
    found: dict[str, int] = {}
    for name, count in counts:
        found[name] = found.get(name, 0) + min(max(count, 0), MAX_COUNT)
    return found


def _one_record_each(sessions: list[Any]) -> list[Any]:
    """Of several records with one start, the longest (ties: the last; not ended is shortest), in wire order."""
    kept: dict[int, int] = {}
    for place, session in enumerate(sessions):
        other = kept.get(session.start)
        if other is None or max(session.duration, -1) >= max(sessions[other].duration, -1):
            kept[session.start] = place
    if len(kept) == len(sessions):
        return sessions
    return [sessions[place] for place in sorted(kept.values())]
