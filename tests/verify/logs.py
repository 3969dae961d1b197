"""Small logs of generated reports, and the shortest consumer that could be: engine, store, archive, no Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import google_crc32c
import numpy as np
import pyarrow as pa

from flurry_fast import _core, _wire
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.archive.writer import publish
from flurry_fast.consumer.past import Pasts
from flurry_fast.positions import CountersPosition, PositionTable
from flurry_fast.registry import Registry
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.memory import MemoryStore

from ..reference.encoder import encode
from ..reference.generate import NOW_MS, PROTOCOLS, Generator

INCARNATION = 0x77
TOPIC = "reports"
HOUR_MS = 3_600_000

Record = tuple[bytes, int]  # payload, Kafka timestamp in ms
Logs = dict[int, list[Record]]


def generated(
    seed: int,
    partitions: int = 2,
    reports: int = 30,
    *,
    odd: float = 0.05,
    bad: float = 0.003,
    again: float = 0.2,
) -> Logs:
    """Random logs: few apps, so that blocks are shared; clocks near the receive time and far from it. `again` is the
    share of reports that came before."""
    random = Random(seed)
    generator = Generator(random, odd=odd, bad=bad)
    logs: Logs = {}
    for partition in range(partitions):
        timestamp, log = NOW_MS, []
        for _ in range(reports):
            timestamp += random.randint(0, 400_000)
            sent = [payload for payload, _ in log[-12:]] if random.random() < again else []
            payload = random.choice(sent) if sent else _payload(generator, random, timestamp)
            late = random.randint(0, 3_000_000) if random.random() < 0.1 else 0  # clocks of brokers differ
            log.append((payload, timestamp - late if random.random() < 0.98 else -1))
        logs[partition] = log
    return logs


def _payload(generator: Generator, random: Random, timestamp: int) -> bytes:
    report = generator.report(random.choice(PROTOCOLS))
    report["api_key"] = random.choice(["APP1", "APP1", "APP2", "APP3", "\u00e9", "\ud800"])
    if random.random() < 0.8:
        report["reported_at_ms"] = timestamp - random.randint(-100_000, 900_000)
    for session in report["sessions"]:
        if random.random() < 0.9:
            session["start_ms"] = timestamp - random.randint(-(10**6), 3 * HOUR_MS)
    if report["sessions"] and random.random() < 0.3:
        twin = generator.session() | {"start_ms": report["sessions"][0]["start_ms"]}
        if random.random() < 0.5:
            twin["duration_ms"] = random.choice([report["sessions"][0]["duration_ms"], -1, -2, 0])
        report["sessions"].append(twin)
        report["first_session_start_ms"] = twin["start_ms"]
    payload = encode(report)
    return payload if random.random() < 0.97 else payload[: random.randint(0, len(payload))]


def manifest(logs: Logs) -> Iterator[str]:
    """What a manifest would say of these logs: the decode schema, which the reference decoder agrees with."""
    for partition, log in logs.items():
        for offset, (payload, timestamp) in enumerate(log):
            line = json.loads(_core.decode_json(payload))
            crc = google_crc32c.value(payload)
            sent = {"partition": partition, "offset": offset, "timestamp_ms": timestamp, "crc32c": crc}
            yield json.dumps(line | sent)


def batch(log: list[Record], start: int, end: int, partition: int) -> _wire.Batch:
    """The records with start <= offset < end."""
    payloads = [payload for payload, _ in log[start:end]]
    ends = np.cumsum([0, *map(len, payloads)], dtype=np.int64)
    timestamps = np.array([timestamp for _, timestamp in log[start:end]], np.int64)
    offsets = np.arange(start, start + len(payloads), dtype=np.int64)
    return _wire.Batch.from_buffers(b"".join(payloads), ends, offsets, timestamps, partition)


@dataclass
class Consumer:
    """Folds logs into a store, and archives them if there is a root. A new one goes on where the store stands."""

    plan: _core.Plan
    logs: Logs
    store: CellStore = field(default_factory=MemoryStore)
    root: Path | None = None
    log_starts: dict[int, int] = field(default_factory=dict)  # what retention took; nothing if not said

    def __post_init__(self) -> None:
        self.registry = Registry(self.store, TOPIC, lambda: INCARNATION)
        self.registration = self.registry.open(self.plan.id, self.plan.toml, len(self.logs))
        self.positions: PositionTable = self.registry.positions(self.registration)
        archived = self.root is not None
        self.engine = _core.Engine(
            self.plan, incarnation=INCARNATION, secret=self.registration.secret, counters=True, archive=archived
        )
        self.next: dict[int, int] = {}
        pasts = Pasts(self.engine, cast("Any", self), self.positions, self.chain if archived else None)
        for partition in self.logs:
            counters = self.positions.put_if_absent(partition, CountersPosition(0))
            self.positions.note_began("counters", partition, 0)
            archive = self.chain(partition).begin(0) if archived else None
            start = min([counters.position, *([archive.position] if archive else [])])
            log_start = self.log_starts.get(partition, 0)
            past = pasts.find(partition, counters, log_start)
            start = min(start, past.logged if past is not None else start)
            assert start >= log_start
            recall_from = past.start if past is not None else None
            self.engine.assign(
                partition,
                log_start=log_start,
                counters=counters,
                archive=archive,
                read_from=start,
                recall_from=recall_from,
            )
            if past is not None:
                pasts.recall(partition, past)
            self.next[partition] = start

    def watermarks(self, partition: int) -> tuple[int, int]:
        """As a source answers it."""
        return self.log_starts.get(partition, 0), len(self.logs[partition])

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        """As a source answers it."""
        times = [time for _, time in self.logs[partition]]
        found = range(self.log_starts.get(partition, 0), len(times))
        return next((offset for offset in found if times[offset] >= timestamp), None)

    def chain(self, partition: int) -> Chain:
        assert self.root is not None
        return Chain(LocalFileSystem(self.root), TOPIC, INCARNATION, partition)

    def read(self, partition: int, records: int) -> None:
        """Takes up to that many records of the partition."""
        start = self.next[partition]
        end = min(start + records, len(self.logs[partition]))
        if start == end:
            return
        taken = batch(self.logs[partition], start, end, partition)
        needs = self.engine.absorb(taken)
        if needs is not None:
            for group in needs.groups:
                cells = self.store.read(group.table, group.qualifier, pa.array(group.rows))
                log_end = len(self.logs[group.partition])
                self.engine.seed(group, cells.indices, cells.timestamps, cells.values, log_end)
            self.engine.resume(taken)
        assert self.engine.stopped() == []
        self.next[partition] = end

    def flush(self, *, positions: bool = True) -> None:
        """Writes what is unwritten; `positions=False` dies before the positions are put."""
        flush = self.engine.freeze(None)
        if flush is None:
            return
        self.registry.verify(self.registration)
        for part in flush.parts:
            self.store.write(part.table, part.qualifier, part.timestamp, pa.array(part.rows), pa.array(part.values))
        if not positions:
            return
        for at in flush.positions:
            self.positions.put(at.partition, CountersPosition(at.position, at.max_bucket, at.crc, at.max_timestamp))
        self.engine.acknowledge(flush)

    def publish(self) -> None:
        """Every partition's archive rows become a file."""
        for partition in self.logs:
            chunk = self.engine.archive_take(partition)
            if chunk is not None:
                published = publish(self.chain(partition), chunk, lambda: self.registry.verify(self.registration))
                assert published.ours

    def run(self, flush_every: int = 7, publish_every: int = 11, step: int = 4) -> Consumer:
        """Everything, with flushes and files on the way and at the end."""
        turn = 0
        while any(self.next[partition] < len(log) for partition, log in self.logs.items()):
            turn += 1
            for partition in self.logs:
                self.read(partition, step)
            if turn % flush_every == 0:
                self.flush()
            if self.root is not None and turn % publish_every == 0:
                self.publish()
        self.flush()
        if self.root is not None:
            self.publish()
        return self


