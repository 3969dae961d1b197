"""Calls that may never come back, under a deadline.

A native client gives no way to interrupt a call. So each call is made on a thread that is there for it; whoever waits
gives up at the deadline, and leaves the thread to end by itself. How many may be left behind is bounded: a server that
swallows every request must not fill the process with threads.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
ABANDONED_MOST = 32


class DeadlineExceeded(Exception):
    """No answer in time; what was asked for may have happened, or may yet."""


class TooManyAbandoned(DeadlineExceeded):
    """So many earlier calls have not come back that no further one is made: this one did not happen."""


class Deadline:
    """Makes calls on threads of its own. They are daemons: one that hangs for ever does not keep a process alive."""

    def __init__(self, name: str, seconds: float, most: int = ABANDONED_MOST) -> None:
        """`most`: how many abandoned calls may be under way; `name` is seen in lists of threads."""
        self.seconds = seconds
        self._name, self._most = name, most
        self._lock = threading.RLock()  # a callback may be run at once, by whoever adds it
        self._idle: list[_Caller] = []
        self._abandoned = 0

    @property
    def abandoned(self) -> int:
        """Calls that were given up and have not come back."""
        return self._abandoned

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, or DeadlineExceeded. May be called from any thread."""
        with self._lock:
            if self._abandoned >= self._most:
                raise TooManyAbandoned
            caller = self._idle.pop() if self._idle else _Caller(self._name)
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        caller.work.put((future, work))
        try:
            # BaseException too: what native code panics with must come out where it can be told.
            error = future.exception(self.seconds)
        except TimeoutError:
            with self._lock:
                self._abandoned += 1
            future.add_done_callback(lambda _: self._came_back(caller))
            raise DeadlineExceeded from None
        self._rest(caller)
        if error is not None:
            raise error
        return future.result()

    def _rest(self, caller: _Caller) -> None:
        with self._lock:
            self._idle.append(caller)

    def _came_back(self, caller: _Caller) -> None:
        with self._lock:
            self._abandoned -= 1
            self._idle.append(caller)


class _Caller:
    """A thread that makes one call after the other."""

    def __init__(self, name: str) -> None:
        self.work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"flurry-fast-{name}", daemon=True).start()

    def _run(self) -> None:
        while True:
            future, work = self.work.get()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            # Nothing of the last call is kept alive while there is none.
            del future, work
