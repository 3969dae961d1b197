"""Devices that post in the background, and what they were told was stored."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from doors import SECONDS, Door

from flurry_fast._core import HttpFleet

AT_ONCE = 20


class Load:
    """`bodies`, again and again, `rate` a second until there are enough; no device gives up soon."""

    def __init__(self, door: Door, bodies: Sequence[bytes], *, rate: int = 400, devices: int = 32) -> None:
        self._bodies, self._pause = bodies, AT_ONCE / rate
        self.fleet = HttpFleet("{}:{}".format(*door.address), host="x", devices=devices, resends=600, resend_wait=0.1)
        self.posted = 0
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._enough.wait(self._pause):
            self.posted += self.fleet.post([self._body(number) for number in range(self.posted, self.posted + AT_ONCE)])
        self.fleet.finish()

    def _body(self, number: int) -> bytes:
        return self._bodies[number % len(self._bodies)]

    def finish(self) -> Counter[bytes]:
        """The reports that were acknowledged, when every device is rid of its own."""
        self._enough.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return Counter(self._body(number) for number in self.fleet.take_stored())
