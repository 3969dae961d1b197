"""What everybody on the machine takes while a consumer works: a sample a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.consumer import Consumer
from flurry_fast.stack import processes

CONSUMER = "consumer"
TITLES = {
    CONSUMER: "flurry-fast consume",
    "kafka": "Kafka broker",
    "nn": "HDFS NameNode",
    "dn": "HDFS DataNode",
    "hmaster": "HBase master and region server",
    "thrift": "HBase gateway",
    "devices": "simulated devices",
}


@dataclass(frozen=True)
class Sample:
    """One moment. `seconds`: monotonic; `written`: of the status file that the totals are from (time of day).

    `durable`: records of the topic that every sink has; `cpu`: seconds so far by process; `busy`: of all cores
    together, whoever had them; bytes.
    """

    seconds: float
    written: float
    records: int
    points: int
    durable: int
    flushes: int
    archive_files: int
    buffers: int
    resident: int
    cpu: dict[str, float]
    busy: float


class Watch:
    """Looks at a consumer, its servers and, if there are some, the devices."""

    def __init__(
        self, consumer: Consumer, total: Callable[[], int], devices: Callable[[], float] | None = None
    ) -> None:
        """`total`: records of the topic, now. `devices`: their CPU seconds so far."""
        self._consumer, self._total, self._devices = consumer, total, devices
        self._servers = processes.find_all(consumer.ground.stack.folder)
        self.samples: list[Sample] = []

    def look(self) -> Sample | None:
        """One sample, kept; None before the consumer's first status. Raises ProcessFailed."""
        status = self._consumer.status()
        if not status:
            return None
        cpu = {CONSUMER: self._consumer.cpu_seconds()}
        for server in self._servers:
            usage = processes.usage(server)
            cpu[server.name] = usage.cpu if usage is not None else 0.0
        if self._devices is not None:
            cpu["devices"] = self._devices()
        known = self._consumer.partitions(status) == self._consumer.ground.partitions
        sample = Sample(
            seconds=time.monotonic(),
            written=status["time"],
            records=status["records"],
            points=status["data_points"],
            durable=max(0, self._total() - status["lag"]) if known else 0,
            flushes=_sum(status, "flushes"),
            archive_files=_sum(status, "archive_files"),
            buffers=status["memory"],
            resident=self._consumer.resident(),
            cpu=cpu,
            busy=_busy(),
        )
        self.samples.append(sample)
        return sample

    def until(self, done: Callable[[Sample], bool], seconds: float, every: float = 1.0) -> Sample:
        """Looks every so many seconds until a sample will do. Raises ProcessFailed where none does in `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            sample = self.look()
            if sample is not None and done(sample):
                return sample
            if time.monotonic() > deadline:
                raise self._consumer.failure(f"did not come to what was waited for in {seconds:g} s: {sample}")
            time.sleep(every)

    def resident_of_servers(self) -> dict[str, int]:
        """Bytes, most of all times."""
        usages = {server.name: processes.usage(server) for server in self._servers}
        return {name: usage.peak for name, usage in usages.items() if usage is not None}


def _sum(status: dict[str, Any], name: str) -> int:
    return int(status.get(name, 0))


def _busy() -> float:
    """Seconds that all cores together were not idle."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(field) for field in fields)
    return (user + nice + system + irq + softirq + steal) / 100


def title(process: str) -> str:
    """Of a process of the stack, for people."""
    return TITLES.get(process) or TITLES.get(process.rstrip("0123456789"), process)


def shares(first: Sample, last: Sample) -> list[dict[str, Any]]:
    """A row a process: what it took between two samples, the most first; then all the others of the machine."""
    records, seconds = max(1, last.records - first.records), last.seconds - first.seconds
    spent = {name: last.cpu[name] - first.cpu[name] for name in last.cpu}
    spent["others"] = max(0.0, last.busy - first.busy - sum(spent.values()))
    return [
        {
            "name": name,
            "title": title(name) if name != "others" else "everything else on the machine",
            "cpu_s": cpu,
            "cores": cpu / seconds,
            "us_per_report": cpu / records * 1e6,
        }
        for name, cpu in sorted(spent.items(), key=lambda item: (item[0] == "others", -item[1]))
    ]


def series(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """For charts: rates between samples, and memory."""
    found = []
    for before, sample in pairwise(samples):
        span = sample.written - before.written
        if span <= 0:
            continue  # the status file has not been written since
        found.append(
            {
                "seconds": round(sample.seconds - samples[0].seconds, 2),
                "million_points_per_s": (sample.points - before.points) / span / 1e6,
                "resident_mb": sample.resident / 1e6,
                "buffers_mb": sample.buffers / 1e6,
                "records": sample.records,
                "durable": sample.durable,
            }
        )
    return found
