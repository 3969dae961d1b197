"""Prometheus metrics of one portal process, read from its state at every scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from flurry_fast._core import PORTAL_LATENCY_BOUNDS
from flurry_fast.portal.state import PortalState

# name -> (kind, labels, what it says): everything that is exported; docs/portal.md has the same table.
PORTAL_METRICS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "portal_reports": ("counter", ("outcome",), "Requests to store a report, by how they ended."),
    "portal_unreadable": ("counter", (), "Reports that were stored although CRC or envelope can not be read."),
    "portal_stored_bytes": ("counter", (), "Bytes of the bodies that Kafka acknowledged."),
    "portal_connections": ("counter", (), "Connections that were accepted."),
    "portal_open_connections": ("gauge", (), "Connections that are open."),
    "portal_garbled_connections": ("counter", (), "Connections that ended before a request could be read."),
    "portal_accept_errors": ("counter", (), "Times that the system gave no connection (too many open files?)."),
    "portal_memory_bytes": ("gauge", (), "Bytes held, of portal.memory."),
    "portal_pending": ("gauge", (), "Reports that were sent to Kafka and have no fate yet."),
    "portal_kafka_up": ("gauge", (), "1: a broker can be reached; 0: nothing is stored."),
    "portal_answer_seconds": ("histogram", (), "From a request's head to 200."),
}
PREFIX = "flurry_fast_"


class PortalMetrics(Collector):
    """Everything in PORTAL_METRICS, for one process."""

    def __init__(self, state: PortalState) -> None:
        self._state = state
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        stats = self._state.stats
        values: dict[str, Any] = {
            "portal_unreadable": stats.get("unreadable", 0),
            "portal_stored_bytes": stats.get("stored_bytes", 0),
            "portal_connections": stats.get("accepted", 0),
            "portal_open_connections": stats.get("open", 0),
            "portal_garbled_connections": stats.get("garbled", 0),
            "portal_accept_errors": stats.get("accept_errors", 0),
            "portal_memory_bytes": stats.get("memory", 0),
            "portal_pending": stats.get("pending", 0),
            "portal_kafka_up": not self._state.down,
        }
        for name, (kind, labels, text) in PORTAL_METRICS.items():
            if kind == "histogram":
                yield self._answers(PREFIX + name, text)
                continue
            make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            family = make(PREFIX + name, text, labels=labels)
            if labels:
                for outcome, count in stats.get("outcomes", {}).items():
                    family.add_metric([outcome], count)
            else:
                family.add_metric([], values[name])
            yield family

    def _answers(self, name: str, text: str) -> HistogramMetricFamily:
        counts, total, buckets = self._state.stats.get("answers", []), 0, []
        for bound, count in zip([*map(str, PORTAL_LATENCY_BOUNDS), "+Inf"], counts, strict=bool(counts)):
            total += count
            buckets.append((bound, float(total)))
        family = HistogramMetricFamily(name, text)
        family.add_metric([], buckets or [("+Inf", 0.0)], self._state.stats.get("answer_seconds", 0.0))
        return family
