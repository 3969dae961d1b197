"""Prometheus metrics and the health page of one consumer. Values are read from its monitor at every scrape."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flurry_fast.config.model import Metrics as MetricsSettings
from flurry_fast.consumer.monitor import Monitor
from flurry_fast.errors import FlurryFastError
from flurry_fast.ports import Clock
from flurry_fast.sinks.base import FlushReport

# name -> (kind, labels, what it says): everything that is exported; docs/operations.md has the same table.
METRICS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "records": ("counter", (), "Records taken from the log."),
    "payload_bytes": ("counter", (), "Bytes of their payloads."),
    "sessions": ("counter", (), "Sessions that were counted."),
    "duplicate_sessions": ("counter", (), "Sessions that came before, and were not counted again."),
    "superseded_sessions": (
        "counter",
        (),
        "The same, but longer than when they came last: counters keep what they have.",
    ),
    "recalled": ("counter", (), "Records below the counters' position, read to know their sessions again."),
    "known_sessions_bytes": ("gauge", (), "Memory for the sessions that are known again."),
    "data_points": ("counter", (), "Sessions, event occurrences and error records that were counted."),
    "unreadable": ("counter", ("reason",), "Records that can not be read: counted and archived by reason."),
    "base_reads": ("counter", (), "Stored blocks that were asked for before counting."),
    "flushes": ("counter", ("sink",), "Flushes and files that became durable."),
    "flush_failures": ("counter", ("sink",), "Attempts that were not acknowledged."),
    "written_rows": ("counter", ("sink",), "Counter blocks, and reports in archive files, that became durable."),
    "written_bytes": ("counter", ("sink",), "Bytes of those blocks, and of those reports as they came."),
    "commits": ("counter", (), "Commits that the broker confirmed, by partition."),
    "commit_failures": ("counter", (), "Commits that failed; they are tried again."),
    "rebalances": ("counter", ("kind",), "Times that partitions were assigned, revoked or lost."),
    "incomplete_drains": ("counter", (), "Revokes that could not write everything in time; it is read again."),
    "packed_blocks": ("counter", (), "Times that a block's counters were put away as bytes because memory was short."),
    "evicted_blocks": ("counter", (), "Clean blocks that left memory."),
    "sheds": ("counter", (), "Times that a sink that can not write gave up its buffers."),
    "native_drain": ("gauge", (), "1: records come through the native drain; 0: through the slow fallback."),
    "memory_bytes": ("gauge", (), "Bytes held, of the budget."),
    "held_bytes": ("gauge", ("kind",), "The same by what holds them."),
    "memory_budget_bytes": ("gauge", (), "The budget."),
    "paused_partitions": ("gauge", (), "Partitions paused because memory is full."),
    "assigned_partitions": ("gauge", (), "Partitions that are ours."),
    "stopped_partitions": ("gauge", (), "Partitions that a sink takes nothing more of: look at the log."),
    "waiting_partitions": ("gauge", (), "Partitions that can not be started yet."),
    "durable_offset": ("gauge", ("partition", "sink"), "Everything below is durable in the sink."),
    "committed_offset": ("gauge", ("partition",), "What this process committed last."),
    "lag_records": ("gauge", ("partition",), "Records in the log that are not durable in every sink."),
    "lag_seconds": ("gauge", ("partition",), "How long the oldest of them has been in the log, as seen from here."),
    "oldest_unwritten_seconds": ("gauge", ("sink",), "Age of the oldest record that was taken and is not durable."),
    "failing_seconds": ("gauge", ("sink",), "For how long the sink has not written anything successfully."),
    "last_turn_seconds": ("gauge", (), "Time since the loop turned."),
    "healthy": ("gauge", (), "1: progress is made; 0: /health says what is wrong."),
    "flush_seconds": ("histogram", ("sink", "result"), "Duration of an attempt, failures too."),
}
PREFIX = "flurry_fast_"


class Metrics(Collector):
    """Everything in METRICS, for one consumer. No global registry: two consumers in a process do not meet."""

    def __init__(self, monitor: Monitor, clock: Clock) -> None:
        self._monitor = monitor
        self._clock = clock
        self._written = {"rows": Counter[str](), "bytes": Counter[str]()}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._flush_seconds = Histogram(
            PREFIX + "flush_seconds",
            METRICS["flush_seconds"][2],
            METRICS["flush_seconds"][1],
            registry=self.registry,
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )

    def observe(self, report: FlushReport) -> None:
        """A sink's attempt to write."""
        self._flush_seconds.labels(report.sink, "ok" if report.ok else "failed").observe(report.seconds)
        if report.ok:
            self._written["rows"][report.sink] += report.rows
            self._written["bytes"][report.sink] += report.bytes

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        values = self._values()
        for name, (kind, labels, text) in METRICS.items():
            if kind == "histogram":
                continue
            make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            family = make(PREFIX + name, text, labels=labels)
            for label_values, value in values[name]:
                family.add_metric(label_values, value)
            yield family

    def _values(self) -> dict[str, list[tuple[list[str], float]]]:
        monitor, state, now = self._monitor, self._monitor.state, self._clock.monotonic()
        partitions = {str(number): partition for number, partition in state.partitions.items()}

        def one(value: float) -> list[tuple[list[str], float]]:
            return [([], value)]

        def since(moment: float | None) -> float:
            return now - moment if moment is not None else 0.0

        return {
            "records": one(state.records),
            "payload_bytes": one(state.payload_bytes),
            "sessions": one(state.engine.get("sessions", 0)),
            "duplicate_sessions": one(state.engine.get("duplicates", 0)),
            "superseded_sessions": one(state.engine.get("superseded", 0)),
            "recalled": one(state.engine.get("recalled", 0)),
            "known_sessions_bytes": one(state.memory.get("dedup", 0)),
            "data_points": one(state.engine.get("data_points", 0)),
            "unreadable": [([reason], count) for reason, count in state.unreadable.items()],
            "base_reads": one(state.engine.get("base_reads", 0)),
            "flushes": [([sink.name], sink.flushes) for sink in state.sinks],
            "flush_failures": [([sink.name], sink.failures) for sink in state.sinks],
            **{
                f"written_{what}": [([sink.name], written[sink.name]) for sink in state.sinks]
                for what, written in self._written.items()
            },
            "commits": one(state.commits),
            "commit_failures": one(state.commit_failures),
            "rebalances": [([kind], state.rebalances.get(kind, 0)) for kind in ("assigned", "revoked", "lost")],
            "incomplete_drains": one(state.incomplete_drains),
            "packed_blocks": one(state.engine.get("blocks_packed", 0)),
            "evicted_blocks": one(state.evicted),
            "sheds": one(state.sheds),
            "native_drain": one(state.native_drain),
            "memory_bytes": one(state.used),
            "held_bytes": [([kind], size) for kind, size in state.held.items()],
            "memory_budget_bytes": one(monitor.budget),
            "paused_partitions": one(state.paused),
            "assigned_partitions": one(len(partitions)),
            "stopped_partitions": one(sum(bool(partition.stopped) for partition in partitions.values())),
            "waiting_partitions": one(sum(partition.waiting_for is not None for partition in partitions.values())),
            "durable_offset": [
                ([number, sink], offset)
                for number, partition in partitions.items()
                for sink, offset in partition.durable.items()
                if offset is not None
            ],
            "committed_offset": [
                ([number], partition.committed)
                for number, partition in partitions.items()
                if partition.committed is not None
            ],
            "lag_records": [([str(number)], lag) for number, lag in monitor.lag().items() if lag is not None],
            "lag_seconds": [([str(number)], seconds) for number, seconds in monitor.lag_seconds().items()],
            "oldest_unwritten_seconds": [([sink.name], since(sink.oldest_unwritten)) for sink in state.sinks],
            "failing_seconds": [([sink.name], since(sink.failing_since)) for sink in state.sinks],
            "last_turn_seconds": one(since(state.turned) if state.turned else 0.0),
            "healthy": one(not monitor.problems()),
        }


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """A scrape is not news."""


def serve(settings: MetricsSettings, metrics: Metrics, monitor: Monitor) -> Callable[[], None]:
    """`serve_pages` of one consumer."""
    return serve_pages(settings, metrics.registry, monitor.problems)


def serve_pages(
    settings: MetricsSettings, registry: CollectorRegistry, problems: Callable[[], list[str]]
) -> Callable[[], None]:
    """Serve /metrics and /health (200 or 503, with the problems as JSON); a function that stops it.

    Raises FlurryFastError when the address can not be had.
    """
    exporter = make_wsgi_app(registry)

    def app(environ: dict[str, Any], respond: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/health":
            found = problems()
            respond("503 Service Unavailable" if found else "200 OK", [("Content-Type", "application/json")])
            return [json.dumps({"healthy": not found, "problems": found}).encode() + b"\n"]
        return exporter(environ, respond)  # type: ignore[no-any-return]

    try:
        server = make_server(settings.host, settings.port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise FlurryFastError(
            f"Metrics can not be served on {settings.host}:{settings.port}: {error.strerror}.",
            way_out="Set metrics.port to a free port, or to 0.",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="flurry-fast-metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return stop
