"""What a portal is doing, for its status file, its metrics and its health."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from flurry_fast.ports import Clock
from flurry_fast.status_file import rewrite

RATE_SAMPLES = 6


class PortalState:
    """The newest numbers of one process. `update` is for its loop; everything else for any thread."""

    def __init__(self, clock: Clock, address: str, status_file: Path | None) -> None:
        self._clock, self._address, self._path = clock, address, status_file
        self._samples: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)
        self._log = structlog.get_logger("flurry_fast.portal")
        self.phase = "starting"
        self.stats: Mapping[str, Any] = {}
        self.down = False
        self.fatal: str | None = None

    def update(self, stats: Mapping[str, Any], *, down: bool, fatal: str | None) -> None:
        """`stats` as `_core.Portal.stats` gives them; `down`: no broker can be reached."""
        self.stats, self.down, self.fatal = stats, down, fatal
        self._samples.append((self._clock.monotonic(), stats["outcomes"]["stored"]))

    def problems(self) -> list[str]:
        """Why it is not well; empty: it is."""
        if self.fatal is not None:
            return [f"The producer can not go on: {self.fatal}."]
        return ["Kafka can not be reached, so that nothing is stored."] if self.down else []

    def status(self) -> dict[str, Any]:
        """One JSON object; totals are of this process. `records`: reports that Kafka acknowledged."""
        found, stats = self.problems(), self.stats
        outcomes = stats.get("outcomes", {})
        return {
            "pid": os.getpid(),
            "time": round(self._clock.time(), 3),
            "phase": self.phase,
            "member": self.phase == "running",
            "address": self._address,
            "healthy": not found,
            "problems": found,
            "records": outcomes.get("stored", 0),
            "bytes": stats.get("stored_bytes", 0),
            "unreadable": stats.get("unreadable", 0),
            "records_per_second": round(self._rate(), 1),
            "not_stored": {name: count for name, count in outcomes.items() if count and name != "stored"},
            **{name: stats.get(name, 0) for name in ("open", "accepted", "garbled", "memory", "pending")},
        }

    def write(self) -> None:
        """Rewrite the status file, if one is asked for."""
        if self._path is None:
            return
        rewrite(self._path, self.status(), self._log)

    def _rate(self) -> float:
        samples = list(self._samples)
        if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
            return 0.0
        return (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0])
