"""The consumers of a storm: killed, stopped, and started again whenever they end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from torture.nursery import Nursery, Process

ASK_SOMEBODY = 3  # the exit status of a consumer that nobody should just start again
LATER = 0.5  # seconds until one that ended by itself is started again


class Consumer:
    """One name in the group; its processes come and go."""

    def __init__(self, nursery: Nursery, name: str, settings: Mapping[str, str], folder: Path, bug: str | None) -> None:
        self.name, self._nursery, self._bug = name, nursery, bug
        self.log = folder / f"{name}.log"
        own = {**settings, "consume.status_file": str(folder / f"{name}.json")}
        self._arguments = ["consume", *(item for key, value in own.items() for item in ("--set", f"{key}={value}"))]
        self.process: Process | None = None
        self.starts = 0
        self.stopped = False  # by SIGSTOP
        self._again_at = 0.0

    @property
    def running(self) -> bool:
        """Also while it is stopped."""
        return self.process is not None and self.process.exit_code is None

    def start(self) -> None:
        self.process = self._nursery.start(self.name, self._arguments, self.log, bug=self._bug)
        self.starts += 1
        self.stopped = False

    def send(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send(number)
        self.stopped = number == signal.SIGSTOP or (self.stopped and number != signal.SIGCONT)

    def ended(self) -> int | None:
        """The status of a process that has ended and was not started again; None: it runs, or there was none."""
        return None if self.process is None else self.process.exit_code

    def restart_when_due(self) -> bool:
        """Start it again a little after it ended; whether it was."""
        if self.running:
            return False
        now = time.monotonic()
        if not self._again_at:
            self._again_at = now + LATER
        if now < self._again_at:
            return False
        self._again_at = 0.0
        self.start()
        return True


class Crew:
    """All of them. `supervised`: who ends is started again at the next `tend`."""

    def __init__(self, nursery: Nursery, consumers: list[Consumer], draw: random.Random) -> None:
        self._nursery, self._draw = nursery, draw
        self.consumers = consumers
        self.supervised = False
        self.asked_for_help: list[str] = []  # what those said that ended with status 3

    def start(self) -> None:
        for consumer in self.consumers:
            if not consumer.running:
                consumer.start()
        self.supervised = True

    def tend(self) -> None:
        """Learn who ended, and start them again."""
        self._nursery.poll()
        for consumer in self.consumers:
            if consumer.ended() == ASK_SOMEBODY:
                assert consumer.process is not None
                self.asked_for_help.append(f"{consumer.name}: {consumer.process.tail(3)}")
                consumer.process = None
            if self.supervised:
                consumer.restart_when_due()

    def any(self) -> Consumer:
        """One that runs and is not stopped, by chance."""
        return self._draw.choice([c for c in self.consumers if c.running and not c.stopped] or self.consumers)

    def kill_one(self) -> None:
        """kill -9; another process takes its place at once."""
        consumer = self.any()
        consumer.send(signal.SIGKILL)
        self._gone([consumer])
        if self.supervised:
            consumer.start()

    def end_all(self, number: signal.Signals, *, but: Consumer | None = None) -> list[int | None]:
        """Signal all but one, and wait until they are gone; nobody is started again before `start`. Their statuses."""
        self.supervised = False
        those = [consumer for consumer in self.consumers if consumer is not but]
        for consumer in those:
            consumer.send(signal.SIGCONT)
            consumer.send(number)
        self._gone(those)
        return [consumer.ended() for consumer in self.consumers]

    def _gone(self, consumers: list[Consumer]) -> None:
        deadline = time.monotonic() + 120
        while any(consumer.running for consumer in consumers):
            self._nursery.poll()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{[c.name for c in consumers if c.running]} do not end")
            time.sleep(0.02)
