"""One episode: a broker, devices, two consumers, many injections; at the end everything must be exact.

Two members of one group read a log that keeps growing. Each is given one injection after the other, is seen to meet
it, and is started again where it died. Whoever is stopped sleeps until another owns its partitions, and wakes up as a
zombie. At the end all is drained, audited, and compared with the independent count of what the broker acknowledged.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from acknowledged import Acknowledged
from torture.member import Member
from torture.nursery import Nursery, Process
from torture.places import MARK, Cell

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.broker import read_broker_file
from flurry_fast.positions import PositionTable
from flurry_fast.registry import Registry
from flurry_fast.stores.sqlite import SqliteStore

PARTITIONS = 8
RATE = 80  # reports a second
TICK = 0.01
FIRE_SECONDS = 15.0  # until an injection must have been met; else it is given back
FIRST_SECONDS = 6.0  # the same where partitions must still be there to begin
END_SECONDS = 20.0  # until a process that must end has ended
TAKEOVER_SECONDS = 8.0  # until another owns what a stopped process had; well above the session time-out
DRAIN_SECONDS = 90.0
TOPIC = "reports"

Script = Generator[None, None, None]
Step = dict[str, Any]


class Broken(Exception):
    """Something that must never happen has happened; the words say what."""


@dataclass
class Outcome:
    """What became of an episode. `failure`: what was not as it must be; None: all exact."""

    met: list[Cell] = field(default_factory=list)
    missed: list[Cell] = field(default_factory=list)
    failure: str | None = None
    reports: int = 0
    counters: int = 0
    starts: int = 0
    seconds: float = 0.0


def steps_of(cell: Cell) -> dict[str, Any]:
    """The order that brings a process to the cell's point and does there what the cell says."""
    place = cell.place
    draw = random.Random(f"{cell.point}/{cell.action}/{cell.seed}")
    action = cell.action if cell.action in ("kill", "stop") else place.error
    order: dict[str, Any] = {"steps": [{"point": place.point, "action": action, "nth": draw.randint(1, place.passes)}]}
    if place.way == "lost":
        order["steps"].insert(0, {"point": "loop.batch.before", "action": "stop", "nth": draw.randint(1, 10)})
    if place.way == "shed-counters":
        order |= {"failing": "counters.chunk.before", "until": "counters.shed.after"}
    if place.way == "shed-archive":
        order |= {"failing": "archive.claim.before", "until": "archive.shed.after"}
    return order


