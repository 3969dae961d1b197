"""What sits in a consumer process and does at a fail point what the driver ordered."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from torture.mailbox import Mailbox
from torture.places import ERRORS

from flurry_fast import trials
from flurry_fast.consumer import memory


class Injector:
    """The handler of every fail point of this process.

    An order has `steps`, done one after the other: at the `nth` passing of `point` do `action` (kill, stop, or a key
    of ERRORS). Until the point `until` was passed, every passing of `failing` raises, and from the first such failure
    on memory seems to be full: so a sink sheds.
    """

    def __init__(self, mailbox: Path) -> None:
        self._mailbox = Mailbox(mailbox)
        self._lock = threading.Lock()
        self._number = 0
        self._order: dict[str, Any] = {"steps": []}
        self._step = self._seen = 0
        self._failing = self._full = False
        real = memory.Governor.used
        full = lambda governor: real(governor) + (governor._budget if self._seems_full() else 0)  # noqa: E731
        memory.Governor.used = full  # type: ignore[method-assign]
        trials.on_fail_point(self.passing)

    def passing(self, point: str) -> None:
        with self._lock:
            action = self._due(point)
        match action:
            case None:
                return
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()  # the signal may come a moment later; this thread does nothing more
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case error:
                raise ERRORS[error]()

    def _seems_full(self) -> bool:
        # A process that has written everything and is paused passes no point, and would not see that the order is over.
        return self._full and self._mailbox.number == self._number

    def _due(self, point: str) -> str | None:
        mailbox = self._mailbox
        mailbox.note_passed(point)
        if mailbox.number != self._number:
            self._number, self._order, self._step, self._seen = mailbox.number, mailbox.order(), 0, 0
            self._failing, self._full = "failing" in self._order, False
        order = self._order
        if self._failing and point == order["until"]:
            self._failing = self._full = False
        if self._step < len(order["steps"]):
            step = order["steps"][self._step]
            if point == step["point"]:
                self._seen += 1
                if self._seen >= step["nth"]:
                    self._step, self._seen = self._step + 1, 0
                    mailbox.note_fired(self._number, self._step)
                    return str(step["action"])
        if self._failing and point == order["failing"]:
            self._full = True
            return "store"
        return None
