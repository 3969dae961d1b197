"""What operators do, through the product's own code, on stores that fail under them as they do under everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flurry_fast._core import Plan
from flurry_fast.archive.chain import Chain
from flurry_fast.config.model import Settings
from flurry_fast.errors import FlurryFastError, RegistryMismatch, StoreUnavailable
from flurry_fast.operations import gap, reset
from flurry_fast.operations.bounded import PartitionStuck, run_to
from flurry_fast.operations.ports import Bounds, Record
from flurry_fast.operations.switch import Seams, SwitchRefused, SwitchUnfinished, Target, abort, switch
from flurry_fast.ports import Worker
from flurry_fast.registry import Registration, Registry
from model.cells import UnreliableStore
from model.checks import ProcessWatch
from model.errors import Killed
from model.files import UnreliableFiles
from model.process import TOPIC, Actor, LogSource, SteppedWorker
from model.records import PLANS

if TYPE_CHECKING:
    from model.world import World

Command = Callable[["Operator"], None]
TURNS = 300  # of the bounded consumer, before somebody presses Ctrl-C
SETTINGS = Settings().model_copy(update={"archive": Settings().archive.model_copy(update={"root": "archive"})})


class Operator(Actor):
    """One command's process."""

    def __init__(self, world: World) -> None:
        super().__init__(world, ("counters",))
        self.watch = ProcessWatch(self, world.checks)
        self.store = UnreliableStore(world, self.watch)
        self.files = UnreliableFiles(world, None)
        self.registry = Registry(self.store, TOPIC, self.identify)
        self.log = View(world)
        self.worker = SteppedWorker(self)

    def chains(self, incarnation: int, partition: int) -> Chain:
        return Chain(self.files, TOPIC, incarnation, partition, self.world.format)

    def run(self, plan: Plan, registration: Registration, ends: Mapping[int, int]) -> None:
        """The bounded consumer of a plan switch: the product's loop over the simulated log."""
        self.registration = registration
        left = TURNS

        def stop() -> bool:
            nonlocal left
            left -= 1
            self.clock.now += 0.5
            before = self.watch.enter()
            self.worker.run()
            self.watch.leave(before)
            return left < 0

        world = self.world
        settings = SETTINGS.model_copy(update={"counters": world.settings.counters, "consume": world.settings.consume})
        source = LogSource(world, self)

        def worker(_: str) -> Worker:
            return self.worker

        run_to(
            settings, plan, source, self.store, self.registry, registration, ends, self.clock, worker=worker, stop=stop
        )


class View:
    """The log as operations look at it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _ask(self) -> None:
        if self._world.faults and self._world.draw.chance(0.02):
            raise StoreUnavailable("the broker does not answer")

    def bounds(self, partition: int) -> Bounds:
        self._ask()
        log = self._world.topic.logs[partition]
        return Bounds(log.start, log.end)

    def record(self, partition: int, offset: int) -> Record:
        self._ask()
        log = self._world.topic.logs[partition]
        if not log.start <= offset < log.end:
            raise StoreUnavailable("there is no such record any more")
        return Record(log.crcs[offset], log.times[offset])

    def max_timestamp(self, partition: int, start: int, end: int) -> int:
        return max(self._world.topic.logs[partition].times[start:end], default=-1)

    def offset_at(self, partition: int, timestamp: int) -> int | None:
        log = self._world.topic.logs[partition]
        return next((offset for offset in range(log.start, log.end) if log.times[offset] >= timestamp), None)


def attempt(world: World, name: str, command: Command) -> bool:
    """Give a command once; whether it went through. What died half-way is left for the same command again."""
    operator = Operator(world)
    before = operator.watch.enter()
    try:
        command(operator)
    except Killed:
        world.say(f"{name}: killed")
        return False
    except (reset.ResetRefused, SwitchRefused) as error:
        world.say(f"{name}: refused")
        if world.trace is not None:
            world.trace.append(f"  {error}")
        return True
    except (RegistryMismatch, SwitchUnfinished, PartitionStuck, FlurryFastError) as error:
        world.say(f"{name}: failed")
        if world.trace is not None:
            world.trace.append(f"  {type(error).__name__}: {error}")
        return False
    finally:
        operator.watch.leave(before)
        operator.die()
    world.say(name)
    return True


# --- commands --------------------------------------------------------------------------------------------------------


def reset_positions(world: World) -> Command:
    """Some partitions back to where the draw says."""
    shares = [world.draw.below(5) for _ in range(world.partitions)]

    def command(operator: Operator) -> None:
        def target(ground: reset.Ground) -> int:
            low, high = max(ground.log.start, ground.began), ground.position.position
            return low + max(0, high - low) * shares[ground.partition] // 4

        targets = {number: target for number in range(world.partitions) if world.stands("counters", number) is not None}
        store, registry = operator.store, operator.registry
        plan = reset.prepare(store, registry, operator.chains, operator.log, targets)
        reset.apply(store, registry, plan, world.stride)

    return command


def fence(world: World) -> Command:
    """A new generation, nothing else."""

    def command(operator: Operator) -> None:
        reset.fence(operator.store, operator.registry, world.stride)

    return command


def record_gap(world: World) -> Command:
    """Whatever retention took before it was counted or archived is put on record."""

    def command(operator: Operator) -> None:
        store, registry = operator.store, operator.registry
        losses = gap.prepare(store, registry, operator.chains, operator.log, lambda: world.now)
        gap.record(store, registry, operator.chains, losses, "retention was faster", world.stride)

    return command


def switch_plan(world: World, number: int) -> Command:
    """To plan `number`."""

    def command(operator: Operator) -> None:
        def end(partition: int) -> int:
            return operator.log.bounds(partition).end

        seams = Seams(operator.store, operator.registry, end, operator.run, lambda: world.now)
        switch(seams, Target(PLANS[number].plan.id, PLANS[number].plan.toml))

    return command


def abort_switch(world: World) -> Command:
    """The old plan goes on."""

    def command(operator: Operator) -> None:
        abort(operator.registry, lambda: world.now)

    return command
