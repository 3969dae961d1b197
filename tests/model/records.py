"""A few dozen small reports, and what each adds to which counter by the independent count.

What a record adds depends on its bytes and its Kafka timestamp; times lie on a coarse grid, so that each addition is
worked out once a process and looked up ever after.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import google_crc32c
from reference import decoder, encoder, generate

from flurry_fast import _core
from flurry_fast.verify import blocks, clock
from flurry_fast.verify.compare import table_of
from flurry_fast.verify.count import Count, survivors
from flurry_fast.verify.dedup import Memory
from flurry_fast.verify.plan import CountedPlan

NOW_MS = generate.NOW_MS
TICK_MS = 20 * 60_000
UNCAPPED = 1_000_000

_DEDUP = """
[dedup]
window_ms = 7200000
max_sessions = 27
"""
_PLAN = """
[[rollup]]
name = "app"
dimensions = []
measures = ["reports", "sessions", "duration", "events", "duplicates", "superseded"]
cap = 1

[[rollup]]
name = "country"
dimensions = ["country"]
measures = ["sessions", "new_users"]
cap = {country}

[[rollup]]
name = "event"
dimensions = ["event"]
measures = ["events", "event_sessions"]
cap = 2
"""


@dataclass(frozen=True)
class Pooled:
    """A report: its bytes, their CRC-32C, and what the reference decoder says."""

    body: bytes
    crc: int
    decoded: dict[str, Any]


@dataclass(frozen=True)
class ModelPlan:
    """A plan, and the same without caps: with those, the order of first appearance is a dictionary's order."""

    plan: _core.Plan
    counted: CountedPlan
    uncapped: CountedPlan
    caps: dict[int, int]
    dedup: bool

    @classmethod
    def make(cls, country_cap: int, *, dedup: bool) -> ModelPlan:
        """The uncapped one counts every session: what is dropped is taken out before."""
        rollups = _PLAN.format(country=country_cap)
        toml = (_DEDUP if dedup else "") + rollups
        counted = CountedPlan.parse(toml)
        caps = {rollup.number: rollup.cap for rollup in (*counted.rollups, counted.rollup(255))}
        for cap in (1, 2):
            rollups = rollups.replace(f"cap = {cap}\n", f"cap = {UNCAPPED}\n")
        return cls(_core.Plan.parse(toml), counted, CountedPlan.parse(rollups), caps, dedup)


# A plan and the one it may be switched to, without and with a window for duplicates.
PLANS = tuple(ModelPlan.make(cap, dedup=dedup) for dedup in (False, True) for cap in (2, 1))

# (api key, bucket) and, in the order of their first appearance, (rollup number, encoded key, measures)
Group = tuple[int, bytes, tuple[int, ...]]
Addition = tuple[tuple[bytes, int], tuple[Group, ...]]


def _make_pool() -> list[Pooled]:
    draw = random.Random(7)
    pool = []
    while len(pool) < 20:
        report = generate.Generator(draw, odd=0.0).report(draw.choice(generate.PROTOCOLS), draw.randint(0, 2))
        report["api_key"] = draw.choice(("A", "A", "B"))
        report["reported_at_ms"] = NOW_MS
        for session in report["sessions"]:
            session["start_ms"] = NOW_MS - draw.choice((0, 0, 1, 2, 800)) * 3_600_000
        body = encoder.encode(report) if draw.random() > 0.12 else draw.randbytes(20)
        pool.append(Pooled(body, google_crc32c.value(body), decoder.decode(body)))
    return pool


POOL = _make_pool()


@dataclass(frozen=True)
class Fate:
    """What of a record is dropped because it came before: session starts, and how many of them are of which kind."""

    starts: frozenset[int] = frozenset()
    duplicates: int = 0
    superseded: int = 0


WHOLE = Fate()


def meet(memory: Memory, place: int, time_ms: int) -> Fate:
    """Record `place` of the pool comes, at `time_ms`, to who knows what came before."""
    memory.record(clock.receive_ms(time_ms))
    report = POOL[place].decoded
    if report["outcome"] != "ok":
        return WHOLE
    device = next((bytes.fromhex(entry["hex"]) for entry in report["device_ids"] if entry["type"] == 0), b"")
    dropped: dict[str, list[int]] = {"counts": [], "duplicate": [], "superseded": []}
    lengths = [{**session, "duration_ms": _length(session)} for session in report["sessions"]]
    for session in survivors(lengths):
        identity = (report["api_key"].encode(), device, session["start_ms"])
        dropped[memory.session(identity, session["duration_ms"])].append(session["start_ms"])
    again, longer = dropped["duplicate"], dropped["superseded"]
    return Fate(frozenset(again + longer), len(again), len(longer)) if again or longer else WHOLE


def _length(session: dict[str, Any]) -> int:
    return -1 if session["duration_ms"] is None else int(session["duration_ms"])


@cache
def additions(plan: int, place: int, time_ms: int, fate: Fate = WHOLE) -> tuple[Addition, ...]:
    """What record `place` of the pool adds under plan number `plan`, if Kafka took it at `time_ms`."""
    uncapped, report = PLANS[plan].uncapped, POOL[place].decoded
    if fate.starts:
        kept = [session for session in report["sessions"] if session["start_ms"] not in fate.starts]
        report = {**report, "sessions": kept}
    count = Count(uncapped)
    count.add({**report, "partition": 0, "offset": 0, "timestamp_ms": time_ms})
    received = clock.receive_ms(time_ms) // clock.HOUR_MS
    rollups = {rollup.name: rollup for rollup in (*uncapped.rollups, uncapped.rollup(255))}
    found = []
    for (_, key, bucket), rows in count.finish().items():
        groups = []
        for name, lines in rows.items():
            for values, measures in lines.items():
                if name == "app" and bucket == received:
                    measures = {**measures, "duplicates": fate.duplicates, "superseded": fate.superseded}
                amounts = tuple(measures[measure] for measure in rollups[name].measures)
                groups.append((rollups[name].number, encode_key(values), amounts))
        found.append(((key, bucket), tuple(groups)))
    return tuple(found)


def encode_key(values: tuple[str, ...] | str) -> bytes:
    """A group's key as blocks have it: varint length and UTF-8 a dimension."""
    assert not isinstance(values, str)
    return b"".join(varint(len(text)) + text for text in (value.encode() for value in values))


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@cache
def names(key: bytes, bucket: int) -> tuple[str, bytes]:
    """Table and row of a block."""
    return table_of(bucket), blocks.row(key, bucket)
