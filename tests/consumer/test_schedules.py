"""Random schedules of crashes, zombies, rebalances and failing calls: the counters are exact after every one.

Each test with a seeded bug shows that these schedules would notice.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from world import World

from flurry_fast.errors import FlurryFastError
from flurry_fast.sinks.counters import CountersSink, Snapshot
from flurry_fast.verify.compare import Comparison

SCHEDULES = int(os.environ.get("FLURRY_FAST_SCHEDULES", "150"))


def run(seed: int, sink: type[CountersSink] = CountersSink, folder: Path | None = None) -> Comparison:
    world = World(seed, folder=folder)
    for _ in range(world.random.randint(1, 3)):
        world.produce()
    world.spawn(sink)
    for _ in range(world.random.randint(40, 140)):
        world.step()
    world.processes.clear()
    late = world.random.random() < 0.5
    world.faults = False
    if not late:
        for put in world.late:
            put()
        world.late.clear()
    world.spawn()
    world.processes[-1].finish()
    for put in world.late:
        put()
    if folder is not None:
        survey = world.survey()
        assert survey.ok, (f"seed {seed}", survey.findings)
        assert (survey.origin, survey.end, survey.rows) == (0, len(world.log), len(world.log)), f"seed {seed}"
    return world.compare()


@pytest.mark.parametrize("start", range(0, SCHEDULES, 50))
def test_every_schedule_ends_exact(start: int) -> None:
    for seed in range(start, start + 50):
        comparison = run(seed)
        assert comparison.exact, (f"seed {seed}", [str(difference) for difference in comparison.differences[:5]])


@pytest.mark.parametrize("start", range(0, max(40, SCHEDULES // 4), 20))
def test_the_archive_beside_the_counters_is_whole(start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 20):
        folder = tmp_path / str(seed)
        comparison = run(10_000 + seed, folder=folder)
        assert comparison.exact, (f"seed {seed}", [str(difference) for difference in comparison.differences[:5]])
        shutil.rmtree(folder)


class PositionFirst(CountersSink):
    """Bug: the position before the last acknowledgement."""

    def _push(self, snapshot: Snapshot) -> None:
        for partition, position in snapshot.positions:
            self._positions.put(partition, position)
        super()._push(snapshot)


class FailureIsSuccess(CountersSink):
    """Bug: an exception of the store is taken as done."""

    def _push(self, snapshot: Snapshot) -> None:
        try:
            super()._push(snapshot)
        except FlurryFastError:
            for partition, position in snapshot.positions:
                self._store_position(partition, position)

    def _store_position(self, partition: int, position: object) -> None:
        try:
            self._positions.put(partition, position)  # type: ignore[arg-type]
        except FlurryFastError:
            return


@pytest.mark.parametrize("bug", [PositionFirst, FailureIsSuccess])
def test_a_seeded_bug_is_noticed(bug: type[CountersSink], monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = World.spawn
    monkeypatch.setattr(World, "spawn", lambda world, sink=CountersSink: spawn(world, bug if world.faults else sink))
    assert not all(run(seed, bug).exact for seed in range(150))
