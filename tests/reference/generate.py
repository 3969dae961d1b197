"""Random reports as dicts for tests/reference/encoder.py: mostly plausible, with the odd thing anywhere."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]

PROTOCOLS = (8, 15, 22, 24, 25, 26, 27, 29, 30)
NOW_MS = 1_385_000_000_000

_WORDS: tuple[str | bytes, ...] = (
    "",
    "a",
    "1.0",
    "Level Start",
    "mode",
    "hard",
    "événement",
    "漢字 😀",
    "nul\0name",
    "uncaught",
    "_",
    "x_y_z",
)
_ODD_TEXTS: tuple[str | bytes, ...] = (
    "\ud83d",  # a lone high surrogate, as a cut leaves it
    "\ude00\ud83d",
    b"\xc1\xa1",  # an overlong "a"
    b"\x00",
    b"\xe0\x80\x80\xed\xa0\xbd\xed\xb8\x80",
    "w" * 300,
)
_BAD_TEXTS: tuple[str | bytes, ...] = (
    b"\x80",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98\x80",
    b"\xc3\x28",
    b"\xe2\x28\xa1",
    b"\xff",
    b"ok\xed\xa0",
)
_LOCALES = ("en_US", "de_DE", "he_", "zh_Hant_TW", "fr", "", "_US", "pt_BR")
_ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "GMT+5", "GMT-03:30", "UTC+24", "Mars", "", "UTC")
_PROPERTIES = ("device.model", "build.brand", "build.id", "version.release", "build.device", "build.product")
_I64 = (0, -1, 1, 2**63 - 1, -(2**63), 2**31, 946_684_800_000)
_I32 = (0, 1, -1, 2**31 - 1, -(2**31), 7)


class Generator:
    """Draws from `random`; `odd` is the chance that a field is something unusual but readable, `bad` that it is
    something that no decoder may accept."""

    def __init__(self, random: Random, odd: float = 0.05, bad: float = 0.0) -> None:
        self.random, self.odd, self.bad = random, odd, bad

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, options: tuple[T, ...]) -> T:
        return self.random.choice(options)

    def many(self, most: int, make: Callable[[], T]) -> list[T]:
        return [make() for _ in range(self.random.randint(0, most))]

    def maybe(self, make: Callable[[], T]) -> T | None:
        return make() if self.chance(0.5) else None

    def text(self) -> str | bytes:
        if self.chance(self.bad):
            return self.pick(_BAD_TEXTS)
        return self.random.choice(_ODD_TEXTS if self.chance(self.odd) else _WORDS)

    def flag(self) -> int:
        return self.random.randint(2, 255) if self.chance(self.bad) else self.random.randint(0, 1)

    def time(self) -> int:
        return self.pick(_I64) if self.chance(self.odd) else NOW_MS + self.random.randint(-(10**10), 10**6)

    def i32(self) -> int:
        return self.pick(_I32) if self.chance(self.odd) else self.random.randint(0, 20)

    def u16(self) -> int:
        return self.random.randint(0, 0xFFFF) if self.chance(self.odd) else self.random.randint(0, 5)

    def pairs(self, most: int) -> list[tuple[str | bytes, str | bytes]]:
        return self.many(most, lambda: (self.text(), self.text()))

    def named(self, make: Callable[[], T]) -> list[tuple[str | bytes, list[T]]]:
        return self.many(2, lambda: (self.text(), self.many(2, make)))

    # --- the parts of a report -----------------------------------------------

    def report(self, protocol: int, sessions: int | None = None) -> Json:
        """A report; at most `sessions` sessions (default 0 to 3)."""
        count = self.random.randint(0, 3) if sessions is None else sessions
        report: Json = {
            "protocol": protocol,
            "ad_flag": self.random.randint(0, 1),
            "ad_cache_ms": self.time() if self.chance(0.2) else 0,
            "ad_ids": self.many(2, lambda: (self.random.randint(0, 255), self.time())),
            "platform": 3 if self.chance(0.9) else self.u16(),
            "agent_version": self.pick((30, 117, 122, 131, 140, 148, 155, 216)),
            "reported_at_ms": self.time(),
            "api_key": self.text() if self.chance(self.odd + self.bad) else self.pick(("APPKEY1", "B", "k" * 255)),
            "app_version": self.text(),
            "device_ids": self.device_ids(protocol),
            "previous_delivered": self.flag(),
            "ad_tracking": self.flag(),
            "first_session_start_ms": self.time(),
            "session_start_ms": self.time(),
            "properties": [(name, self.text()) for name in _PROPERTIES if self.chance(0.8)],
            "referrer": self.named(self.text),
            "push_token": self.maybe(self.text),
            "launch_options": self.named(self.text),
            "origins": self.named(lambda: (self.text(), self.text())),
            "package": self.text(),
            "sessions": [self.session() for _ in range(count)],
        }
        if self.chance(self.odd):
            report["properties"] += [*self.pairs(2), ("device.model", "again")]
        for field in ("field_11", "field_19", "field_24"):
            if self.chance(self.bad):
                report[field] = 1
        if self.chance(self.bad):
            report["extra_sessions"] = 1
        if self.chance(self.bad):
            report["trailing"] = self.random.randbytes(self.random.randint(1, 5))
        return report

    def device_ids(self, protocol: int) -> list[tuple[int, bytes | str]]:
        if protocol <= 15:
            return [(0 if self.chance(0.9) else 5, self.text())]
        ids: list[tuple[int, bytes | str]] = [(0, b"AND%016x" % self.random.getrandbits(64))]
        ids += self.many(2, lambda: (self.pick((0, 5, 13)), self.random.randbytes(self.pick((0, 4, 20)))))
        self.random.shuffle(ids)
        return ids if self.chance(0.95) else []

    def session(self) -> Json:
        session: Json = {
            "app_version": self.text(),
            "start_ms": self.time(),
            "duration_ms": -1 if self.chance(0.1) else self.random.randint(0, 10**7),
            "pause_ms": 0,
            "launch": {
                "flag": self.flag(),
                "kind": self.random.randint(-128, 127),
                "origin": self.maybe(self.text),
                "deep_link": self.maybe(self.text),
                "options": self.pairs(2),
            },
            "properties": self.pairs(3),
            "locale": self.pick(_LOCALES) if self.chance(0.9) else self.text(),
            "timezone": self.pick(_ZONES) if self.chance(0.9) else self.text(),
            "network": self.random.randint(-1, 3),
            "orientation": self.random.randint(0, 255),
            "user_id": self.text(),
            "location": self.maybe(self.location_bits),
            "page_views": self.i32(),
            "unknown": (-1, -1) if self.chance(0.9) else (0, 127),
            "gender": self.random.randint(-1, 1) if self.chance(0.95) else -128,
            "birth_ms": self.maybe(lambda: 0 if self.chance(0.3) else self.time()),
            "event_counts": self.many(4, lambda: (self.text(), self.i32())),
            "events": self.many(4, self.event),
            "events_complete": self.flag(),
            "total_errors": self.i32(),
            "errors": self.many(3, self.error),
        }
        if self.chance(self.odd + self.bad):
            session["unwritten_errors"] = self.random.randint(1, 3)
        if self.chance(self.bad):
            session["version"] = 2
        if self.chance(self.bad):
            session["tail"] = 5
        return session

    def location_bits(self) -> tuple[int, int, int]:
        if self.chance(self.odd):
            return (
                self.random.getrandbits(64),
                self.pick((0x7FF << 52, 1 << 63, 2**64 - 1)),
                self.random.getrandbits(32),
            )
        lat, lon = self.random.uniform(-90, 90), float(self.random.randint(-180, 180))
        accuracy = self.random.uniform(0, 1000)
        return struct.unpack(">QQI", struct.pack(">ddf", lat, lon, accuracy))

    def event(self) -> Json:
        return {
            "id": self.u16(),
            "name": self.text(),
            "params": self.pairs(3),
            "offset_ms": self.random.randint(0, 10**6) if self.chance(0.9) else self.time(),
            "duration_ms": self.pick((0, 0, 1_500, -5, 2**62)),
        }

    def error(self) -> Json:
        error: Json = {
            "id": self.u16(),
            "time_ms": self.time(),
            "error_id": self.text(),
            "message": self.text(),
            "class": self.text(),
            "kind": self.random.randint(1, 3) if self.chance(0.9) else self.random.randint(0, 255),
            "trace": self.maybe(
                lambda: self.pick((b"", b"at x.y.Z(F.java:1)\n", b"\xff\xe2\x82\x00", b"\xed\xa0\x80"))
            ),
        }
        if self.chance(self.bad):
            error |= {"trace": None, "tag": self.pick((1, 2, 3))}
        return error
