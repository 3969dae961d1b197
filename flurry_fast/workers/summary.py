"""What all workers do, as one JSON object, as metrics, and as health."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flurry_fast.ports import Clock
from flurry_fast.status_file import rewrite
from flurry_fast.workers.supervisor import Slot, Supervisor, is_steady

SUMS = ("records", "bytes", "sessions", "data_points", "unreadable", "flush_failures", "memory", "lag", "paused")
RATES = ("records_per_second", "data_points_per_second")

# name -> (kind, labels, what it says): what the supervisor exports; docs/operations.md has the same table.
WORKER_METRICS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "workers": ("gauge", (), "Workers that should run."),
    "worker_up": ("gauge", ("worker",), "1: its process runs."),
    "worker_steady": ("gauge", ("worker",), "1: it is a member of its group and has begun all its partitions."),
    "worker_healthy": ("gauge", ("worker",), "1: it makes progress; 0: its own /health says what is wrong."),
    "worker_unasked_ends": ("counter", ("worker",), "Times that it ended and nobody had asked it to."),
}
PREFIX = "flurry_fast_"


class Summary(Collector):
    """Reads the workers' status files each time it is asked."""

    def __init__(self, supervisor: Supervisor, clock: Clock, path: Path | None) -> None:
        """`path`: the file that `write` rewrites; None: none."""
        self._supervisor, self._clock, self._path = supervisor, clock, path
        self._written_at = float("-inf")
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def problems(self) -> list[str]:
        """Why the workers together are not well; empty: they are."""
        return [problem for slot in self._supervisor.slots for problem in _problems(slot)]

    def status(self) -> dict[str, Any]:
        """One JSON object; totals are of the workers' present processes."""
        supervisor, problems = self._supervisor, self.problems()
        statuses = [slot.status or {} for slot in supervisor.slots]
        phase = "stopping" if supervisor.stopping else "replacing" if supervisor.replacing else "running"
        return {
            "pid": os.getpid(),
            "time": round(self._clock.time(), 3),
            "phase": phase,
            "replacing": supervisor.replacing,
            "healthy": not problems,
            "problems": problems,
            **{key: sum(status.get(key, 0) for status in statuses) for key in SUMS},
            **{key: round(sum(status.get(key, 0.0) for status in statuses), 1) for key in RATES},
            "lag_seconds": max((status.get("lag_seconds", 0.0) for status in statuses), default=0.0),
            "partitions": sum(len(status.get("partitions", {})) for status in statuses),
            "workers": {slot.member.name: _worker(slot) for slot in supervisor.slots},
        }

    def write(self) -> None:
        """Rewrite the file, once a second at most."""
        now = self._clock.monotonic()
        if self._path is None or now - self._written_at < 1.0:
            return
        self._written_at = now
        rewrite(self._path, self.status(), structlog.get_logger("flurry_fast.workers"))

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        slots = self._supervisor.slots
        values: dict[str, Callable[[Slot], float]] = {
            "worker_up": lambda slot: slot.process is not None,
            "worker_steady": lambda slot: is_steady(slot.status),
            "worker_healthy": lambda slot: not _problems(slot),
            "worker_unasked_ends": lambda slot: slot.record.ends,
        }
        for name, (kind, labels, text) in WORKER_METRICS.items():
            make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            family = make(PREFIX + name, text, labels=labels)
            if name == "workers":
                family.add_metric([], len(slots))
            else:
                for slot in slots:
                    family.add_metric([slot.member.name], values[name](slot))
            yield family


def _problems(slot: Slot) -> list[str]:
    name, status = slot.member.name, slot.status
    if slot.process is None:
        return [f"Worker {name} is down."]
    if status is None:
        return [f"Worker {name} is starting."]
    return [f"Worker {name}: {problem}" for problem in status.get("problems", [])]


def _worker(slot: Slot) -> dict[str, Any]:
    status = slot.status or {}
    return {
        "pid": None if slot.process is None else slot.process.pid,
        "steady": is_steady(slot.status),
        "unasked_ends": slot.record.ends,
        "last_exit_code": slot.last_code,
        "status_file": str(slot.member.status_file),
        "phase": status.get("phase", "down" if slot.process is None else "starting"),
        "healthy": not _problems(slot),
        "records": status.get("records", 0),
        "lag": status.get("lag", 0),
        "partitions": sorted(int(number) for number in status.get("partitions", {})),
    }
