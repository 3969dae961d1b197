"""The independent count, in processes of its own: it follows the manifest while that grows, then compares.

Nothing here uses the engine. Each process counts the partitions that are its share, so that the counters of a
whole run, in plain Python objects, never have to be moved.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from flurry_fast.config.model import Counters
from flurry_fast.errors import FlurryFastError
from flurry_fast.stores import open_store
from flurry_fast.verify.compare import compare_store
from flurry_fast.verify.count import Count, CountError
from flurry_fast.verify.manifest import partition_of
from flurry_fast.verify.plan import CountedPlan

POLL_SECONDS = 0.1
REPORT_EVERY = 500  # lines between two words on the progress
SHOWN = 50  # differences kept of one process
STORE_TIMEOUT = 30.0


class CountFailed(FlurryFastError):
    """The independent count could not be made, so nothing can be said about the counters."""


@dataclass
class Comparison:
    """Every counter of the store against the independent count."""

    reports: int = 0
    blocks: int = 0
    counters: int = 0
    apps: int = 0
    again: int = 0  # sessions that came before, and were dropped
    wrong: int = 0
    differences: list[str] = field(default_factory=list)  # the first of them, for people

    @property
    def exact(self) -> bool:
        """Whether there was something to compare, and all of it agreed."""
        return self.wrong == 0 and self.counters > 0


@dataclass(frozen=True)
class Source:
    """What one process is to count. `complete` exists once the manifest grows no more."""

    manifest: Path
    complete: Path
    plan: str
    part: int
    parts: int


@dataclass(frozen=True)
class Target:
    """What the count is compared with. `store` as in counters.store."""

    store: str
    plan_id: int
    incarnation: int


@dataclass(frozen=True)
class _Part:
    comparison: Comparison
    apps: frozenset[bytes]


class Tally(AbstractContextManager["Tally"]):
    """Counts a manifest, from now on; leaving the block ends the processes."""

    def __init__(self, manifest: Path, complete: Path, plan: str, *, processes: int | None = None) -> None:
        """`plan` is its TOML. `processes`: as many as there are processors, at most 4."""
        parts = processes or min(4, os.cpu_count() or 1)
        context = get_context("spawn")
        self._counted = [0] * parts
        self._results: list[_Part | None] = [None] * parts
        self._pipes: list[Connection] = []
        self._processes = []
        for part in range(parts):
            ours, theirs = context.Pipe()
            source = Source(manifest, complete, plan, part, parts)
            process = context.Process(target=_work, args=(source, theirs), name=f"count-{part}", daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    @property
    def counted(self) -> int:
        """Reports counted so far."""
        for part, pipe in enumerate(self._pipes):
            while self._results[part] is None and pipe.poll():
                self._receive(part)
        return sum(self._counted)

    def compare(self, target: Target, progress: Callable[[int], None] = lambda _counted: None) -> Comparison:
        """Waits for the count's end (`complete` must exist, or come), then compares every cell and every counter.

        `progress` is called with the reports counted so far. Raises CountFailed where the manifest has a hole or an
        offset twice, or a process died.
        """
        for pipe in self._pipes:
            pipe.send(target)
        total, apps = Comparison(), set[bytes]()
        for part in range(len(self._pipes)):
            while (result := self._results[part]) is None:
                self._receive(part)
                progress(self.counted)
            found = result.comparison
            total.reports += found.reports
            total.blocks += found.blocks
            total.counters += found.counters
            total.again += found.again
            total.wrong += found.wrong
            total.differences += found.differences
            apps |= result.apps
        total.apps = len(apps)
        return total

    def __exit__(self, *_: object) -> None:
        for process, pipe in zip(self._processes, self._pipes, strict=True):
            process.kill()
            process.join()
            pipe.close()

    def _receive(self, part: int) -> None:
        """Takes one message of a process, waiting for it. Raises CountFailed for bad news."""
        try:
            message = self._pipes[part].recv()
        except (EOFError, OSError):
            raise CountFailed(f"A process of the independent count ({self._processes[part].name}) died.") from None
        if isinstance(message, str):
            raise CountFailed(f"The independent count failed: {message}.")
        if isinstance(message, int):
            self._counted[part] = message
        else:
            self._results[part] = message


def _work(source: Source, pipe: Connection) -> None:
    """The life of one process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's business
    os.nice(5)  # the pipeline goes first
    try:
        count = Count(CountedPlan.parse(source.plan))
        for place, line in enumerate(_follow(source)):
            count.add(json.loads(line))
            if place % REPORT_EVERY == 0:
                pipe.send(count.reports)
        count.finish()
        pipe.send(count.reports)
        pipe.send(_compare(source, count, pipe.recv()))
    except (CountError, FlurryFastError, ValueError, KeyError) as error:
        pipe.send(
            f"{error}" if isinstance(error, (CountError, FlurryFastError)) else f"{type(error).__name__}: {error}"
        )


def _follow(source: Source) -> Iterator[bytes]:
    """The lines of this share's partitions, as they come, until the manifest is complete."""
    rest = b""
    while not source.manifest.exists():
        if source.complete.exists():
            return
        time.sleep(POLL_SECONDS)
    with source.manifest.open("rb") as manifest:
        while True:
            complete = source.complete.exists()  # looked at before reading: what is read then is all there is
            lines = (rest + manifest.read(1 << 20)).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if partition_of(line) % source.parts == source.part:
                    yield line
            if not lines:
                if complete:
                    break
                time.sleep(POLL_SECONDS)
    if rest:
        raise CountError("the manifest ends inside a line")


def _compare(source: Source, count: Count, target: Target) -> _Part:
    store = open_store(Counters(store=target.store, write_timeout=STORE_TIMEOUT), create=False)
    try:
        found = compare_store(
            store,
            count,
            plan_id=target.plan_id,
            incarnation=target.incarnation,
            mine=lambda partition: partition % source.parts == source.part,
        )
    finally:
        store.close()
    comparison = Comparison(
        reports=count.reports,
        blocks=found.blocks,
        counters=found.counters,
        again=count.again,
        wrong=len(found.differences),
        differences=[str(difference) for difference in found.differences[:SHOWN]],
    )
    return _Part(comparison, frozenset(key for _, key, _ in count.blocks if key))
