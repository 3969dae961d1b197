"""`flurry-fast consume` under measurement: its status file, its metrics, what its processes take."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench.ground import Ground
from bench.processes import Process, ProcessFailed, family, family_seconds, memory_bytes
from flurry_fast.stack.ports import is_free

START_SECONDS = 120.0
LOOK_SECONDS = 0.2


class Consumer(Process):
    """One, or several workers under their supervisor. Ends with `end` (in order) or `kill`."""

    def __init__(self, folder: Path, ground: Ground, settings: Mapping[str, str] | None = None) -> None:
        """`settings` over those of the ground."""
        self.ground = ground
        self.status_file = folder / "status.json"
        self.status_file.unlink(missing_ok=True)
        given = ground.settings | dict(settings or {})
        self.workers = int(given.get("consume.workers", 1))
        port = _free_ports(self.workers + 1)
        self._ports = [port] if self.workers == 1 else [port + number + 1 for number in range(self.workers)]
        own = {"consume.status_file": str(self.status_file), "metrics.port": str(port)}
        super().__init__(folder, "consume", given | own)

    def status(self) -> dict[str, Any]:
        """The newest one of this very process; empty before the first. Raises ProcessFailed if it has ended."""
        self.check()
        try:
            found: dict[str, Any] = json.loads(self.status_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found if found["pid"] == self.pid else {}

    def partitions(self, status: Mapping[str, Any]) -> int:
        """How many it has begun."""
        held = status.get("partitions", 0)
        return held if isinstance(held, int) else sum(item["next"] is not None for item in held.values())

    def until(self, done: Callable[[dict[str, Any]], bool], what: str, seconds: float) -> dict[str, Any]:
        """Waits for a status; that status. Raises ProcessFailed after so many seconds."""
        deadline = time.monotonic() + seconds
        while not done(status := self.status()):
            if time.monotonic() > deadline:
                raise self.failure(f"did not come to this within {seconds:g} s: {what}; {_short(status)}")
            time.sleep(LOOK_SECONDS)
        return status

    def until_reading(self, seconds: float = START_SECONDS) -> None:
        """Until all partitions of the topic are its own, and each worker has some. Raises ProcessFailed."""

        def done(status: dict[str, Any]) -> bool:
            workers = status.get("workers", {}).values()
            shared = all(worker["steady"] and worker["partitions"] for worker in workers)
            return shared and self.partitions(status) == self.ground.partitions

        self.until(done, "all partitions begun", seconds)

    def until_durable(self, records: int, seconds: float) -> dict[str, Any]:
        """Until so many records were taken, by this process, and none of the topic is not durable."""

        def done(status: dict[str, Any]) -> bool:
            return status.get("records", 0) >= records and status["lag"] == 0

        return self.until(done, f"{records:,} records taken, and no lag", seconds)

    def places(self, status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """By partition: where it stands, as the status file has it; of all workers. Raises ProcessFailed."""
        if self.workers == 1:
            return dict(status.get("partitions", {}))
        found: dict[str, dict[str, Any]] = {}
        for worker in status.get("workers", {}).values():
            with suppress(FileNotFoundError):
                found |= json.loads(Path(worker["status_file"]).read_text(encoding="utf-8"))["partitions"]
        return found

    def until_counted(self, seconds: float) -> None:
        """Until every record that is in the topic now is in the counters' store; the archive may take a minute more.

        Raises ProcessFailed.
        """
        asked = time.time() + 1.5  # what it says of the log's end may be older than what it was asked

        def done(status: dict[str, Any]) -> bool:
            places = self.places(status)
            if status.get("time", 0.0) < asked or len(places) < self.ground.partitions:
                return False
            return all(place["counters"] == place["log_end"] for place in places.values())

        self.until(done, "everything counted", seconds)

    def metrics(self) -> Counter[str]:
        """Sums over all workers: by name, and `name sink` where it is of a sink."""
        found: Counter[str] = Counter()
        for port in self._ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                text = answer.read().decode()
            for each in text_string_to_metric_families(text):
                for sample in each.samples:
                    sink = sample.labels.get("sink")
                    name = sample.name.removeprefix("flurry_fast_").removesuffix("_total")
                    found[f"{name} {sink}" if sink else name] += int(sample.value)
        return found

    def cpu_seconds(self) -> float:
        """Of all its processes, and of those that it replaced."""
        return family_seconds(self.pid)

    def resident(self) -> int:
        """VmRSS of all its processes, bytes. Raises ProcessFailed."""
        self.check()
        try:
            return sum(memory_bytes(pid, "VmRSS") for pid in family(self.pid))
        except OSError as error:
            raise ProcessFailed(str(error)) from None


def _free_ports(count: int) -> int:
    """The first of so many that nobody listens on just now."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        if first + count < 65536 and all(is_free(first + more) for more in range(1, count)):
            return first


def _short(status: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {status[name]}" for name in ("phase", "records", "lag", "problems") if name in status)