class Episode:
    """`run` plays it; the folder holds everything, logs included, and is the caller's to remove."""

    def __init__(
        self,
        nursery: Nursery,
        folder: Path,
        seed: int,
        cells: list[Cell],
        *,
        bug: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`bug`: a seeded bug for the consumers. `tell` hears what is being done."""
        self.folder = folder
        self._nursery, self._seed, self._listener = nursery, seed, tell
        self._draw = random.Random(seed)
        self._cells = sorted(cells, key=lambda cell: (cell.place.way != "first", cell.action == "stop"))
        firsts = sum(cell.place.way == "first" for cell in cells)
        self._cells[firsts:] = self._draw.sample(self._cells[firsts:], len(cells) - firsts)
        self._out = Outcome()
        self._sleeper: Member | None = None
        self._busy: set[Member] = set()
        self._bug = bug
        self._began = 0.0
        self.settings = {
            "kafka.broker_file": str(folder / "broker.json"),
            "kafka.session_timeout": "1s",
            "kafka.request_timeout": "5s",
            "counters.store": f"sqlite:{folder / 'counters.sqlite'}",
            "counters.flush_age": "50ms",
            "counters.chunk_rows": "7",
            "counters.retry_wait": "50ms",
            "counters.retry_wait_max": "300ms",
            "archive.root": str(folder / "archive"),
            "archive.roll_age": "120ms",
            "archive.retry_wait": "50ms",
            "archive.retry_wait_max": "300ms",
            "consume.batch_messages": "40",
            "consume.commit_interval": "80ms",
            "log.format": "json",
        }

    def run(self) -> Outcome:
        """The whole episode. What is not as it must be is in the outcome, not raised."""
        self._began = time.monotonic()
        self.folder.mkdir(parents=True)
        plan = {"seed": self._seed, "bug": self._bug, "cells": [asdict(cell) for cell in self._cells]}
        (self.folder / "episode.json").write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        processes: list[Process] = []
        self._members = [Member(self._nursery, self.folder, name, self.settings, self._bug) for name in ("one", "two")]
        try:
            self._play(processes)
        except Broken as broken:
            self._out.failure = str(broken)
            self._tell(f"NOT EXACT: {broken}")
        finally:
            for process in [*processes, *(m.process for m in self._members if m.process is not None)]:
                process.send(signal.SIGKILL)
            self._out.starts = sum(member.starts for member in self._members)
            self._out.missed += self._cells
            self._out.seconds = time.monotonic() - self._began
        return self._out

    # --- acts ----------------------------------------------------------------------------------------------------

    def _play(self, processes: list[Process]) -> None:
        self._tell("starting")
        broker = self._command("broker", "--partitions", str(PARTITIONS))
        processes.append(broker)
        self._wait((self.folder / "broker.json").exists, 30, "the broker", broker)
        manifest = self.folder / "manifest.jsonl"
        devices = self._command(
            "simulate", "--rate", str(RATE), "--reports", "1000000", "--apps", "60", "--devices", "3000",
            "--malformed", "0.02", "--seed", str(self._seed), "--manifest", str(manifest), "--no-throttle",
        )  # fmt: skip
        processes.append(devices)
        self._turn([self._torment(member) for member in self._members])
        self._tell("draining")
        for member in self._members:
            member.order([])
            if not member.running:
                member.start()
        devices.send(signal.SIGTERM)
        self._wait(lambda: devices.exit_code is not None, 30, "the devices' end", devices)
        if devices.exit_code:
            raise Broken(f"The simulated devices ended with {devices.exit_code}:\n{devices.tail()}")
        ends = Acknowledged(manifest).ends()
        self._drain(ends)
        for member in self._members:
            member.send(signal.SIGTERM)
        for member in self._members:
            assert member.process is not None
            self._wait(partial(lambda m: not m.running, member), 30, f"{member.name} to drain", member.process)
            if member.exit_code not in (0, -signal.SIGTERM) and not member.crashed:
                raise Broken(f"{member.name} did not end cleanly ({member.exit_code}):\n{member.said()}")
        self._judge(manifest, ends)

    def _drain(self, ends: dict[int, int]) -> None:
        """Until everything sent is durable in both sinks."""
        deadline = time.monotonic() + DRAIN_SECONDS
        store = SqliteStore(self.folder / "counters.sqlite")
        try:
            while (standing := self._standing(store)) != {number: (end, end) for number, end in ends.items()}:
                self._nursery.poll()
                for member in self._members:
                    if member.crashed:
                        member.start()
                    elif member.exit_code is not None:
                        raise Broken(f"{member.name} ended by itself ({member.exit_code}):\n{member.said()}")
                if time.monotonic() > deadline:
                    said = "\n".join(f"{member.name}:\n{member.said()}" for member in self._members)
                    raise Broken(f"It does not get to the end {ends}; counters and archive are at {standing}.\n{said}")
                time.sleep(0.2)
        finally:
            store.close()

    def _standing(self, store: SqliteStore) -> dict[int, tuple[int, int]]:
        """Partition -> positions of counters and archive, from the store and the files; none where nothing was sent."""
        incarnation = read_broker_file(self.folder / "broker.json").incarnation
        state = Registry(store, TOPIC, lambda: incarnation).state()
        if state is None:
            return {}
        table = PositionTable(store, plan=state.plan, incarnation=incarnation, generation=state.generation)
        files = LocalFileSystem(self.folder / "archive")
        found: dict[int, tuple[int, int]] = {}
        for number in range(PARTITIONS):
            counted, archived = table.get(number), Chain(files, TOPIC, incarnation, number).locate()
            if counted is not None and archived is not None and (counted.position or archived.position):
                found[number] = (counted.position, archived.position)
        return found

    def _judge(self, manifest: Path, ends: dict[int, int]) -> None:
        """The audit, the independent count, and the archive's length."""
        self._tell("judging")
        audit = self._command("audit", "--complete", "--manifest", str(manifest), "--json")
        self._wait(lambda: audit.exit_code is not None, 300, "the audit", audit)
        said = audit.tail(1)
        try:
            verdict = json.loads(said)
        except ValueError:
            raise Broken(f"The audit failed:\n{audit.tail()}") from None
        self._out.reports, self._out.counters = sum(ends.values()), int(verdict.get("counters", 0))
        problems = list(verdict["problems"])
        if verdict["records"] != sum(ends.values()):
            problems.append(f"{sum(ends.values())} reports were sent, {verdict['records']} are archived")
        if audit.exit_code or problems:
            raise Broken(f"Not exact, {len(problems)} problems:\n" + "\n".join(problems[:10]))

    # --- injections ----------------------------------------------------------------------------------------------

    def _turn(self, scripts: list[Script]) -> None:
        """Let every member's script go on in turns, until all have ended."""
        while scripts:
            self._nursery.poll()
            for script in list(scripts):
                try:
                    next(script)
                except StopIteration:
                    scripts.remove(script)
            time.sleep(TICK)

    def _torment(self, member: Member) -> Script:
        while self._cells or self._busy:
            cell = self._next(member)
            if cell is None:  # the other one may need somebody who takes over
                if not member.running:
                    member.order([])
                    member.start()
                yield
                continue
            self._tell(f"{member.name}: {cell.action} at {cell.point}")
            self._busy.add(member)
            met = yield from self._inject(member, cell)
            self._busy.discard(member)
            (self._out.met if met else self._out.missed).append(cell)
            self._tell(f"{member.name}: {'met' if met else 'missed'}, {member.exit_code}")
            if not member.running:
                self._check_end(member, cell, met=met)
            elif not met and not member.owns:  # now and then the embedded broker forgets a member that joins again
                member.send(signal.SIGKILL)
                yield from _until(lambda: not member.running, END_SECONDS)

    def _next(self, member: Member) -> Cell | None:
        """What it is given next. Only one sleeps at a time: the other is needed to take over."""
        awake = self._sleeper is None
        free = [cell for cell in self._cells if awake or not (cell.action == "stop" or cell.place.way == "lost")]
        if not free:
            return None
        cell = free[0]
        if not member.running and cell.place.way != "first":  # it must be started in any case
            cell = next((cell for cell in free if cell.place.way == "start"), cell)
        self._cells.remove(cell)
        return cell

    def _inject(self, member: Member, cell: Cell) -> Generator[None, None, bool]:
        """Bring the member to the point and see what it does; False if it did not come there."""
        order = steps_of(cell)
        sleeps = any(step["action"] == "stop" for step in order["steps"])
        if sleeps:
            self._sleeper = member
        try:
            number = yield from self._give(member, cell, order)
            met = yield from self._meet(member, cell, number, order["steps"])
        finally:
            if sleeps:
                self._sleeper = None
        if not met:
            member.order([])
        if cell.place.way == "end" or (met and cell.dies):
            yield from _until(lambda: not member.running, END_SECONDS)
            if member.running:
                raise Broken(f"{member.name} lives on after {cell.action} at {cell.point}:\n{member.said()}")
        return met

    def _meet(self, member: Member, cell: Cell, number: int, steps: list[Step]) -> Generator[None, None, bool]:
        """It goes through the steps of its order, and is woken where it sleeps; False if it does not get there."""
        seconds = FIRST_SECONDS if cell.place.way == "first" else FIRE_SECONDS
        for done, step in enumerate(steps, 1):
            came = partial(lambda done: member.mailbox.fired(number) >= done or not member.running, done)
            yield from _until(came, seconds)
            if member.mailbox.fired(number) < done:
                return False
            # Who sleeps once more has nothing left that another could take.
            if step["action"] == "stop" and not (yield from self._sleep(member)) and done == 1:
                return False
        return True

    def _give(self, member: Member, cell: Cell, order: dict[str, Any]) -> Generator[None, None, int]:
        way = cell.place.way
        if way == "start" and not self._has_past():  # a start needs something to go on from
            if not member.running:
                member.order([])
                member.start()
            yield from _until(lambda: self._has_past() or not member.running, FIRE_SECONDS)
        if way in ("start", "first"):
            if member.running:
                yield from self._end(member)
            number = member.order(**order)
            member.start()
            return number
        if not member.running:
            member.order([])
            member.start()

        def ready() -> bool:
            return (member.works if way == "end" else member.owns) or not member.running

        yield from _until(ready, FIRE_SECONDS)
        number = member.order(**order)
        if way == "end":
            member.send(signal.SIGTERM)
        return number

    def _has_past(self) -> bool:
        """Whether both sinks have acknowledged something."""
        points = ("counters.ack.after", "archive.ack.after")
        return all(any(member.mailbox.passed(point) for member in self._members) for point in points)

    def _sleep(self, member: Member) -> Generator[None, None, bool]:
        """It is stopped: wake it when another owns its partitions; False if nobody took them."""
        (other,) = (m for m in self._members if m is not member)
        # A rebalance ends without those who are silent: what is started from now on was theirs.
        before = other.mailbox.passed("assignment.start.inside")

        def taken() -> bool:
            return other.mailbox.passed("assignment.start.inside") > before

        self._tell(f"{member.name} sleeps")
        yield from _until(taken, TAKEOVER_SECONDS)
        yield from _until(lambda: False, self._draw.uniform(0.0, 0.3))
        self._tell(f"{member.name} wakes")
        member.send(signal.SIGCONT)
        return taken()

    def _end(self, member: Member) -> Script:
        """It is to be started anew: by chance a crash or an orderly end comes before."""
        member.order([])
        crash = self._draw.random() < 0.5
        member.send(signal.SIGKILL if crash else signal.SIGTERM)
        yield from _until(lambda: not member.running, END_SECONDS)
        # Early enough SIGTERM is as good as a crash: nobody is there yet who would make an orderly end of it.
        right = crash or member.exit_code in (0, -signal.SIGTERM) or member.crashed
        if member.running or not right:
            raise Broken(f"{member.name} does not end as it should ({member.exit_code}):\n{member.said()}")

    def _check_end(self, member: Member, cell: Cell, *, met: bool) -> None:
        """Whether it may have ended as it did."""
        code, said = member.exit_code, member.said(60)
        if code == 0:  # an orderly end, as it was asked to, and nothing on the way that must be deadly
            right = cell.place.way == "end" and not (met and cell.dies)
        elif cell.action == "kill":
            right = met and code == -signal.SIGKILL
        else:  # fenced: the broker gave the name of a sleeper away
            right = (met and cell.dies and MARK in said) or (cell.action not in ("raise", "late") and "FENCED" in said)
        if not right and not member.crashed:
            raise Broken(f"{member.name} ended with {code} after {cell.action} at {cell.point}:\n{said}")

    # --- small things --------------------------------------------------------------------------------------------

    def _tell(self, doing: str) -> None:
        self._listener(doing)
        with (self.folder / "episode.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.monotonic() - self._began:.2f} {doing}\n")

    def _command(self, name: str, *arguments: str) -> Process:
        settings = [item for key, value in self.settings.items() for item in ("--set", f"{key}={value}")]
        return self._nursery.start(name, [name, *arguments, *settings], self.folder / f"{name}.log")

    def _wait(self, done: Callable[[], bool], seconds: float, what: str, process: Process) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            self._nursery.poll()
            if time.monotonic() > deadline:
                raise Broken(f"Not in time: {what}.\n{process.tail()}")
            time.sleep(TICK)


def _until(done: Callable[[], bool], seconds: float) -> Script:
    """Wait, but not longer than that; the caller looks again."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        yield
