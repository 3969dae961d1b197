"""Simulated devices that keep to a timetable, in a process of their own: an open-loop producer.

    python -m bench.devices BROKERS TOPIC FILE APPS --rate R --seconds S
    python -m bench.devices BROKERS TOPIC FILE APPS --beside STATUS --ahead N --seconds S

With --rate, every report has a time at which it is to be sent, whatever happens: what is late is sent at once and keeps
its time, and nobody waits for an answer, so a pause of the pipeline is felt by all reports that fell due in it (no
coordinated omission). With --beside it sends as fast as it goes, but never more than N reports ahead of the records
that the status file of a consumer tells of: the consumer's capacity with devices on the same machine.

Prints ``ready`` when reports are at hand, begins when it is sent a line ``go`` (again and again: once a line), and
answers each with ``done`` and JSON: how many were sent, and how late (milliseconds, of ticks). The file gets a JSON
line for each probe, a report whose way is followed: when it was due (monotonic seconds), app, partition, offset, hour.
Probes are reports of apps of middling size, 100 a second at most, after the first second.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from confluent_kafka import Producer

from flurry_fast._core import Simulator
from flurry_fast.agent.producer import producer_config

TICK = 0.01  # seconds
CHUNK = 2_000  # reports that are made at once
AHEAD = 8  # chunks that are made before they are due
SAMPLE = 50_000  # reports whose apps are counted, to know which are of middling size
WATCHED, FROM = 64, 100  # so many apps, from this rank on
HOUR_MS = 3_600_000
SEED = 20131120


class Reports:
    """Reports of a fleet, made by a thread of its own a few chunks ahead. Virtual time is now, and as fast."""

    def __init__(self, apps: int, rate: int, seed: int) -> None:
        self._simulator = Simulator(seed, apps=apps, start_ms=time.time_ns() // 1_000_000, rate=rate)
        self._chunks: queue.Queue[tuple[list[bytes], list[bytes]]] = queue.Queue(AHEAD)
        self._keys: list[bytes] = []
        self._payloads: list[bytes] = []
        threading.Thread(target=self._make, daemon=True).start()
        while not self._chunks.full():
            time.sleep(0.01)

    def _make(self) -> None:
        while True:
            batch = self._simulator.next_batch(CHUNK)
            self._chunks.put((batch.keys(), batch.payloads()))

    def take(self, count: int) -> tuple[list[bytes], list[bytes]]:
        """The next `count` keys and payloads."""
        while len(self._keys) < count:
            keys, payloads = self._chunks.get()
            self._keys += keys
            self._payloads += payloads
        taken = self._keys[:count], self._payloads[:count]
        del self._keys[:count], self._payloads[:count]
        return taken


def app_of(key: bytes) -> bytes:
    """The API key in a message's key, which is ``api key|shard``."""
    return key.rpartition(b"|")[0]


def text(app: bytes) -> str:
    """An API key in JSON: any bytes, and back by the same error handler."""
    return app.decode("utf-8", "surrogateescape")


def watched(apps: int) -> list[bytes]:
    """The keys of apps that are followed: neither the busiest, whose blocks are large, nor rare ones."""
    keys = Simulator(SEED, apps=apps).next_batch(SAMPLE).keys()
    ranks = [key for key, _ in Counter(map(app_of, keys)).most_common()]
    first = max(0, min(FROM, len(ranks) - WATCHED))
    return ranks[first : first + WATCHED]


