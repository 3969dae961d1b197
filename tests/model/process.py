"""One consumer: the product's own parts, on simulated ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pyarrow as pa
from clocks import ManualClock

from flurry_fast import _core
from flurry_fast.archive.chain import Chain
from flurry_fast.consumer.loop import Consumer
from flurry_fast.consumer.memory import Governor
from flurry_fast.consumer.ports import Listener
from flurry_fast.errors import FlurryFastError, RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.registry import Registration, Registry
from flurry_fast.sinks.archive import ArchiveSink
from flurry_fast.sinks.base import Sink
from flurry_fast.sinks.counters import CountersSink
from model.cells import CellKey, UnreliableStore
from model.checks import ProcessWatch
from model.errors import Killed, Violation
from model.files import UnreliableFiles
from model.records import PLANS

if TYPE_CHECKING:
    from model.world import Group, World

T = TypeVar("T")
TOPIC = "reports"


class Engine:
    """The compiled engine, with somebody who looks at what it is told."""

    def __init__(self, inner: Any, watch: ProcessWatch) -> None:
        self._inner, self._watch = inner, watch
        self._parts: dict[int, list[tuple[int, list[CellKey], int]]] = {}
        self.latest: list[tuple[int, list[CellKey], int]] = []  # of the newest flush
        for name in (
            "drop", "rewind", "absorb", "seed", "resume", "stopped", "abandon", "evict", "archive_take",
            "archive_reset", "memory", "stats", "partitions", "peek_block", "touched",
        ):  # fmt: skip
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def assign(self, partition: int, **arguments: Any) -> Any:
        counters = arguments.get("counters")
        if counters is not None:
            self._watch.starts_anew(partition, counters.position)
        return self._inner.assign(partition, **arguments)

    def counters_shed(self, partition: int, position: Any, **arguments: Any) -> Any:
        self._watch.starts_anew(partition, position.position)
        return self._inner.counters_shed(partition, position, **arguments)

    def freeze(self, partitions: Any) -> Any:
        flush = self._inner.freeze(partitions)
        if flush is not None:
            self._parts[flush.id] = self.latest = parts = [
                (
                    part.partition,
                    [(part.table, row, part.qualifier) for row in pa.array(part.rows).to_pylist()],
                    part.timestamp,
                )
                for part in flush.parts
            ]
            self._watch.frozen(parts, [(item.partition, item.position) for item in flush.positions])
        return flush

    def acknowledge(self, flush: Any) -> None:
        self._watch.acknowledged(self._parts[flush.id])
        self._inner.acknowledge(flush)


class Actor:
    """A process as stores and topic see it: a consumer, or an operator's command."""

    registration: Registration

    def __init__(self, world: World, kinds: tuple[str, ...]) -> None:
        self.world, self.kinds = world, kinds
        self.clock = ManualClock()
        self.alive, self.failed = True, False
        self.group: Group | None = None
        self.watch: ProcessWatch
        self.store: UnreliableStore
        self.files: UnreliableFiles

    def identify(self) -> int:
        """Which topic it is, asked of the broker."""
        if self.world.faults and self.world.draw.chance(0.01):
            self.world.happened["identity not told"] += 1
            raise StoreUnavailable("the broker does not say which topic it is")
        self.watch.identified = True
        return self.world.topic.incarnation

    def outdated(self) -> bool:
        """Whether what it started with is not what is in force."""
        registration, world = self.registration, self.world
        return registration.incarnation != world.topic.incarnation or world.state_of_registry() != (
            registration.revision,
            registration.generation,
            registration.plan,
        )

    def die(self) -> None:
        """kill -9: nothing it does arrives any more but what is on its way."""
        self.alive = False
        self.store.dead = self.files.dead = True


