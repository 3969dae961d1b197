"""A run with its target: what `flurry-fast simulate` does once its options are understood."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from flurry_fast.agent.manifest import ManifestWriter
from flurry_fast.agent.producer import Deliveries, ReportProducer
from flurry_fast.agent.run import Bounds, FileTarget, Progress, Target, run
from flurry_fast.agent.simulator import Fleet, FleetSettings
from flurry_fast.agent.throttle import CommitThrottle
from flurry_fast.agent.watch import State, Watcher
from flurry_fast.config.model import Kafka
from flurry_fast.errors import FlurryFastError
from flurry_fast.kafka import Cluster, KafkaUnavailable, client_config

DEFAULT_REPORTS = 100_000


class DeliveryFailed(FlurryFastError):
    """Not every report reached the broker."""


class OutputFailed(FlurryFastError):
    """The file or the manifest cannot be written."""


@dataclass(frozen=True)
class Summary:
    """What a run did. `deliveries` is None for a file, `waited` (seconds for the throttle's group) without Kafka or
    without a throttle, `http` (what the devices saw) without a portal."""

    progress: Progress
    fleet: FleetSettings
    captures: int
    interrupted: bool
    deliveries: Deliveries | None = None
    waited: float | None = None
    http: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        progress, deliveries = self.progress, self.deliveries
        summary: dict[str, Any] = {
            "reports": progress.reports,
            "captures": self.captures,
            "bytes": progress.payload_bytes,
            "seconds": round(progress.seconds, 3),
            "reports_per_second": round(progress.rate, 1),
            "interrupted": self.interrupted,
            "seed": self.fleet.seed,
            "start_ms": self.fleet.start_ms,
        }
        if deliveries is not None:
            summary |= {
                "acked": deliveries.acked,
                "failed": deliveries.failed,
                "errors": deliveries.errors,
            }
        if self.http is not None:
            waited = {} if self.waited is None else {"throttled_seconds": round(self.waited, 3)}
            return summary | waited | {"http": self.http}
        if deliveries is not None:
            summary |= {
                "foreign_offsets": deliveries.foreign,
                "throttled_seconds": round(self.waited or 0.0, 3),
            }
        return summary

    def check(self) -> None:
        """Raises DeliveryFailed if a report failed, or is neither acknowledged nor failed."""
        deliveries = self.deliveries
        if deliveries is None:
            return
        if deliveries.failed:
            errors = ", ".join(f"{count:,} {name}" for name, count in sorted(deliveries.errors.items()))
            said = self.http["trouble"] if self.http else None
            why = f"; the last connection that failed: {said}" if said else ""
            raise DeliveryFailed(f"{deliveries.failed:,} of {deliveries.produced:,} reports failed ({errors}){why}.")
        if deliveries.acked != deliveries.produced:
            raise DeliveryFailed(f"{deliveries.produced - deliveries.acked:,} reports have an unknown fate.")


@dataclass(frozen=True)
class Job:
    """Reports of `fleet`, after those of the captures folder if there is one."""

    fleet: FleetSettings
    captures: Path | None
    bounds: Bounds

    @property
    def total(self) -> int | None:
        """Simulated reports that will be sent, if known beforehand."""
        return self.bounds.reports

    def run(self, stopped: Callable[[], bool], watcher: Watcher) -> Summary:
        """Send; returns when all is where it belongs. Raises FlurryFastError."""
        raise NotImplementedError

    def _make_fleet(self) -> Fleet:
        """First of all, so that nothing is touched by a run that is refused. Raises FleetRefused."""
        return Fleet(self.fleet, self.captures)

    def _send(
        self, fleet: Fleet, target: Target, over: Callable[[], bool], watch: Callable[[Progress], None]
    ) -> Summary:
        progress = run(fleet, target, self.bounds, over=over, watch=watch)
        return Summary(progress, self.fleet, fleet.captures, interrupted=False)


@dataclass(frozen=True)
class FileJob(Job):
    """To a file of framed reports; `-` is standard output. With a manifest file if one is given."""

    out: Path
    manifest: Path | None = None

    def run(self, stopped: Callable[[], bool], watcher: Watcher) -> Summary:
        """Raises OutputFailed, FleetRefused."""

        def watch(progress: Progress) -> None:
            if watcher.due():
                watcher.show(State(progress.reports, progress.payload_bytes, progress.seconds))

        fleet = self._make_fleet()
        over = self.bounds.over(stopped)
        try:
            with ExitStack() as stack:
                manifest = stack.enter_context(ManifestWriter(self.manifest)) if self.manifest else None
                to_stdout = str(self.out) == "-"
                out = sys.stdout.buffer if to_stdout else stack.enter_context(self.out.open("wb"))
                summary = self._send(fleet, FileTarget(out, manifest), over, watch)
            done = summary.progress
            watcher.show(State(done.reports, done.payload_bytes, done.seconds))
        except OSError as error:
            raise OutputFailed(f"{error.filename or self.out} can not be written ({error.strerror}).") from None
        return replace(summary, interrupted=stopped())


@dataclass(frozen=True)
class KafkaJob(Job):
    """To a topic; with a manifest file, and not faster than `throttle_group` commits, if they are given."""

    kafka: Kafka
    manifest: Path | None
    throttle_group: str | None
    throttle_bytes: int

    def run(self, stopped: Callable[[], bool], watcher: Watcher) -> Summary:
        """Raises OutputFailed, FleetRefused, KafkaUnavailable, TopicMissing, BrokerNotRunning."""
        fleet = self._make_fleet()
        config = client_config(self.kafka)
        topic = Cluster(self.kafka).describe()
        try:
            with ExitStack() as stack:
                throttle = open_throttle(self.kafka, self.throttle_group, self.throttle_bytes, stack)
                manifest = stack.enter_context(ManifestWriter(self.manifest)) if self.manifest else None
                view = View(watcher, throttle)
                over = self.bounds.over(stopped)
                producer = ReportProducer(
                    config,
                    topic.name,
                    manifest=manifest,
                    throttle=throttle,
                    stopped=over,
                    waits=view.waits,
                    embedded=self.kafka.bootstrap is None,
                )
                summary = self._send(
                    fleet, producer, over, lambda progress: view.moves(progress, producer.deliveries.acked)
                )
                view.ends()
        except KafkaException as error:
            raise KafkaUnavailable(f"Reports can not be sent to {topic.name}: {error.args[0].str()}.") from None
        except OSError as error:
            raise OutputFailed(f"{error.filename or self.manifest} can not be written ({error.strerror}).") from None
        waited = throttle.waited if throttle else 0.0
        return replace(summary, interrupted=stopped(), deliveries=producer.deliveries, waited=waited)


def open_throttle(kafka: Kafka, group: str | None, max_bytes: int, stack: ExitStack) -> CommitThrottle | None:
    """One that `stack` closes; None without a group. Raises KafkaUnavailable, TopicMissing, BrokerNotRunning,
    KafkaException."""
    if group is None:
        return None
    topic = Cluster(kafka).describe()
    throttle = CommitThrottle(client_config(kafka), topic.name, topic.partitions, group, max_bytes)
    stack.callback(throttle.close)
    return throttle


class View:
    """What a watcher hears of a run to Kafka or to a portal."""

    def __init__(self, watcher: Watcher, throttle: CommitThrottle | None) -> None:
        self._watcher = watcher
        self._throttle = throttle
        self._progress = Progress()
        self._acked = 0

    def moves(self, progress: Progress, acked: int) -> None:
        """After every chunk; `acked`: reports that are acknowledged so far."""
        self._progress, self._acked = progress, acked
        if self._watcher.due():
            self._watcher.show(self._state())

    def waits(self) -> None:
        """While the throttle's group, or room, is waited for."""
        if self._watcher.due():
            self._watcher.show(self._state(self._throttle.group if self._throttle else None))

    def ends(self) -> None:
        """When all is over."""
        self._watcher.show(self._state())

    def _state(self, waiting_for: str | None = None) -> State:
        progress = self._progress
        lag = self._throttle.lag if self._throttle else None
        return State(progress.reports, progress.payload_bytes, progress.seconds, self._acked, lag, waiting_for)