class Devices:
    """The producer: sends, and notes what became of probes."""

    def __init__(self, brokers: str, topic: str, out: TextIO, apps: int, rate: int, seed: int) -> None:
        self._reports = Reports(apps, rate, seed)
        self._topic, self._out = topic, out
        self._watched = dict.fromkeys(watched(apps))
        self.sent: Counter[bytes] = Counter()  # of watched apps
        self.failed = self.total = 0
        self._producer = Producer(
            producer_config({"bootstrap.servers": brokers})
            | {"delivery.report.only.error": False, "on_delivery": self._failure}
        )

    def tick(self, count: int, due: float, *, probe: bool) -> None:
        """Hands over reports that are due now."""
        keys, payloads = self._reports.take(count)
        for key, payload in zip(keys, payloads, strict=True):
            app = app_of(key)
            if app in self._watched:
                self.sent[app] += 1
                if probe:
                    probe = False
                    self._produce(payload, key, lambda error, message: self._arrived(due, error, message))
                    continue
            self._produce(payload, key, None)
        self.total += count
        self._producer.poll(0)

    def _produce(self, payload: bytes, key: bytes, arrived: Any) -> None:
        while True:
            try:
                if arrived is None:
                    self._producer.produce(self._topic, payload, key)
                else:
                    self._producer.produce(self._topic, payload, key, on_delivery=arrived)
            except BufferError:
                self._producer.poll(0.01)
            else:
                return

    def _failure(self, error: Any, _message: Any) -> None:
        self.failed += error is not None

    def _arrived(self, due: float, error: Any, message: Any) -> None:
        self._failure(error, message)
        if error is None:
            line = {
                "due": due,
                "app": text(app_of(message.key())),
                "partition": message.partition(),
                "offset": message.offset(),
                "hour": message.timestamp()[1] // HOUR_MS,
            }
            self._out.write(json.dumps(line) + "\n")

    def finish(self) -> None:
        """Everything is acknowledged. Raises RuntimeError where a report was not."""
        self._producer.flush()
        self._out.flush()
        if self.failed:
            raise RuntimeError(f"{self.failed} reports were not taken by the brokers")

    def by_timetable(self, rate: float, seconds: float) -> dict[str, float]:
        """So many reports a second; how late ticks were, in milliseconds."""
        started, late, handed = time.monotonic(), [], 0
        for number in range(round(seconds / TICK)):
            due = started + number * TICK
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            wanted = round((number + 1) * TICK * rate)
            self.tick(wanted - handed, due, probe=number * TICK >= 1.0)
            handed = wanted
            late.append(time.monotonic() - due)
        late.sort()
        return {
            "seconds": time.monotonic() - started,
            "late_p50_ms": late[len(late) // 2] * 1e3,
            "late_p99_ms": late[len(late) * 99 // 100] * 1e3,
        }

    def beside(self, status: Path, ahead: int, seconds: float) -> dict[str, float]:
        """As fast as the consumer of that status file takes them."""
        started, before = time.monotonic(), self.total
        base, looked, taken = _taken(status), 0.0, 0
        while (now := time.monotonic()) - started < seconds:
            if now - looked >= 0.1:
                taken, looked = _taken(status) - base, now
            if self.total - before - taken < ahead:
                self.tick(CHUNK, now, probe=False)
            else:
                self._producer.poll(0.02)
        return {"seconds": time.monotonic() - started}


def _taken(status: Path) -> int:
    try:
        return int(json.loads(status.read_text(encoding="utf-8"))["records"])
    except FileNotFoundError:
        return 0


def main() -> None:
    """See the module's words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers")
    parser.add_argument("topic")
    parser.add_argument("file", type=Path)
    parser.add_argument("apps", type=int)
    parser.add_argument("--rate", type=float, default=20_000.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--beside", type=Path, metavar="STATUS")
    parser.add_argument("--ahead", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    with options.file.open("w", encoding="utf-8") as out:
        rate = max(1, round(options.rate))
        devices = Devices(options.brokers, options.topic, out, options.apps, rate, options.seed)
        print("ready", flush=True)
        for _ in sys.stdin:
            if options.beside is not None:
                found = devices.beside(options.beside, options.ahead, options.seconds)
            else:
                found = devices.by_timetable(options.rate, options.seconds)
            devices.finish()
            apps = {text(app): count for app, count in devices.sent.items()}
            print("done", json.dumps(found | {"sent": devices.total, "watched": apps}), flush=True)


if __name__ == "__main__":
    main()
