"""What consumer and sinks are plugged into beside their data: a clock, and a place for slow work.

Production wires the real ones; the model test wires simulated ones and so decides what happens when. Nothing in
`consumer/`, `sinks/` or `stores/` asks for the time, sleeps or starts a thread by another way.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
CLOSE_SECONDS = 2.0  # what a worker may still spend on work that nobody waits for any more


class Clock(Protocol):
    """Time as the consumer sees it. Never used for anything that is counted."""

    def monotonic(self) -> float:
        """Seconds that only grow: ages, deadlines, pauses."""

    def time(self) -> float:
        """Seconds since the epoch: status files, log lines, time lag."""

    def sleep(self, seconds: float) -> None:
        """Let that much time pass. Only where there is nothing else to do: a drain's retry, a base read's retry."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Job(Protocol[T_co]):
    """Slow work under way."""

    def done(self) -> bool:
        """Whether `result` returns at once."""

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for it; raises what the work raised, or TimeoutError."""


class Worker(Protocol):
    """Where a sink does what blocks: one job at a time, in order."""

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Start `work`; it touches the store or the file system, never the engine."""

    def close(self) -> None:
        """No more work. Waits briefly, but not for work that hangs: whatever that still does is legal."""


class ThreadWorker:
    """A thread of its own. It is a daemon: work that hangs for ever does not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"flurry-fast-{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put((future, work))
        return future

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join(timeout=CLOSE_SECONDS)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                _settle(future, work)


class InlineWorker:
    """Does the work at once, on the caller's thread: for tools and tests that want no concurrency."""

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        _settle(future, work)
        return future

    def close(self) -> None:
        """Nothing to close."""


class Crew(Protocol):
    """Who shares the work of one job."""

    def each(self, works: Sequence[Callable[[], None]]) -> list[Exception]:
        """Do them, some at once; the errors of those that failed. After a failure no further one is begun."""


class InlineCrew:
    """Nobody: one after the other, on the caller's thread."""

    def each(self, works: Sequence[Callable[[], None]]) -> list[Exception]:
        for work in works:
            try:
                work()
            except Exception as error:
                return [error]
        return []


class ThreadCrew:
    """The caller's thread and others, which end with the work. They are daemons, as a worker is."""

    def __init__(self, name: str, size: int) -> None:
        """`size`: how many works may be under way at once."""
        self._name, self._size = name, size

    def each(self, works: Sequence[Callable[[], None]]) -> list[Exception]:
        waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for work in works:
            waiting.put(work)
        errors: list[BaseException] = []

        def share() -> None:
            while not errors:
                try:
                    work = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    work()
                except BaseException as error:
                    errors.append(error)

        others = [
            threading.Thread(target=share, name=f"flurry-fast-{self._name}-{number}", daemon=True)
            for number in range(1, min(self._size, len(works)))
        ]
        for other in others:
            other.start()
        share()
        for other in others:
            other.join()
        failed: list[Exception] = []
        for error in errors:
            if not isinstance(error, Exception):
                raise error  # no failure of the work: the process is to end
            failed.append(error)
        return failed


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
