"""The world of one schedule: topic, stores, consumer groups, and what happens to them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import ArchiveFileSystem, LocalFileSystem
from flurry_fast.archive.footer import Footer
from flurry_fast.archive.format import PARQUET, Format
from flurry_fast.config.model import Archive, Consume, Counters
from flurry_fast.errors import RegistryMismatch, StoreUnavailable
from flurry_fast.operations import reset
from flurry_fast.positions import POSITIONS_ROW, control_qualifier, decode_position
from flurry_fast.registry import Registry, State
from flurry_fast.stores.base import INSTALLATION, ControlCell
from flurry_fast.verify import blocks
from model.cells import STORE_ID, CellKey, CellWorld, PlainCells, PlainStore
from model.checks import Checks, Column3
from model.draw import Draw
from model.errors import Killed, Violation
from model.files import LightFormat, MemoryFiles
from model.log import Log, Topic
from model.operator import Command, abort_switch, attempt, fence, record_gap, reset_positions, switch_plan
from model.oracle import Oracle
from model.process import TOPIC, Process
from model.records import NOW_MS, PLANS, POOL, TICK_MS
from model.scenarios import Scenario

FIRST_INCARNATION = 77
GAP = "gap recorded"
ROW = b"topic|" + TOPIC.encode()


class Settings(NamedTuple):
    """What processes are configured with: small, so that everything happens within a few records."""

    consume: Consume = Consume(batch_messages=8, unhealthy_after=0.5)
    counters: Counters = Counters(flush_age=3.0, flush_age_min=3.0, chunk_rows=2, retry_wait=0.5)
    archive: Archive = Archive(root="archive", roll_age=5.0, retry_wait=0.5)


SETTINGS = Settings()
SLICED = SETTINGS._replace(counters=SETTINGS.counters.model_copy(update={"flush_slice": 1}))  # a partition a flush


@dataclass
class Group:
    """A consumer group: what its members write, who owns which partition, and its commits."""

    kinds: tuple[str, ...]
    owners: dict[int, Process] = field(default_factory=dict)
    commits: dict[int, tuple[int, str]] = field(default_factory=dict)


class World:
    """One schedule. `draw` decides everything."""

    def __init__(self, draw: Draw, scenario: Scenario, cleanup: ExitStack) -> None:
        self.draw, self.scenario = draw, scenario
        self.happened: Counter[str] = Counter()
        self.excuses: set[str] = set()
        self.damaged: dict[CellKey, int] = {}
        self.stops: Counter[str] = Counter()
        self.trace: list[str] | None = None
        self.faults = True
        self.depth = 0
        self.plan = 2 * draw.chance(scenario.dedup)
        self.now = NOW_MS
        self.archive_down = False
        self.checks = Checks(self)
        self.cells = CellWorld(self)
        self.cells.control[INSTALLATION, b"secret"] = ControlCell(1, bytes(16))
        self.store = PlainStore(self.cells)
        self.registry = Registry(self.store, TOPIC, lambda: self.topic.incarnation)
        self.partitions = 1 + draw.chance(scenario.two_partitions)
        self.settings = SLICED if self.partitions > 1 and draw.chance(0.5) else SETTINGS
        self.happened["sliced flushes"] += self.settings is SLICED
        self.topic = Topic(FIRST_INCARNATION, self.partitions)
        self.topics = {FIRST_INCARNATION: self.topic}
        self.oracles: dict[Column3, list[Oracle]] = {}
        self.old_logs: dict[tuple[int, int], list[Log]] = {}
        self._open_columns()
        self.archiving = draw.chance(scenario.archive)
        self.real = self.archiving and draw.chance(scenario.real_files)
        self.files: ArchiveFileSystem = MemoryFiles()
        self.format: Format = LightFormat()
        if self.real:
            self.files = LocalFileSystem(Path(cleanup.enter_context(tempfile.TemporaryDirectory())))
            self.format = PARQUET
            self.happened["real files"] += 1
        self.chain_files: dict[tuple[int, int], dict[int, Footer]] = {}
        self.budget = 45_000 + 15_000 * draw.below(6) if draw.chance(scenario.pressure) else None
        self.groups = [Group(("archive", "counters") if self.archiving else ("counters",))]
        if self.archiving and draw.chance(scenario.apart):
            self.groups = [Group(("archive",)), Group(("counters",))]
            self.excuses.add("counters first")
        self.processes: list[Process] = []
        self.pending: tuple[str, Command] | None = None
        self.backup: Backup | None = None
        self.ahead: dict[CellKey, int] = {}  # blocks that hold records that a cut took: their end
        self.unseen: set[CellKey] = set()  # those of them that somebody took for the log's own, and could not know
        self.lost: set[tuple[Column3, int]] = set()  # what gaps took, by column and the log's start
        self._strides = 0
        self.targets: set[int] = set()  # plans that somebody wanted to switch to
        self.given_up: set[tuple[str, int]] = set()

    @property
    def other(self) -> int:
        """The plan that the open one may be switched to."""
        return self.plan ^ 1

    # --- what is so ----------------------------------------------------------------------------------------------

    def _open_columns(self) -> None:
        for number, log in enumerate(self.topic.logs):
            self.oracles[PLANS[self.plan].plan.id, self.topic.incarnation, number] = [Oracle(self.plan, log)]

    def column(self, partition: int) -> Column3:
        """The column that is counted in now."""
        return PLANS[self.plan].plan.id, self.topic.incarnation, partition

    @staticmethod
    @cache
    def qualifier(column: Column3) -> bytes:
        return blocks.qualifier(*column)

    def logs(self, incarnation: int, partition: int) -> list[Log]:
        """Every log the partition ever had, the newest last."""
        return [*self.old_logs.get((incarnation, partition), ()), self.topics[incarnation].logs[partition]]

    def registry_state(self) -> State | None:
        cell = self.cells.control.get((ROW, b"state"))
        return None if cell is None else _state(cell)

    def state_of_registry(self) -> tuple[int, int, int] | None:
        state = self.registry_state()
        return None if state is None else (state.revision, state.generation, state.plan)

    def generation(self) -> int:
        state = self.registry_state()
        return 0 if state is None else state.generation

    def chain(self, incarnation: int, partition: int) -> Chain:
        return Chain(self.files, TOPIC, incarnation, partition, self.format)

    def stands(self, sink: str, partition: int) -> int | None:
        """Where a sink stands by its own storage."""
        if sink == "archive":
            files = self.chain_files.get((self.topic.incarnation, partition))
            if not files:
                return self.chain(self.topic.incarnation, partition).origin()
            return max(footer.end for footer in files.values())
        plan, incarnation, _ = self.column(partition)
        cell = self.cells.control.get(
            (POSITIONS_ROW, control_qualifier(plan, incarnation, partition, self.generation()))
        )
        return None if cell is None else cell.timestamp

    def stride(self) -> int:
        """How far apart generations are: as if at random, never the same again."""
        self._strides += 1
        return 1000 + self._strides

    def state_changed(self) -> None:
        """Another state of the registry is in force: whatever positions it brings must be true."""
        state = self.registry_state()
        if state is None:
            return
        number = next(place for place, known in enumerate(PLANS) if known.plan.id == state.plan)
        if number != self.plan:
            self._plan_opened(number)
        for partition in range(self.partitions):
            qualifier = control_qualifier(state.plan, self.topic.incarnation, partition, state.generation)
            cell = self.cells.control.get((POSITIONS_ROW, qualifier))
            if cell is not None:
                stated = decode_position(cell.value, cell.timestamp, STORE_ID)
                self.checks.in_force((state.plan, self.topic.incarnation, partition), stated)
            elif any(key[1][:10] == qualifier[:10] for key in self.cells.control if key[0] == POSITIONS_ROW):
                self.excuses.add("begun under a reset")

    def _plan_opened(self, number: int) -> None:
        """The old plan ended where its positions are; the new one counts from there."""
        generation = self.generation()
        for partition, log in enumerate(self.topic.logs):
            old_column = self.column(partition)
            old = self.cells.control.get((POSITIONS_ROW, control_qualifier(*old_column, generation)))
            column = (PLANS[number].plan.id, self.topic.incarnation, partition)
            new = self.cells.control.get((POSITIONS_ROW, control_qualifier(*column, generation)))
            if old is None:  # it never began there, so the new plan begins on its own
                self.oracles.setdefault(column, [Oracle(number, log)])
                continue
            end = old.timestamp
            there = new is not None and new.timestamp == end
            self.checks.require("switch-at-one-offset", there, f"partition {partition}: {end} and {new}")
            self.oracles[old_column][-1].limit = end
            before = self.oracles.get(column)
            if before is None:
                self.oracles[column] = [Oracle(number, log, end)]
            else:  # it was open before: what lies between is never in its blocks
                closed = before[-1].limit
                since = closed if closed is not None else before[-1].first
                self.oracles[column] = [before[-1].without(lambda _, since=since, end=end: (since, end), end)]
        self.plan, self.backup = number, None  # a switch voids older backups
        self.say("plan opened")

    def claimed(self, path: str) -> None:
        """A name of the archive was claimed."""
        folder, _, name = path.rpartition("/")
        if not name.endswith(".parquet"):
            return
        _, incarnation, partition = folder.split("/")
        chain = self.chain(int(incarnation, 16), int(partition.removeprefix("p=")))
        footer = chain.footer(int(name[:20]))
        known = self.chain_files.setdefault((chain.incarnation, chain.partition), {})
        self.checks.claimed(footer, known, chain.origin())
        known[footer.start] = footer

    def stopped(self, process: Process, partition: int, sink: str, reason: str) -> None:
        """A sink of a process takes nothing more: did it have to?"""
        key, excuses = next(((word, excuses) for word, excuses in STOPS if word in reason), (reason, set()))
        self.stops[f"{sink}: {key}"] += 1
        holds = process.outdated() or excuses & self.excuses
        self.checks.require("no-needless-stop", holds, f"the {sink} of partition {partition} stopped: {reason}")

    # --- what happens --------------------------------------------------------------------------------------------

    def say(self, what: str) -> None:
        self.happened[what] += 1
        if self.trace is not None:
            self.trace.append(f"{'  ' * self.depth}{what}")

    def step(self) -> None:
        """One thing happens."""
        start = len(self.draw.choices) - 1
        what = self.draw.weighted(self.scenario.steps)
        if what == 0:
            self.produce()
        elif what == 1:
            if self.processes:
                self.draw.pick(self.processes).step()
            else:
                self.spawn()
        elif what == 2:
            self.land_late()
        elif what == 3:
            self.spawn()
        elif what == 4:
            self.kill()
        elif what == 5:
            self.rebalance()
        else:
            events = self.scenario.events
            if events:
                getattr(self, self.draw.pick(events))()
        self.draw.spans.append((start, len(self.draw.choices)))

    def interleave(self) -> None:
        """Others get a word in between two calls of a process; now and then many."""
        if self.faults and self.depth < 2 and self.draw.chance((0.25, 0.08)[self.depth]):
            self.depth += 1
            steps = 1 + self.draw.below(3) if not self.draw.chance(0.06) else 12
            try:
                for _ in range(steps):
                    self.draw.more(wanted=True)
                    self.step()
            finally:
                self.depth -= 1

    def produce(self) -> None:
        """A report reaches the broker."""
        draw = self.draw
        log = self.topic.logs[draw.below(self.partitions) if self.partitions > 1 else 0]
        place = draw.below(len(POOL))
        self.now += draw.pick((0, 0, 1, 3)) * TICK_MS
        back = TICK_MS if draw.chance(0.1) else 0
        if self.scenario.halves:  # after a cut other records than before, so that the CRC can tell them apart
            place = place - place % 2 + ("log cut" in self.excuses)
        log.append(place, self.now - back)
        self.say("produce")

    def land_late(self) -> None:
        """A write arrives that nobody waits for any more."""
        late = self.cells.late
        if late:
            self.say("late write")
            late.pop(self.draw.below(len(late))).arrive()

    def spawn(self) -> None:
        """A process starts, joins its group, and is given partitions."""
        group = self.draw.pick(self.groups)
        process = self.start(group)
        if process is not None:
            self.give(
                process, set(range(self.partitions)) if self.draw.chance(0.6) else {self.draw.below(self.partitions)}
            )

    def start(self, group: Group, plan: int | None = None) -> Process | None:
        number = self.plan if plan is None else plan
        before = self.registry_state()
        try:
            process = Process(self, group, plan)
        except (StoreUnavailable, Killed):
            self.say("died at the start")
            return None
        except RegistryMismatch as error:
            state = self.registry_state()
            refused = state is None or state.plan != PLANS[number].plan.id or state.closing is not None
            refused = refused or state != before  # it was read before something that was on its way landed
            self.checks.require("no-needless-end", refused, f"refused at the start: {error}")
            self.say("refused at the start")
            return None
        state = self.registry_state()
        self.checks.require(
            "plan-and-log-identity",
            process.registration.plan == PLANS[self.plan].plan.id or plan is None,
            "a process of a plan that is not open was let in",
        )
        self.say("spawn")
        self.processes.append(process)
        return process

    def give(self, process: Process, partitions: set[int]) -> None:
        """Partitions get a new owner; the old one is told in time, too late, or never."""
        group = process.group
        for number in partitions:
            old = group.owners.get(number)
            if old is process:
                continue
            if old is not None and old.alive:
                way = "zombie" if old.busy else self.draw.pick(("revoked", "lost", "zombie"))
                if way == "revoked":
                    self.say("revoked")
                    old.looping = True
                    try:
                        old.guarded(lambda old=old, number=number: old.source.revoke({number}))
                    finally:
                        old.looping = False
                elif way == "lost":
                    old.source.tell("lost", {number})
                else:
                    self.say("zombie")
            if not process.alive:
                return
            group.owners[number] = process
            process.source.tell("assigned", {number})

    def kill(self) -> None:
        """kill -9."""
        if self.processes:
            self.say("kill")
            self.draw.pick(self.processes).die()

    def rebalance(self) -> None:
        """A partition goes to another member, or a process leaves in good order."""
        idle = [process for process in self.processes if not process.busy]
        if not idle:
            return
        process = self.draw.pick(idle)
        if self.draw.chance(0.3):
            self.say("leave")
            process.looping = True
            process.leave()
        else:
            self.say("rebalance")
            self.give(process, {self.draw.below(self.partitions)})

    def buried(self, process: Process) -> None:
        """A process is no more."""
        if process in self.processes:
            self.processes.remove(process)
        for number, owner in list(process.group.owners.items()):
            if owner is process:
                del process.group.owners[number]

    # --- events of scenarios -------------------------------------------------------------------------------------

    def retention(self) -> None:
        """The log's start moves, not past what every sink has."""
        number = self.draw.below(self.partitions)
        log = self.topic.logs[number]
        stands = [self.stands(sink, number) for group in self.groups for sink in group.kinds]
        limit = min((position for position in stands if position is not None), default=0) if None not in stands else 0
        if limit > log.start:
            log.start += 1 + self.draw.below(limit - log.start)
            self.excuses.add("retention")  # ghosts that read below
            self.say("retention")

    def recreate(self) -> None:
        """The topic is deleted and made again."""
        if len(self.topics) < 3:
            self.say("recreated")
            self.topic = Topic(self.topic.incarnation + 1, self.partitions)
            self.topics[self.topic.incarnation] = self.topic
            self._open_columns()
            self.backup = None  # it knows nothing of this topic
            for group in self.groups:
                group.commits.clear()
            for _ in range(self.draw.pick((0, 2, 12))):
                self.produce()

    def stall(self) -> None:
        """The archive's file system goes down, or comes back."""
        self.archive_down = not self.archive_down
        self.say("archive stalls" if self.archive_down else "archive is back")

    def foreigner(self) -> None:
        """A process with another plan wants to take part."""
        if self.registry_state() is not None:
            self.start(self.draw.pick(self.groups), plan=self.other)

    def compact(self) -> None:
        """The broker removes a record from the midst of a log, as a topic that is compacted would."""
        number = self.draw.below(self.partitions)
        log = self.topic.logs[number]
        if log.end > log.start + 1:  # never the last one: a hole is noticed by what comes behind it
            log.holes.add(log.start + self.draw.below(log.end - log.start - 1))
            self.excuses.add("hole")
            self.say("compacted")

    def vandal(self) -> None:
        """A client that is not ours puts other bytes under the very timestamp that a flush is about to put."""
        flushes = [process.engine.latest for process in self.processes if process.engine.latest]
        if flushes:
            _, keys, timestamp = self.draw.pick(self.draw.pick(flushes))
            key = self.draw.pick(keys)
            if self.cells.blocks.get(key, (0,))[0] < timestamp:
                self.cells.blocks[key] = (timestamp, b"not ours")
                self.damaged[key] = timestamp
                self.excuses.add("foreign write")
                self.say("foreign write")

    def _repair(self) -> None:
        """Somebody found the foreign cells, and puts what should be there."""
        for (table, row, qualifier), timestamp in self.damaged.items():
            truth = self.oracles[blocks.parse_qualifier(qualifier)][-1].value((table, row), timestamp)
            assert truth is not None
            if self.cells.blocks[table, row, qualifier] == (timestamp, b"not ours"):
                self.cells.blocks[table, row, qualifier] = (timestamp, truth)

    def truncate(self) -> None:
        """With nobody running, the broker loses the end of the log, and other records take its place."""
        number = self.draw.below(self.partitions)
        log = self.topic.logs[number]
        if "log cut" in self.excuses or log.end < 4 or self.depth:
            return
        self.empty()
        end = max(log.start, log.end - 1 - self.draw.below(4))
        lost = log.end - end
        self.old_logs.setdefault((self.topic.incarnation, number), []).append(log)
        self.topic.logs[number] = log.cut(end)
        self.excuses.add("log cut")
        self.oracles[self.column(number)].append(Oracle(self.plan, self.topic.logs[number]))
        qualifier = self.qualifier(self.column(number))
        for key, (held, _) in self.cells.blocks.items():
            if key[2] == qualifier and held > end:
                self.ahead[key] = held
        self.say("truncated")
        for _ in range(self.draw.below(lost + 4)):
            self.produce()

    def overrun(self) -> None:
        """Retention is faster than the consumers: what they have not read yet is gone."""
        number = self.draw.below(self.partitions)
        log = self.topic.logs[number]
        stands = [self.stands(sink, number) for group in self.groups for sink in group.kinds]
        if self.pending is None and None not in stands and log.end > min(stands):  # type: ignore[type-var]
            log.start = max(log.start, min(stands) + 1 + self.draw.below(log.end - min(stands)))  # type: ignore
            self.excuses |= {"loss", "retention"}
            self.say("overrun")

    def record_gap(self) -> None:
        """With nobody running, an operator puts the loss on record."""
        if "loss" not in self.excuses or self.depth:
            return
        self.empty()
        self.command(GAP, record_gap(self))

    def _lose(self) -> None:
        """A gap is about to be recorded: what the log does not have any more is in no block from now on.

        Also where that died half-way: what opens a plan may have landed meanwhile, and the gap is that plan's then.
        """
        for partition, log in enumerate(self.topic.logs):
            column = self.column(partition)
            position = self.stands("counters", partition)
            if position is None or position >= log.start or (column, log.start) in self.lost:
                continue
            self.lost.add((column, log.start))
            qualifier = self.qualifier(column)

            def lost(
                name: tuple[str, bytes], position: int = position, log: Log = log, qualifier=qualifier
            ) -> tuple[int, int]:
                base = self.cells.blocks.get((*name, qualifier), (0, b""))[0]
                return max(position, base), max(log.start, base)

            self.oracles[column][-1].extend()
            log.forget(log.start)
            self.oracles[column] = [self.oracles[column][-1].without(lost, log.start)]

    def reset(self) -> None:
        """An operator resets positions, whoever is running."""
        if self.registry_state() is not None:
            self.command("positions reset", reset_positions(self))

    def fence(self) -> None:
        if self.registry_state() is not None:
            self.command("fenced", fence(self))

    def switch(self) -> None:
        """An operator switches to the other plan, or takes the switch back."""
        state = self.registry_state()
        if state is None:
            return
        if state.closing is not None and self.draw.chance(0.3):
            self.pending = None
            self.command("switch taken back", abort_switch(self))
        else:
            self.targets.add(PLANS[self.other].plan.id)
            self.command("switched", switch_plan(self, self.other))

    def command(self, name: str, command: Command) -> None:
        """Give a command, or the one again that did not go through."""
        if self.depth:
            return
        if self.pending is not None:
            name, command = self.pending
        self.pending = (name, command)
        done = self._attempt(name, command)
        self.pending = None if done else self.pending

    def _attempt(self, name: str, command: Command) -> bool:
        if name == GAP:
            self._lose()
        done = attempt(self, name, command)
        if done and name == GAP:
            self.excuses.discard("loss")
        return done

    def copy(self) -> None:
        """A backup goes on: the control table first, then the blocks, region by region."""
        if self.backup is None:
            counted = all(self.stands("counters", number) is not None for number in range(self.partitions))
            if counted and self.pending is None:
                self.backup = Backup(dict(self.cells.control))
                self.say("backup begun")
        elif self.backup.regions:
            region = self.backup.regions.pop(self.draw.below(len(self.backup.regions)))
            for key, cell in self.cells.blocks.items():
                if sum(key[1]) % 3 == region:
                    self.backup.blocks[key] = cell
            self.say("region copied")
        elif not self.depth:
            self.restore()

    def restore(self) -> None:
        """The backup takes the store's place, fenced before anybody sees it; ghosts and late writes are still there."""
        backup, self.backup = self.backup, None
        assert backup is not None
        if self.pending is not None:
            return
        draw = self.draw
        for process in list(self.processes):
            if not process.busy and draw.chance(0.5):
                process.die()
        for group in self.groups:
            group.owners.clear()
        self.cells.late = [late for late in self.cells.late if late.row != ROW]  # operators wait out what they gave
        held = self.cells
        private = PlainCells(backup.control, backup.blocks)
        store = PlainStore(private)
        reset.fence(store, Registry(store, TOPIC, lambda: self.topic.incarnation), self.stride)
        held.control, held.blocks = private.control, private.blocks
        self.say("restored")
        self.state_changed()

    def lose_control(self) -> None:
        """With nobody running, the control table is lost."""
        if self.depth or "control lost" in self.excuses or not self.archiving or self.pending is not None:
            return
        self.empty()
        self.excuses.add("control lost")
        secret = self.cells.control[INSTALLATION, b"secret"]
        self.cells.control.clear()
        self.cells.control[INSTALLATION, b"secret"] = secret
        self.say("control table lost")

    def empty(self) -> None:
        """Everybody is stopped, and every write that is under way is waited out."""
        for process in list(self.processes):
            process.die()
        while self.cells.late:
            self.cells.late.pop(self.draw.below(len(self.cells.late))).arrive()

    # --- the end -------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """No more faults: a fresh process of each group brings everything to the end; ghosts may still be there."""
        draw = self.draw
        self.depth = 1  # no operator begins anything any more
        while draw.chance(0.5) and self.processes:
            draw.pick(self.processes).die()
        while self.cells.late and draw.chance(0.5):
            self.cells.late.pop(draw.below(len(self.cells.late))).arrive()
        self.faults = self.archive_down = False
        self.depth = 0
        self._repair()
        self._settle()
        ghosts = list(self.processes)
        for group in self.groups:
            process = self._last(group)
            for _ in range(400):
                process.clock.now += 1.0
                process.guarded(process.loop.turn)
                for worker in process.workers:
                    process.guarded(worker.run)
                process.notice_stops()
                if process.corrupt and "log cut" in self.excuses:
                    break  # it says so at every start
                if not process.alive:
                    process = self._last(group)
                    continue
                if ghosts and draw.chance(0.1):
                    ghost = draw.pick(ghosts)
                    if ghost.alive:
                        ghost.clock.now += 1.0
                        ghost.guarded(ghost.loop.turn)
                if process.alive and process.durable():
                    break
            else:
                raise Violation(
                    "progress", f"{[sink.status() for sink in process.sinks]} {process.loop.assignment.partitions}"
                )
            self.checks.made["progress"] += 1
            group.owners.clear()
            self.final(process)
        while self.cells.late:
            self.cells.late.pop().arrive()
        for group in self.groups:
            self.final(None, group)

    def _settle(self) -> None:
        """Commands that died half-way go through now; a switch may also be taken back."""
        self._end_switch()  # what was claimed of one may have come into force since: nothing else goes through before
        if self.pending is not None:
            name, command = self.pending
            done = self._attempt(name, command)
            self.checks.require("command-finishes", done or self._held_up(), f"{name} does not go through")
        self._end_switch()

    def _end_switch(self) -> None:
        state = self.registry_state()
        if state is not None and state.closing is not None:
            done = attempt(self, "switched", switch_plan(self, self.other))
            self.checks.require("command-finishes", done or self._held_up(), "the switch does not go through")
            if not done:
                done = attempt(self, "switch taken back", abort_switch(self))
                self.checks.require("command-finishes", done, "the switch can not be taken back")

    def _held_up(self) -> bool:
        """Whether something else must be put right before a command can go through."""
        counted = self.registry_state() is not None and all(
            self.stands("counters", number) is not None for number in range(self.partitions)
        )
        return not counted or bool(self.excuses & {"loss", "log cut", "retention"})

    def _last(self, group: Group) -> Process:
        for _ in range(20):
            process = self.start(group)
            if process is not None:
                for number in range(self.partitions):
                    group.owners[number] = process
                    process.source.tell("assigned", {number})
                return process
        raise Violation("progress", "no process starts any more")

    def final(self, process: Process | None, group: Group | None = None) -> None:
        """Every counter is exact and the archive whole."""
        kinds = process.kinds if process is not None else group.kinds if group is not None else ()
        for number, log in enumerate(self.topic.logs):
            for sink in kinds:
                if process is not None and process.stopped_for(sink, number):
                    self.given_up.add((sink, number))
                if (sink, number) in self.given_up:
                    continue
                if sink == "counters":
                    missing = self.checks.missing(self.column(number), log.end)
                    self.checks.require("final-counters", missing is None, f"partition {number}: {missing}")
                else:
                    end = self.stands("archive", number)
                    self.checks.require(
                        "final-archive", end == log.end, f"partition {number} is archived to {end} of {log.end}"
                    )
                    if self.real:
                        self._verify_deep(number)

    def _verify_deep(self, number: int) -> None:
        from flurry_fast.archive.verify import verify

        survey = verify(self.chain(self.topic.incarnation, number), deep=True)
        self.checks.require("archive-deep", survey.ok, f"{survey.findings}")


