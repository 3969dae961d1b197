"""What is going on, from the outside: the manifest's growth, the portal's and the consumer's status files."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flurry_fast.demo.workspace import Workspace

RATE_WINDOW = 2.0  # seconds over which rates are taken
READ_SIZE = 1 << 20
KEY = re.compile(rb'"key": ?"([^"|]+)\|')  # of a manifest line; unreadable reports have no app in theirs


@dataclass(frozen=True)
class Sample:
    """One look. Counts only grow; `at` is seconds since the demo's first look."""

    at: float
    sent: int  # reports that the portal has answered with 200: Kafka has acknowledged them
    durable: int  # reports below the consumer group's commits: every sink has them
    absorbed: int  # reports folded, those read again after a kill included
    data_points: int
    unreadable: int
    flushes: int
    files: int
    blocks: int  # in the consumer's memory now
    up: bool  # whether the running consumer owns partitions and knows where it reads
    portal: bool = False  # whether it takes reports
    connections: int = 0  # of devices that are posting

    @property
    def lag(self) -> int:
        """Reports sent that are not durable yet."""
        return max(0, self.sent - self.durable)


@dataclass(frozen=True)
class Kill:
    """One kill -9 of the consumer. `at` as in `Sample`; `lag` reports were on their way at that moment."""

    at: float
    pid: int
    lag: int
    back_after: float | None = None  # seconds until the next process was reading


@dataclass
class _Totals:
    """What processes of the consumer that are gone had done, plus what the present one says."""

    before: dict[str, int] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)
    pid: int | None = None

    def update(self, pid: int, values: dict[str, int]) -> None:
        if pid != self.pid:
            self.before = {name: self.of(name) for name in self.before.keys() | self.now.keys()}
            self.pid = pid
        self.now = values

    def of(self, name: str) -> int:
        return self.before.get(name, 0) + self.now.get(name, 0)


class Watch:
    """Takes samples and remembers them."""

    COUNTED = ("records", "data_points", "unreadable", "flushes", "archive_files")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._began = time.monotonic()
        self._sent = 0
        self._apps: Counter[bytes] = Counter()
        self._manifest_read = 0
        self._durable: dict[str, int] = {}
        self._totals = _Totals()
        self._status: Mapping[str, Any] = {}
        self.samples: list[Sample] = []

    def now(self) -> float:
        """Seconds since the first look."""
        return time.monotonic() - self._began

    def sample(self, consumer_pid: int | None, portal_pid: int | None = None) -> Sample:
        """Looks once. `consumer_pid` and `portal_pid` are the processes that should be running."""
        self._count_sent()
        self._read_status(consumer_pid)
        portal = self.portal_status(portal_pid)
        sample = Sample(
            at=self.now(),
            sent=self._sent,
            durable=sum(self._durable.values()),
            absorbed=self._totals.of("records"),
            data_points=self._totals.of("data_points"),
            unreadable=self._totals.of("unreadable"),
            flushes=self._totals.of("flushes"),
            files=self._totals.of("archive_files"),
            blocks=int(self._status.get("blocks", 0)),
            up=self._status.get("pid") == consumer_pid and self._reads(),
            portal=portal.get("phase") == "running",
            connections=int(portal.get("open", 0)),
        )
        self.samples.append(sample)
        return sample

    def rate(self, name: str) -> float:
        """Growth of a count a second, over the last two seconds."""
        if len(self.samples) < 2:
            return 0.0
        last = self.samples[-1]
        first = next(sample for sample in self.samples if sample.at >= last.at - RATE_WINDOW)
        elapsed = last.at - first.at
        return float(getattr(last, name) - getattr(first, name)) / elapsed if elapsed > 0 else 0.0

    def busiest(self, apps: int) -> list[tuple[str, int]]:
        """The apps that sent most reports, by their keys on the messages."""
        return [(key.decode("utf-8", "replace"), reports) for key, reports in self._apps.most_common(apps)]

    def portal_status(self, pid: int | None) -> Mapping[str, Any]:
        """What the portal of that process says of itself; empty: nothing yet."""
        status = _status(self._workspace.portal_status)
        return status if pid is not None and status.get("pid") == pid else {}

    def _reads(self) -> bool:
        places = self._status.get("partitions", {}).values()
        return self._status.get("phase") == "running" and any(place.get("next") is not None for place in places)

    def _count_sent(self) -> None:
        try:
            with self._workspace.manifest.open("rb") as manifest:
                manifest.seek(self._manifest_read)
                while chunk := manifest.read(READ_SIZE):
                    self._sent += chunk.count(b"\n")
                    self._apps.update(KEY.findall(chunk))
                    self._manifest_read += len(chunk)
        except FileNotFoundError:
            return

    def _read_status(self, consumer_pid: int | None) -> None:
        status = _status(self._workspace.consumer_status)
        if not status:
            return
        if consumer_pid is not None and status.get("pid") != consumer_pid:
            return  # of a process that was killed
        self._status = status
        self._totals.update(status["pid"], {name: int(status.get(name, 0)) for name in self.COUNTED})
        for partition, at in status.get("partitions", {}).items():
            self._durable[partition] = max(self._durable.get(partition, 0), at.get("committed") or 0)


def _status(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found
