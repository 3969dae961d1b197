"""Workers that are no processes, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clocks import ManualClock

from flurry_fast.workers.supervisor import Supervisor
from flurry_fast.workers.team import Member


class FakeProcess:
    """Ends when a test says so."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.obeys = True
        self.said: Mapping[str, Any] | None = None
        self.asked = self.killed = 0

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.asked += 1
        if self.obeys:
            self.code = 0

    def kill(self) -> None:
        self.killed += 1
        self.code = -9

    def reason(self) -> str:
        return "because of the test"

    def status(self) -> Mapping[str, Any] | None:
        return self.said

    def steady(self, **more: Any) -> None:
        self.said = {"phase": "running", "member": True, "healthy": True, "problems": [], "partitions": {}, **more}


class World:
    """A supervisor of `count` fakes; `started` has every process that was ever made, by worker."""

    def __init__(self, count: int = 3, *, may_restart: bool = True) -> None:
        self.clock = ManualClock()
        self.team = [Member(n, f"w-{n}", Path(f"status-{n}.json"), {}) for n in range(1, count + 1)]
        self.started: dict[str, list[FakeProcess]] = {member.name: [] for member in self.team}
        self.supervisor = Supervisor(
            self.team, self._start, self.clock, end_seconds=30, may_restart=lambda: may_restart
        )

    def _start(self, member: Member) -> FakeProcess:
        made = self.started[member.name]
        made.append(FakeProcess(100 * member.number + len(made)))
        return made[-1]

    def now(self, number: int) -> FakeProcess:
        """The newest process of a worker."""
        return self.started[f"w-{number}"][-1]

    def count(self, number: int) -> int:
        """How often a worker was started."""
        return len(self.started[f"w-{number}"])

    def tick(self, seconds: float = 0.0) -> bool:
        """One look after so long a time."""
        self.clock.sleep(seconds)
        return self.supervisor.tick()

    def all_steady(self) -> None:
        for number in range(1, len(self.team) + 1):
            self.now(number).steady()
        self.tick()
