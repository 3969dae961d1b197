"""Keeps a number of workers running, and replaces them one by one when asked to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from flurry_fast.errors import FlurryFastError
from flurry_fast.ports import Clock
from flurry_fast.workers.policy import Record, how, judge
from flurry_fast.workers.process import Process
from flurry_fast.workers.team import Member

TICK_SECONDS = 0.2
NEWS_SECONDS = 30.0  # between two lines about a rolling restart that waits

Step = Literal["ending", "starting"]


class WorkersStopped(FlurryFastError):
    """All were stopped, because starting one of them again would change nothing."""

    exit_code = 3


class WorkersKilled(FlurryFastError):
    """Some did not end in order; what they had not written is read again."""


@dataclass
class Slot:
    """One worker's place. `process` is None while it is down."""

    member: Member
    process: Process | None = None
    record: Record = field(default_factory=Record)
    start_at: float = float("-inf")  # monotonic
    steady_since: float | None = None
    asked: bool = False  # to end
    last_code: int | None = None
    was_healthy: bool = True  # before it was replaced
    status: Mapping[str, Any] | None = None  # what the running process said of itself when last looked at


class Supervisor:
    """All on one thread, by `tick`; `stop`, `kill` and `restart` may come from signal handlers."""

    def __init__(
        self,
        team: Sequence[Member],
        start: Callable[[Member], Process],
        clock: Clock,
        *,
        end_seconds: float,
        may_restart: Callable[[], bool] = lambda: True,
    ) -> None:
        """`end_seconds`: what an orderly end may take before a worker is killed. `may_restart` has the last word
        before a rolling restart: a bad configuration would end one worker after the other."""
        self.slots = [Slot(member) for member in team]
        self._start, self._clock, self._end_seconds = start, clock, end_seconds
        self._log = structlog.get_logger("flurry_fast.workers")
        self._may_restart = may_restart
        self._stop = self._kill = self._restart = False
        self._reason: str | None = None
        self._ended_badly: list[str] = []
        self._asked_at: dict[int, float] = {}
        self._waiting: list[Slot] = []  # still to be replaced
        self._current: tuple[Slot, Step] | None = None
        self._told_at = float("-inf")

    # --- what others ask -----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """An orderly end of all; the second time, at once."""
        self._kill = self._stop
        self._stop = True

    def restart(self) -> None:
        """Replace all workers, one at a time, the next one only when the one before is steady again."""
        self._restart = True

    @property
    def stopping(self) -> bool:
        """No worker is started any more."""
        return self._stop

    @property
    def replacing(self) -> str | None:
        """Name of the worker that a rolling restart is at."""
        return None if self._current is None else self._current[0].member.name

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self, look: Callable[[], None] = lambda: None) -> None:
        """Until all have ended after `stop`; `look` is called after each tick.

        Raises WorkersStopped with a worker's own reason, or WorkersKilled.
        """
        try:
            while self.tick():
                look()
                self._clock.sleep(TICK_SECONDS)
        finally:
            for slot in self.slots:  # only after an exception of our own
                if slot.process is not None:
                    slot.process.kill()
        look()
        if self._reason is not None:
            raise WorkersStopped(self._reason)
        if self._ended_badly:
            raise WorkersKilled(
                f"Not every worker ended in order: {', '.join(self._ended_badly)}.",
                way_out="What they had not written is read again at the next start.",
            )

    def tick(self) -> bool:
        """One look at everybody; False when it is over."""
        for slot in self.slots:
            if slot.process is not None and (code := slot.process.poll()) is not None:
                self._ended(slot, slot.process, code)
            slot.status = None if slot.process is None else slot.process.status()
        if self._stop:
            self._waiting, self._current = [], None
            return self._end_all()
        if self._restart:
            self._restart = False
            if self._may_restart():
                self._log.info("rolling restart asked for")
                self._waiting = list(self.slots)
        now = self._clock.monotonic()
        for slot in self.slots:
            if slot.process is None and now >= slot.start_at:
                self._begin(slot)
            self._note_steadiness(slot, now)
        self._roll(now)
        return True

    def _begin(self, slot: Slot) -> None:
        slot.process = self._start(slot.member)
        slot.steady_since, slot.asked = None, False
        self._log.info("worker started", worker=slot.member.name, pid=slot.process.pid)

    def _ended(self, slot: Slot, process: Process, code: int) -> None:
        slot.process, slot.last_code = None, code
        name, asked = slot.member.name, slot.asked
        if asked:
            self._asked_at.pop(slot.member.number, None)
            if code != 0:
                self._log.warning("worker did not end in order", worker=name, how=how(code))
                self._ended_badly += [f"{name} ({how(code)})"] if self._stop else []
            if self._current is not None and self._current[0] is slot:
                self._current = (slot, "starting")
            slot.start_at = float("-inf")
            return
        if self._stop:
            return
        verdict = judge(code, slot.record)
        reason = process.reason()
        if verdict.pause is None:
            self._log.error("worker can not go on, stopping all", worker=name, how=how(code), reason=reason)
            self._reason = f"Worker {name} can not go on ({how(code)}), so all were stopped: {reason}"
            self._stop = True
            return
        slot.start_at = self._clock.monotonic() + verdict.pause
        self._log.warning(
            "worker ended", worker=name, how=how(code), reason=reason, again_in_seconds=round(verdict.pause, 1)
        )

    def _end_all(self) -> bool:
        running = [slot for slot in self.slots if slot.process is not None]
        for slot in running:
            self._end(slot)
        return bool(running)

    def _end(self, slot: Slot) -> None:
        """Ask once; kill when that takes too long, or was asked for."""
        assert slot.process is not None
        now = self._clock.monotonic()
        if not slot.asked:
            slot.asked, self._asked_at[slot.member.number] = True, now
            slot.process.terminate()
        elif self._kill or now - self._asked_at[slot.member.number] > self._end_seconds:
            self._log.warning("worker killed", worker=slot.member.name, asked=self._kill)
            slot.process.kill()

    # --- steadiness, and the rolling restart ---------------------------------------------------------------------

    def _note_steadiness(self, slot: Slot, now: float) -> None:
        if not is_steady(slot.status):
            slot.steady_since = None
            return
        slot.steady_since = now if slot.steady_since is None else slot.steady_since
        slot.record.was_steady(now - slot.steady_since)

    def _roll(self, now: float) -> None:
        if self._current is None:
            self._next(now)
            return
        slot, step = self._current
        if step == "ending":
            self._end(slot)
            return
        healthy = bool((slot.status or {}).get("healthy"))
        if slot.steady_since is not None and (healthy or not slot.was_healthy):
            self._log.info("worker replaced", worker=slot.member.name, still_to_go=len(self._waiting))
            self._current = None
            if not self._waiting:
                self._log.info("rolling restart done")
            return
        self._tell(now, f"{slot.member.name} is not steady yet")

    def _next(self, now: float) -> None:
        """Take the next one down, if nobody else is down."""
        if not self._waiting:
            return
        slot = self._waiting[0]
        others = [other.member.name for other in self.slots if other is not slot and other.steady_since is None]
        if others:
            self._tell(now, f"{', '.join(others)}: not steady, so nobody is taken down")
            return
        self._waiting.pop(0)
        self._log.info("replacing worker", worker=slot.member.name)
        slot.was_healthy = bool((slot.status or {"healthy": True}).get("healthy"))
        self._current = (slot, "starting" if slot.process is None else "ending")

    def _tell(self, now: float, why: str) -> None:
        if now - self._told_at >= NEWS_SECONDS:
            self._told_at = now
            self._log.warning("rolling restart waits", reason=why)


def is_steady(status: Mapping[str, Any] | None) -> bool:
    """A worker that is a member of its group and has begun all that it was given."""
    return (
        status is not None
        and status.get("phase") == "running"
        and status.get("member") is True
        and not any("waiting_for" in partition for partition in status.get("partitions", {}).values())
    )
