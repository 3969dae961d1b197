"""The stack's servers: killed by faults, and started again by somebody who looks after them, as a host's init does.

A region server that lost its DataNodes or its NameNode ends itself some time later; it is started again, too.
"""

from __future__ import annotations

import threading

from flurry_fast.stack import Stack

LOOK_SECONDS = 1.0


class Servers:
    """Its keeper is a thread; a context manager."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.names = stack.names
        self._away: set[str] = set()  # those that a fault keeps down
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._starting: set[str] = set()
        self.failures: list[str] = []

    def __enter__(self) -> Servers:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join()

    def kill(self, name: str) -> None:
        """kill -9, until `give_back`."""
        self._away.add(name)
        if self._stack.pid(name) is not None:
            self._stack.kill(name)

    def give_back(self, name: str) -> None:
        self._away.discard(name)

    def all_there(self) -> bool:
        """Whether all run, and nobody is waited for."""
        return not self._starting and all(self._stack.pid(name) is not None for name in self.names)

    def _keep(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            missing = [name for name in self.names if name not in self._away and self._stack.pid(name) is None]
            self._starting = set(missing)
            for name in missing:
                try:
                    self._stack.start(name)
                except Exception as error:  # it is tried again; what never comes back is a time-out of the round
                    self.failures.append(f"{name}: {error}")
            self._starting = set()
