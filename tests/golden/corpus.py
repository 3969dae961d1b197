"""The records of the golden outcomes: made once, then kept as bytes, because generators change.

`corpus.xz` holds, compressed, for each record: partition (u16), offset, Kafka timestamp in ms (i64 each), length of the
payload (u32), big-endian, then the payload. Captures show what agents send; generated reports what else can be read.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from flurry_fast._core import Simulator

from ..reference.decoder import decode
from ..reference.encoder import encode
from ..reference.generate import NOW_MS, PROTOCOLS, Generator
from .edges import at_the_edges

FILE = Path(__file__).parent / "corpus.xz"
CAPTURES = Path(__file__).parents[1] / "captures"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
_HEAD = struct.Struct(">HqqI")

# Half hours and quarters, both hemispheres' summer times, zones that moved, and what is no zone.
ZONES = (
    "Africa/Casablanca", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "Asia/Gaza", "Asia/Kathmandu",
    "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham",
    "Pacific/Kiritimati", "GMT+5", "GMT-03:30", "UTC+13:45", "UTC", "UTC+24", "Mars/Olympus", "europe/berlin", "",
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """As Kafka gives it; `timestamp` in ms."""

    partition: int
    offset: int
    timestamp: int
    payload: bytes


def read(file: Path = FILE) -> list[Record]:
    """The records of a file, partition by partition, in the order of offsets."""
    content = lzma.decompress(file.read_bytes())
    records, at = [], 0
    while at < len(content):
        partition, offset, timestamp, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        records.append(Record(partition, offset, timestamp, content[at : at + length]))
        at += length
    return records


def write(records: Iterable[Record], file: Path = FILE) -> None:
    """Replaces the file."""
    file.write_bytes(lzma.compress(_framed(records), preset=9 | lzma.PRESET_EXTREME))


def digest(records: Iterable[Record]) -> str:
    """SHA-256 of everything in them, in hexadecimal: how the file is compressed says nothing."""
    return hashlib.sha256(_framed(records)).hexdigest()


def _framed(records: Iterable[Record]) -> bytes:
    heads = ((_HEAD.pack(r.partition, r.offset, r.timestamp, len(r.payload)), r.payload) for r in records)
    return b"".join(part for head in heads for part in head)


def make() -> list[Record]:
    """A new corpus; the same one as long as captures and generators are the same."""
    logs = (_captures(), _captures_at_odd_times(), _generated(), _simulated(), _sent_again(), at_the_edges())
    return [
        Record(partition, offset, timestamp, payload)
        for partition, log in enumerate(logs)
        for offset, (timestamp, payload) in enumerate(log)
    ]


def _captured() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CAPTURES.glob("*/*.bin"))]


def _captures() -> Iterator[tuple[int, bytes]]:
    """Every captured report, received about when it was sent."""
    bodies = _captured()
    first = next(report["reported_at_ms"] for report in map(decode, bodies) if report["outcome"] == "ok")
    for place, payload in enumerate(bodies):
        yield first + 45_000 * place, payload


def _captures_at_odd_times() -> Iterator[tuple[int, bytes]]:
    """Some of them, received years before and after they were made, at the ends of time, and out of order."""
    times = (-1, 0, 2**62, -(2**63), 2**63 - 1, 253_402_300_799_999, NOW_MS, NOW_MS + 40 * DAY_MS, 2_000_000_000_000)
    for place, payload in enumerate(_captured()[::6]):
        yield times[place % len(times)], payload


def _generated() -> Iterator[tuple[int, bytes]]:
    """Every protocol, with odd values, broken rules, twins of sessions, clocks that are off, and many time zones."""
    random = Random(4)
    generator = Generator(random, odd=0.04, bad=0.002)
    timestamp = NOW_MS
    for place in range(90):
        timestamp += random.randint(0, 20 * MINUTE_MS)
        report = generator.report(PROTOCOLS[place % len(PROTOCOLS)])
        report["api_key"] = random.choice(["APP1", "APP1", "APP2", "\u00e9"])
        report["reported_at_ms"] = timestamp - random.choice([0, 5_000, 900_000, -900_000, 3 * DAY_MS])
        sessions: list[dict[str, Any]] = report["sessions"]
        for session in sessions:
            session["timezone"] = random.choice(ZONES)
            session["start_ms"] = report["reported_at_ms"] - random.choice([0, 1_000, HOUR_MS, DAY_MS, 31 * DAY_MS])
        if sessions and random.random() < 0.3:
            sessions.append(generator.session() | {"start_ms": sessions[0]["start_ms"]})
            report["first_session_start_ms"] = sessions[0]["start_ms"]
        payload = encode(report)
        yield timestamp, payload if place % 30 else payload[: len(payload) // 2]


def _simulated() -> Iterator[tuple[int, bytes]]:
    """The simulated fleet, with every way of damage it knows, at four reports a minute."""
    fleet = Simulator(11, apps=3, devices=25, start_ms=NOW_MS, rate=1, malformed=0.15, hostile=0.1)
    batch = fleet.next_batch(90)
    start = int(np.frombuffer(batch.times_ms, np.int64)[0])
    for place, payload in enumerate(batch.payloads()):
        yield start + 15_000 * place, payload


def _sent_again() -> Iterator[tuple[int, bytes]]:
    """Reports that come again: at once, within hours, days later, longer than before, beside others, out of order."""
    random = Random(6)
    generator = Generator(random, odd=0.0)
    report = generator.report(30, sessions=2) | {"api_key": "AGAIN"}
    for place, session in enumerate(report["sessions"]):
        session |= {"start_ms": NOW_MS - (place + 1) * MINUTE_MS, "duration_ms": 10_000, "timezone": "Asia/Tokyo"}
    report["reported_at_ms"] = NOW_MS
    longer = report | {"sessions": [report["sessions"][0] | {"duration_ms": 600_000}]}
    other_device = report | {"device_ids": [(0, b"AND-another")]}
    other_app = report | {"api_key": "ANOTHER"}
    minutes = (0, 1, 8, 15, 29, 59, 61, 118, 100, 50, 240, 300, 24 * 60, 25 * 60 + 1, 24 * 60, 7 * 24 * 60)
    variants = (report, report, longer, report, other_device, report, other_app, longer)
    for place, minute in enumerate(minutes * 2):
        yield NOW_MS + minute * MINUTE_MS, encode(variants[place % len(variants)])