class Process(Actor):
    """A member of a consumer group, until somebody takes its partitions away: then it may not know that yet."""

    def __init__(self, world: World, group: Group, plan: int | None = None) -> None:
        super().__init__(world, group.kinds)
        self.group = group
        self.looping = self.working = False
        self.corrupt = False  # the store had what the scheme rules out
        self._noticed: dict[tuple[int, str], str] = {}
        number = world.plan if plan is None else plan
        self.watch = ProcessWatch(self, world.checks)
        self.store = UnreliableStore(world, self.watch)
        registry = Registry(self.store, TOPIC, self.identify)
        plan_value = PLANS[number].plan
        self.store.calm = not world.draw.chance(0.3)  # most starts are not what a schedule is about
        self.registration = registry.open(plan_value.id, plan_value.toml, world.partitions)
        self.store.calm = False
        inner = _core.Engine(
            plan_value,
            incarnation=self.registration.incarnation,
            secret=self.registration.secret,
            counters="counters" in self.kinds,
            archive="archive" in self.kinds,
        )
        self.engine = Engine(inner, self.watch)
        self.workers: list[SteppedWorker] = []
        self.files = UnreliableFiles(world, self.watch)
        self.source = LogSource(world, self)
        self.sinks: list[Sink[Any]] = []
        settings = world.settings
        engine: Any = self.engine
        if "archive" in self.kinds:
            self.sinks.append(
                ArchiveSink(
                    engine,
                    settings.archive,
                    TOPIC,
                    registry,
                    self.registration,
                    self._worker(),
                    self.clock,
                    self.files,
                    world.format,
                )
            )
        if "counters" in self.kinds:
            self.sinks.append(
                CountersSink(
                    engine, settings.counters, self.store, registry, self.registration, self._worker(), self.clock
                )
            )
        self.loop = Consumer(
            settings.consume,
            self.source,
            engine,
            self.sinks,
            self.registration,
            registry.positions(self.registration),
            self.clock,
            drain_seconds=2.0,
            verify=lambda: registry.verify(self.registration),
            archive=self.chain if world.archiving else None,
        )
        if world.budget is not None:
            self.loop.governor = Governor(engine, self.source, self.sinks, world.budget)
        assignment = self.loop.assignment
        self.told, assignment._drained = assignment._drained, self.drained
        self.source.subscribe(assignment)

    def chain(self, partition: int) -> Chain:
        """Of a partition's archive, whoever writes it."""
        return Chain(self.files, TOPIC, self.registration.incarnation, partition, self.world.format)

    def _worker(self) -> SteppedWorker:
        worker = SteppedWorker(self)
        self.workers.append(worker)
        return worker

    @property
    def busy(self) -> bool:
        """In the midst of a call, on either thread."""
        return self.looping or self.working

    # --- getting on ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """A thread of the process gets on: the loop's, or a worker's while the loop may be waiting."""
        if self.world.draw.chance(0.2):
            self._work()
        elif not self.looping:
            self.looping = True
            try:
                self.guarded(self._turn)
            finally:
                self.looping = False
            self.notice_stops()

    def guarded(self, work: Callable[[], object]) -> None:
        """Do something that may end the process."""
        before = self.watch.enter()
        try:
            work()
        except Killed:
            self.die()
        except RegistryMismatch as error:
            self._fail(error)
            self.world.happened["ended: registry mismatch"] += 1
            self.world.checks.require("no-needless-end", self.outdated(), f"{error}")
        except StoreCorrupt as error:
            self.corrupt = True
            self._fail(error)
            self.world.happened["ended: store corrupt"] += 1
            self.world.checks.require(
                "no-needless-end", self.world.excuses & {"log cut", "foreign write"} or self.outdated(), f"{error}"
            )
        except FlurryFastError as error:
            self._fail(error)
            self.world.happened["ended: gave up"] += 1
        except Exception as error:
            raise Violation("no-crash", f"{type(error).__name__}: {error}") from error
        finally:
            self.watch.leave(before)

    def _fail(self, error: FlurryFastError) -> None:
        """The loop ends with an error, in the product's own way; the process is gone then."""
        self.failed = True
        try:
            self._leave_with(error)
        except Exception as other:
            raise Violation("no-crash", f"at its end a loop raised {type(other).__name__}: {other}") from other
        self.die()

    def _leave_with(self, error: FlurryFastError) -> None:
        with suppress(FlurryFastError, Killed), self.loop.leaving():
            raise error

    def drained(self, complete: bool) -> None:
        """A revoke says whether everything that was taken is durable."""
        self.world.happened["drained"] += complete
        for state in self.engine.partitions():
            if complete and state.partition in self.source.leaving and not state.stopped:
                self._check_drained(state)
        self.told(complete)

    def _check_drained(self, state: Any) -> None:
        if state.partition in self.loop.assignment._rewinds:
            return  # a sink waits for records to be read again: it took none of these
        stopped = self.loop.assignment.partitions[state.partition].stopped
        for sink in self.sinks:
            durable = sink.durable(state.partition)
            self.world.checks.require(
                "drained-is-durable",
                sink.name in stopped or (durable is not None and durable >= state.next_offset),
                f"partition {state.partition} was read to {state.next_offset}, the {sink.name} have {durable}",
            )

    def _work(self) -> None:
        if not self.working and self.workers:
            self.working = True
            try:
                self.guarded(self.world.draw.pick(self.workers).run)
            finally:
                self.working = False

    def _turn(self) -> None:
        world, draw = self.world, self.world.draw
        what = draw.weighted(TURN)
        if what == 0:
            self.clock.now += draw.pick((0.01, 0.01, 0.5, 4.0))
            self.loop.turn()
        elif what == 1:
            world.happened["evict"] += self.engine.evict(0) > 0
        else:
            freed = draw.pick(self.sinks).shed()
            world.happened["shed"] += freed > 0

    def notice_stops(self) -> None:
        """A sink that stopped must have had a reason."""
        for number, partition in self.loop.assignment.partitions.items():
            for sink, reason in partition.stopped.items():
                if self._noticed.get((number, sink)) != reason:
                    self._noticed[number, sink] = reason
                    self.world.stopped(self, number, sink, reason)

    def stopped_for(self, sink: str, partition: int) -> bool:
        """Whether this process takes nothing more of a partition for a sink, for good."""
        return self.corrupt or sink in self.loop.assignment.partitions[partition].stopped

    def leave(self) -> None:
        """An orderly end: drain, commit, leave."""

        def close() -> None:
            self.source.close()

        self.guarded(close)
        self.die()

    def die(self) -> None:
        super().die()
        self.world.buried(self)

    def durable(self) -> bool:
        """Whether every sink that goes on has all of every partition of ours, and the log was read to its end.

        A position may stand at the end before anything is read; what is wrong with the log is seen only then.
        """
        read = {state.partition: state.next_offset for state in self.engine.partitions()}
        for number, partition in self.loop.assignment.partitions.items():
            end = self.world.topic.logs[number].end
            going_on = [sink for sink in self.sinks if sink.name not in partition.stopped]
            if going_on and read.get(number) != end:
                return False
            for sink in self.sinks:
                if sink.name not in partition.stopped and sink.durable(number) != end:
                    return False
        return len(self.loop.assignment.partitions) == self.world.partitions


