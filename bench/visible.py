"""When a report is visible in HBase: read there by a client that is not ours, while devices send by their timetable.

A report counts in the block of its app and the hour in which Kafka has it (the measure `reports`), and a block's cell
has for timestamp the offset E up to which it holds its partition's records (docs/exactness.md). So a report with offset
o is visible in a cell from the moment that a reader is given E > o. happybase reads the cells of the apps that are
followed over and over; the moment is that at which the answer is there. At the end every followed app's `reports` must
be just as many as were sent: a cell with a false E would be noticed by that.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import happybase

from bench.child import Child
from bench.devices import HOUR_MS, text
from bench.ground import Ground
from bench.kernels import NotEqual
from flurry_fast import reading
from flurry_fast._core import row_key, table_of
from flurry_fast.stores.hbase.tables import FAMILY
from flurry_fast.verify.blocks import parse_qualifier

READ_EVERY = 0.02  # seconds: how exact a moment is, and half a percent of a core here
OVERLAP = 120.0  # seconds of an hour in which reports of the last one may still come


class Probe(NamedTuple):
    """A report whose way was followed. `due`: monotonic seconds."""

    due: float
    app: str
    partition: int
    offset: int
    hour: int


def probes_of(file: Path) -> list[Probe]:
    """What bench.devices wrote, in order of time."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return sorted(Probe(line["due"], line["app"], line["partition"], line["offset"], line["hour"]) for line in lines)


Cell = tuple[str, int, int]  # app, hour, partition


class Reader:
    """Reads the cells of some apps on a thread of its own, as long as the context."""

    def __init__(self, ground: Ground, apps: Iterable[bytes]) -> None:
        self._ground, self._apps = ground, list(apps)
        self._ends: dict[Cell, tuple[list[float], list[int]]] = defaultdict(lambda: ([], []))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")
        self._failure: BaseException | None = None
        self.reads = 0

    def __enter__(self) -> Reader:
        store = self._ground.store()
        for hour in _hours(time.time()):
            store.admin.ensure(table_of(hour))  # there may be nothing in it yet
        store.close()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises what ended the thread."""
        if self._failure is not None:
            raise self._failure

    def seen(self, probe: Probe) -> float | None:
        """When it was visible (monotonic seconds); None: not yet."""
        found = self._ends.get((probe.app, probe.hour, probe.partition))
        if found is None:
            return None
        moments, ends = found
        at = bisect_right(ends, probe.offset)
        return moments[at] if at < len(ends) else None

    def _run(self) -> None:
        try:
            self._read_on()
        except BaseException as error:
            self._failure = error

    def _read_on(self) -> None:
        address = self._ground.address
        connection = happybase.Connection(address.host, address.port, timeout=60_000)
        try:
            while not self._stop.wait(READ_EVERY):
                for hour in _hours(time.time()):
                    self._read(connection, hour)
                self.reads += 1
        finally:
            connection.close()

    def _read(self, connection: Any, hour: int) -> None:
        rows = {row_key(app, hour): app for app in self._apps}
        table = connection.table(f"{self._ground.address.prefix}{table_of(hour)}")
        answer = table.rows(list(rows), columns=[FAMILY], include_timestamp=True)
        now = time.monotonic()
        for row, cells in answer:
            for column, (_, end) in cells.items():
                partition = parse_qualifier(column.removeprefix(FAMILY + b":"))[2]
                moments, ends = self._ends[text(rows[row]), hour, partition]
                if not ends or end > ends[-1]:
                    moments.append(now)
                    ends.append(end)


def _hours(now: float) -> Iterator[int]:
    hour, into = divmod(now, HOUR_MS / 1000)
    yield int(hour)
    if into < OVERLAP:
        yield int(hour) - 1


def check_counted(ground: Ground, sent: dict[str, int]) -> int:
    """Every followed app has as many `reports` as were sent; how many that were. Raises NotEqual."""
    store = ground.store()
    try:
        found = {app: _reports(store, app) for app in sent}
    finally:
        store.close()
    wrong = {app: (found[app], count) for app, count in sent.items() if found[app] != count}
    if wrong:
        raise NotEqual(f"HBase has other counters of reports than were sent (app: found, sent): {wrong}")
    return sum(sent.values())


def _reports(store: Any, app: str) -> int:
    table = reading.counters(store, app.encode("utf-8", "surrogateescape"))
    return sum(table.column("reports").to_pylist())


@contextmanager
def devices(ground: Ground, folder: Path, apps: int, *words: str) -> Iterator[tuple[Child, Path]]:
    """Devices that are ready to send (see bench.devices), and the file of their probes."""
    file = folder / "probes.jsonl"
    bootstrap = ground.settings["kafka.bootstrap"]
    argv = (bootstrap, ground.topic, str(file), str(apps), *words)
    with Child.python("devices", "bench.devices", *argv, pinned=False) as child:
        child.expect("ready")
        yield child, file


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that so many of them do not exceed; `values` in order, not empty."""
    return values[min(len(values) - 1, int(share * len(values)))]


@dataclass(frozen=True)
class Latency:
    """Of a stretch of probes, in seconds from when they were due until they were visible."""

    probes: int
    p50: float
    p99: float
    p999: float
    most: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latency:
        """At least one."""
        found = sorted(seconds)
        return cls(len(found), quantile(found, 0.5), quantile(found, 0.99), quantile(found, 0.999), found[-1])
