"""One run: reports from a fleet to a target, at a pace, until a bound or a signal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from flurry_fast.agent.framed import write_framed
from flurry_fast.agent.manifest import ManifestWriter
from flurry_fast.agent.simulator import Chunk, Fleet

_CHUNK = 2_000
_CHUNKS_PER_SECOND = 20
_NAP = 0.05


class Target(Protocol):
    """Where reports go."""

    def send(self, chunk: Chunk) -> int:
        """Take a chunk; returns how many of its reports were taken (fewer only when stopped)."""

    def poll(self, seconds: float) -> None:
        """Do what is due, for at most `seconds`."""

    def finish(self) -> None:
        """Returns when everything taken is where it belongs, or has failed."""


class FileTarget:
    """A file of framed reports (`framed.read_framed`), with a manifest if one is given."""

    def __init__(self, out: BinaryIO, manifest: ManifestWriter | None = None) -> None:
        self._out = out
        self._manifest = manifest
        self.bytes_written = 0

    def send(self, chunk: Chunk) -> int:
        """Raises OSError."""
        self.bytes_written += write_framed(self._out, chunk.payloads)
        if self._manifest is not None:
            for key, payload in zip(chunk.keys, chunk.payloads, strict=True):
                self._manifest.write(payload, key)
        return len(chunk)

    def poll(self, seconds: float) -> None:
        """Nothing is due: waits."""
        time.sleep(seconds)

    def finish(self) -> None:
        """Raises OSError."""
        self._out.flush()


@dataclass(frozen=True)
class Bounds:
    """When a run ends, whichever comes first (None: never), and how fast it goes (reports a second; None: flat out).

    `reports` counts simulated reports; captures come on top.
    """

    reports: int | None = None
    seconds: float | None = None
    rate: int | None = None

    def over(self, stopped: Callable[[], bool]) -> Callable[[], bool]:
        """Tells from now on whether the run was stopped or its time is up."""
        if self.seconds is None:
            return stopped
        end = time.monotonic() + self.seconds
        return lambda: stopped() or time.monotonic() >= end


@dataclass
class Progress:
    """What was sent so far; `seconds` since the start."""

    reports: int = 0
    payload_bytes: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Reports a second over the whole run."""
        return self.reports / self.seconds if self.seconds else 0.0


def run(
    fleet: Fleet,
    target: Target,
    bounds: Bounds,
    *,
    over: Callable[[], bool] = lambda: False,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Send so many reports, or until `over` (see `Bounds.over`), then finish; `watch` is called after every chunk.

    Raises what the target raises; a run that failed so has not finished.
    """
    progress = Progress()
    total = None if bounds.reports is None else bounds.reports + fleet.captures
    size = _CHUNK if bounds.rate is None else max(1, min(_CHUNK, bounds.rate // _CHUNKS_PER_SECOND))
    started = time.monotonic()

    def tick() -> None:
        progress.seconds = time.monotonic() - started
        watch(progress)

    while not over():
        wanted = size if total is None else min(size, total - progress.reports)
        if wanted <= 0:
            break
        chunk = fleet.take(wanted)
        taken = target.send(chunk)
        progress.reports += taken
        progress.payload_bytes += chunk.size(taken)
        tick()
        if bounds.rate is not None:
            due = progress.reports / bounds.rate
            while progress.seconds < due and not over():
                target.poll(min(_NAP, due - progress.seconds))
                tick()
    target.finish()
    tick()
    return progress