TURN = (0.90, 0.97, 1.0)


class DrainError(NamedTuple):
    name: str
    partition: int
    offset: int
    reason: str


@dataclass
class Stats:
    """What a source counts."""

    native: bool = True
    commits: int = 0
    commit_failures: int = 0
    librdkafka: dict[str, Any] = field(default_factory=dict)


class LogSource:
    """The topic as a member of the group reads it: by name, whatever topic has that name now."""

    def __init__(self, world: World, process: Actor) -> None:
        self._world, self._process = world, process
        self.stats = Stats()
        self.listener: Listener | None = None
        self.next: dict[int, int] = {}
        self._paused: set[int] = set()
        self.leaving: set[int] = set()
        self._news: list[tuple[str, set[int]]] = []

    def subscribe(self, listener: Listener) -> None:
        self.listener = listener

    def tell(self, kind: str, partitions: set[int]) -> None:
        """The group has news; it is heard at a drain."""
        self._news.append((kind, partitions))

    def revoke(self, partitions: set[int]) -> None:
        """Taken away with a warning: the partitions leave when this returns."""
        assert self.listener is not None
        self.leaving = partitions & set(self.next)
        self._news = [(kind, rest - partitions) for kind, rest in self._news]
        if self.leaving:
            self.listener.revoked(self.leaving)

    def drain(self, max_messages: int, max_bytes: int, timeout: float) -> tuple[Any, list[Any]]:
        world, draw = self._world, self._world.draw
        assert self.listener is not None or not self._news
        while self._news and self.listener is not None:
            if self._news[0][0] == "lost" and world.faults and draw.chance(0.7):
                break  # it does not know yet
            kind, partitions = self._news.pop(0)
            if kind == "lost":
                partitions &= set(self.next)
                if partitions:
                    world.happened["lost"] += 1
                    self.listener.lost(partitions)
            elif partitions:
                missed = partitions & set(self.next)
                if missed:  # the member hears first that it had lost them
                    self.listener.lost(missed)
                self.listener.assigned(set(partitions))
        readable = [number for number in sorted(self.next) if number not in self._paused]
        if not readable:
            return None, []
        number = readable[0] if len(readable) == 1 else draw.pick(readable)
        log, first = world.topic.logs[number], self.next[number]
        if first > log.end or first < log.start:
            world.happened["offset out of range"] += 1
            return None, [DrainError("_AUTO_OFFSET_RESET", number, first, "Broker: Offset out of range")]
        if first == log.end:
            return None, []
        count = (
            min(1 + draw.below(max_messages), log.end - first) if world.faults else min(max_messages, log.end - first)
        )
        self.next[number] = first + count
        batch = log.batch(first, count, number)
        return (batch if len(batch) else None), []

    def assign(self, offsets: Mapping[int, int]) -> None:
        self.next.update(offsets)

    def unassign(self, partitions: set[int]) -> None:
        for number in partitions:
            self.next.pop(number, None)
        self._paused -= partitions

    def seek(self, partition: int, offset: int) -> None:
        self.next[partition] = offset

    def pause(self, partitions: set[int]) -> None:
        self._paused |= partitions

    def resume(self, partitions: set[int]) -> None:
        self._paused -= partitions

    def watermarks(self, partition: int) -> tuple[int, int]:
        world = self._world
        if world.faults and world.draw.chance(0.02):
            world.happened["watermarks failed"] += 1
            raise StoreUnavailable("the broker does not answer")
        log = world.topic.logs[partition]
        return log.start, log.end

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        world = self._world
        if world.faults and world.draw.chance(0.02):
            raise StoreUnavailable("the broker does not answer")
        log = world.topic.logs[partition]
        return next((offset for offset in range(log.start, log.end) if log.times[offset] >= timestamp), None)

    def committed(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        held = self._process.group.commits if self._process.group is not None else {}
        return {number: held[number] for number in partitions if number in held}

    def commit(self, offsets: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        world, group = self._world, self._process.group
        assert group is not None
        world.checks.require("nothing-after-failure", not self._process.failed, "a failed loop commits")
        for number, (offset, metadata) in offsets.items():
            world.checks.commit(self._process, number, offset)
            if group.owners.get(number) is not self._process or (world.faults and world.draw.chance(0.1)):
                self.stats.commit_failures += 1
                continue
            group.commits[number] = (offset, metadata)
            self.stats.commits += 1

    def close(self) -> None:
        if self.next and self.listener is not None:
            self.leaving = set(self.next)
            self.listener.revoked(self.leaving)


class SteppedWorker:
    """Jobs run when the schedule says so, or when somebody waits for them."""

    def __init__(self, process: Actor) -> None:
        self.process = process
        self._jobs: list[tuple[Callable[[], Any], SteppedJob]] = []

    def submit(self, work: Callable[[], T]) -> SteppedJob:
        job = SteppedJob(self)
        self._jobs.append((work, job))
        failed = self.process.failed
        self.process.world.checks.require("nothing-after-failure", not failed, "a failed loop starts to write")
        return job

    def run(self) -> None:
        while self._jobs:
            work, job = self._jobs.pop(0)
            before = self.process.watch.enter()
            try:
                job.set_result(work())
            except FlurryFastError as error:
                job.set_exception(error)
            finally:
                self.process.watch.leave(before)
            if self.process.world.draw.chance(0.5):
                return

    def close(self) -> None:
        """The process is gone; what it started may still be under way."""


class SteppedJob(Future[Any]):
    """Waiting for it lets the worker work, or time run out."""

    def __init__(self, worker: SteppedWorker) -> None:
        super().__init__()
        self._worker = worker

    def result(self, timeout: float | None = None) -> Any:
        world = self._worker.process.world
        if not self.done():
            if world.faults and world.draw.chance(0.3):
                self._worker.process.clock.now += timeout or 0.0
                raise TimeoutError
            self._worker.run()
        if not self.done():
            self._worker.process.clock.now += timeout or 0.0
            raise TimeoutError
        return super().result(timeout=0)
