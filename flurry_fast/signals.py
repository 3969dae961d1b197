"""SIGINT and SIGTERM as a wish to end cleanly, and the end of standard input as SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether a stop was asked for. A second signal ends the process as usual.

    Only in the main thread.
    """
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in _SIGNALS:
        signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_at_eof() -> None:
    """Send ourselves SIGTERM when standard input ends: the process that started this one is gone."""
    threading.Thread(target=_terminate_at_eof, daemon=True).start()


def _terminate_at_eof() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
