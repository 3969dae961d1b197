"""Watches the loop from a thread of its own, so that what it shows still moves when nothing else does.

Once a second it asks the broker for the log's ends, works out lag and health, and writes the status file. Metrics read
the same values at every scrape.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from flurry_fast.consumer.health import problems
from flurry_fast.consumer.state import STARTING, LoopState
from flurry_fast.errors import FlurryFastError
from flurry_fast.ports import Clock
from flurry_fast.status_file import rewrite

LAG_SAMPLES = 900  # seconds of the log's growth that are remembered, per partition


class Monitor:
    """State, lag and health of one consumer. `publish` is for the loop; everything else from any thread."""

    def __init__(
        self,
        clock: Clock,
        log_ends: Callable[[set[int]], Mapping[int, int]],
        *,
        bound: float,
        status_file: Path | None = None,
        budget: int = 0,
    ) -> None:
        """`log_ends(partitions)` asks the broker (may block and raise). `bound`: seconds without progress that are
        still healthy. `budget`: the memory budget, bytes, to be shown."""
        self._clock = clock
        self._log_ends = log_ends
        self._bound = bound
        self._status_file = status_file
        self.budget = budget
        self.state: LoopState = STARTING
        self._ends: dict[int, int] = {}
        self._samples: dict[int, deque[tuple[float, int]]] = {}
        self._started = clock.monotonic()
        self._rate: deque[tuple[float, int, int]] = deque(maxlen=6)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("flurry_fast.monitor")

    def publish(self, state: LoopState) -> None:
        """The loop's newest state."""
        self.state = state

    # --- thread --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch until `close`."""
        self._thread = threading.Thread(target=self._run, name="flurry-fast-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the status a last time."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._write_status()

    def _run(self) -> None:
        while not self._wake.wait(1.0):
            self.tick()

    def tick(self) -> None:
        """One look. Never raises: what can not be asked now keeps its last value, and lag in seconds grows."""
        numbers = set(self.state.partitions)
        try:
            ends = self._log_ends(numbers) if numbers else {}
        except FlurryFastError as error:
            self._log.warning("the log's ends can not be asked", error=str(error))
            ends = {}
        now = self._clock.monotonic()
        with self._lock:
            self._ends = {number: end for number, end in (self._ends | dict(ends)).items() if number in numbers}
            for number, end in ends.items():
                samples = self._samples.setdefault(number, deque(maxlen=LAG_SAMPLES))
                if not samples or samples[-1][1] != end:
                    samples.append((now, end))
            state = self.state
            self._rate.append((now, state.records, state.engine.get("data_points", 0)))
        self._write_status()

    # --- what it knows -------------------------------------------------------------------------------------------

    def log_end(self, partition: int) -> int | None:
        """The next offset of the log, as last heard."""
        return self._ends.get(partition)

    def lag(self) -> dict[int, int | None]:
        """Records in the log that are not durable in every sink, by partition; None: not known."""
        return {number: self._lag_of(number) for number in self.state.partitions}

    def lag_seconds(self) -> dict[int, float]:
        """For how long the oldest record that is not durable has been in the log, as far as this process saw it."""
        now = self._clock.monotonic()
        with self._lock:
            return {number: self._seconds_of(number, now) for number in self.state.partitions}

    def problems(self) -> list[str]:
        """Why health is red; empty: green."""
        return problems(self.state, self._clock.monotonic(), self._bound, self.lag())

    def _lag_of(self, number: int) -> int | None:
        end, durable = self._ends.get(number), self._durable(number)
        return None if end is None or durable is None else max(0, end - durable)

    def _seconds_of(self, number: int, now: float) -> float:
        durable = self._durable(number)
        if durable is None:
            return now - self._started
        samples = self._samples.get(number)
        while samples and samples[0][1] <= durable:
            samples.popleft()
        return now - samples[0][0] if samples else 0.0

    def _durable(self, number: int) -> int | None:
        partition = self.state.partitions.get(number)
        values = list(partition.durable.values()) if partition is not None else []
        known = [value for value in values if value is not None]
        return min(known) if known and len(known) == len(values) else None

    # --- the status file -----------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What the status file holds: one JSON object; totals are of this process."""
        state, now = self.state, self._clock.monotonic()
        found = self.problems()
        records_s, points_s = self._rates()
        sinks = {sink.name: sink for sink in state.sinks}
        return {
            "pid": os.getpid(),
            "time": round(self._clock.time(), 3),
            "phase": state.phase,
            "member": state.member,
            "healthy": not found,
            "problems": found,
            "records": state.records,
            "bytes": state.payload_bytes,
            "sessions": state.engine.get("sessions", 0),
            "data_points": state.engine.get("data_points", 0),
            "unreadable": sum(state.unreadable.values()),
            "unreadable_by_reason": {reason: count for reason, count in state.unreadable.items() if count},
            "records_per_second": round(records_s, 1),
            "data_points_per_second": round(points_s, 1),
            "flushes": sinks["counters"].flushes if "counters" in sinks else 0,
            "archive_files": sinks["archive"].flushes if "archive" in sinks else 0,
            "flush_failures": sum(sink.failures for sink in state.sinks),
            "blocks": state.memory.get("block_count", state.engine.get("blocks", 0)),
            "memory": state.used,
            "memory_budget": self.budget,
            "paused": state.paused,
            "lag": sum(count or 0 for count in self.lag().values()),
            "lag_seconds": round(max(self.lag_seconds().values(), default=0.0), 1),
            "rebalances": sum(state.rebalances.values()),
            "native_drain": state.native_drain,
            "oldest_unwritten_seconds": {
                sink.name: round(now - sink.oldest_unwritten, 1) if sink.oldest_unwritten is not None else 0.0
                for sink in state.sinks
            },
            "partitions": {
                str(number): {
                    "next": partition.next,
                    "log_end": self._ends.get(number),
                    "committed": partition.committed,
                    **partition.durable,
                    **({"stopped": dict(partition.stopped)} if partition.stopped else {}),
                    **({"waiting_for": partition.waiting_for} if partition.waiting_for else {}),
                }
                for number, partition in sorted(state.partitions.items())
            },
        }

    def _rates(self) -> tuple[float, float]:
        with self._lock:
            if len(self._rate) < 2:
                return 0.0, 0.0
            (t0, records0, points0), (t1, records1, points1) = self._rate[0], self._rate[-1]
        return ((records1 - records0) / (t1 - t0), (points1 - points0) / (t1 - t0)) if t1 > t0 else (0.0, 0.0)

    def _write_status(self) -> None:
        if self._status_file is None:
            return
        rewrite(self._status_file, self.status(), self._log)
