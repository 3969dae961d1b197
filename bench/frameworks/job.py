"""What the jobs of all frameworks share: who counts, and the answers to bench/child.py."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Protocol

import numpy as np

from bench.contenders.python_pipeline import engine_digest, new_engine
from bench.contenders.python_struct import PythonStruct
from bench.digest import digest
from bench.topic import Backlog
from flurry_fast._wire import Batch

TURN = 1_000  # records that our engine is given at once, where a framework hands them over one by one


class Counter(Protocol):
    """Counters in memory, outside the framework's own state: the least that it can be charged for."""

    def absorb(self, payloads: list[bytes], timestamps_ms: list[int]) -> None:
        """Counts reports."""

    def digest(self) -> str:
        """Of all counters."""


class Python(PythonStruct):
    """The fastest plain-Python decoder."""

    def digest(self) -> str:
        return f"{digest(self.lines())} {self.unreadable}"


class Ours:
    """Our engine. Frameworks keep offsets to themselves, so reports are numbered as they come."""

    def __init__(self) -> None:
        self._engine = new_engine(1)
        self._next = 0

    def absorb(self, payloads: list[bytes], timestamps_ms: list[int]) -> None:
        n = len(payloads)
        bounds = np.zeros(n + 1, dtype=np.int64)
        np.cumsum([len(payload) for payload in payloads], out=bounds[1:])
        offsets = np.arange(self._next, self._next + n, dtype=np.int64)
        batch = Batch.from_buffers(b"".join(payloads), bounds, offsets, np.array(timestamps_ms, dtype=np.int64), 0)
        needs = self._engine.absorb(batch)
        assert needs is None
        self._next += n

    def digest(self) -> str:
        return engine_digest(self._engine)


class OneByOne:
    """For frameworks that hand over a record at a time: Python counts it, our engine gets `TURN` of them at once."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._turn = TURN if isinstance(counter, Ours) else 1
        self._payloads: list[bytes] = []
        self._times: list[int] = []

    def add(self, payload: bytes, time_ms: int) -> None:
        self._payloads.append(payload)
        self._times.append(time_ms)
        if len(self._times) >= self._turn:
            self.finish()

    def finish(self) -> None:
        if self._times:
            self._counter.absorb(self._payloads, self._times)
            self._payloads, self._times = [], []


def serve(run: Callable[[Backlog, Counter], None]) -> None:
    """``MODULE python|ours BACKLOG``: one round, then the process ends."""
    backlog = Backlog.of(sys.argv[2:])
    counter: Counter = Ours() if sys.argv[1] == "ours" else Python()
    out = sys.stdout
    sys.stdout = sys.stderr  # frameworks print; this pipe is ours
    print("ready", file=out, flush=True)
    for line in map(str.strip, sys.stdin):
        if line == "prepare":
            gc.collect()
            gc.freeze()
            print("prepared", file=out, flush=True)
        elif line == "round":
            run(backlog, counter)
            print("done", file=out, flush=True)
        elif line == "digest":
            print("digest", counter.digest(), file=out, flush=True)