STOPS: tuple[tuple[str, set[str]], ...] = (  # words of a reason, and what must have happened for it to be one
    ("came where", {"hole"}),
    ("it was truncated", {"log cut"}),
    ("the log or the archive was replaced", {"log cut"}),
    ("truncated or replaced", {"log cut"}),
    ("no longer in the log", {"log cut", "loss", "retention"}),
    ("other records below", {"log cut"}),
    ("CRC", {"log cut"}),
    ("retention removed", {"loss", "retention"}),
    ("was counted without an archive", {"counters first"}),
    ("must know whose sessions", {"loss", "retention", "control lost"}),
    ("their position is gone", {"control lost", "begun under a reset"}),
    ("is archived from offset", {"control lost"}),
    ("the store has no position", {"control lost", "begun under a reset"}),
    ("what it has beside them is not whole", {"control lost", "loss"}),
)


@dataclass
class Backup:
    """A copy of the store: first the control table, then, at other moments, the regions of the block tables."""

    control: dict[tuple[bytes, bytes], ControlCell]
    blocks: dict[CellKey, tuple[int, bytes]] = field(default_factory=dict)
    regions: list[int] = field(default_factory=lambda: [0, 1, 2])  # still to be copied


@cache
def _decode_state(timestamp: int, value: bytes) -> State:
    from flurry_fast import registry

    return registry._decode(value, timestamp)


def _state(cell: ControlCell) -> State:
    return _decode_state(cell.timestamp, cell.value)


Step = Callable[[], Any]