def random_plan(random: Random) -> str:
    """A plan with rollups of every level, few groups a cap."""
    report = ["agent_version", "platform", "protocol", "device_model", "brand", "os_version", "install_day"]
    session = ["app_version", "language", "country", "time_zone", "network", "gender", "age_band", "local_hour"]
    session += ["session_length"]
    more_measures = ["errors", "crashes", "data_points", "clock_suspect"]
    levels: dict[str, tuple[list[str], list[str]]] = {
        "session": (
            [],
            ["sessions", "new_users", "ended_sessions", "duration", "page_views", "events", *more_measures],
        ),
        "report": ([], ["reports", "duplicates", "superseded"]),
        "event": (["event"], ["events", "event_sessions", "event_duration"]),
        "parameter": (["event", "parameter", "value"], ["events", "event_sessions"]),
        "error": (["error", "error_kind"], ["errors", "crashes"]),
    }
    window, sessions = random.choice([0, 1_000_000, 3_600_000, 10**9]), random.choice([9, 60, 10_000])
    lines = [f"[dedup]\nwindow_ms = {window}\nmax_sessions = {sessions}"]
    lines += [f"[time]\nmax_age_ms = {random.choice([2_592_000_000, 7_200_000])}"]
    lines.append(f"[limits]\nmax_count = {random.choice([1_000_000, 5])}")
    for number in range(random.randint(4, 9)):
        level = random.choice(list(levels))
        own, measures = levels[level]
        if level == "parameter":
            deep = random.choice(
                [own, ["parameter"], ["parameter", "value"], ["event", "value"], ["event", "parameter"]]
            )
        else:
            deep = random.sample(own, random.randint(min(1, len(own)), len(own)))
        others = [*report, "app_version"] if level == "report" else report + session
        more = random.sample(others, random.choice([0, 0, 1, 2]))
        if level == "session" and not set(more) & set(session) - {"app_version"} and random.random() < 0.5:
            measures = ["reports", *measures]
        chosen = random.sample(measures, random.randint(1, len(measures)))
        dimensions: list[Any] = random.sample(deep + more, len(deep + more))
        lines.append(
            f'[[rollup]]\nname = "r{number}"\ndimensions = {json.dumps(dimensions)}\n'
            f"measures = {json.dumps(chosen)}\ncap = {random.choice([1, 2, 5, 1000])}"
        )
    return "\n".join(lines)
