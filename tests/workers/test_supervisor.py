"""Starting, starting again, stopping and replacing, without a process."""

from __future__ import annotations

import pytest
from fakes import World

from flurry_fast.workers.supervisor import WorkersKilled, WorkersStopped


def test_all_are_started() -> None:
    world = World(3)
    assert world.tick()
    assert [world.count(n) for n in (1, 2, 3)] == [1, 1, 1]
    assert world.tick(1)
    assert [world.count(n) for n in (1, 2, 3)] == [1, 1, 1]


def test_one_that_dies_comes_back_later_and_later() -> None:
    world = World(2)
    world.tick()
    waited = []
    for _ in range(8):
        world.now(1).code = -9
        world.tick()
        before, start = world.count(1), world.clock.now
        while world.count(1) == before:
            world.tick(0.25)
        waited.append(world.clock.now - start)
    assert waited == sorted(waited)
    assert waited[0] <= 0.5
    assert waited[-1] == waited[-2] == 30
    assert world.count(2) == 1


def test_a_calm_time_makes_up_for_earlier_ends() -> None:
    world = World(1)
    world.tick()
    for _ in range(5):
        world.now(1).code = 1
        world.tick()
        world.tick(30)
    world.now(1).steady()
    world.tick()
    world.tick(61)
    world.now(1).code = 1
    world.tick()
    world.tick(0.5)
    assert world.count(1) == 7


@pytest.mark.parametrize("code", [2, 3])
def test_an_end_that_would_come_again_stops_all(code: int) -> None:
    world = World(3)
    world.tick()
    world.now(2).code = code
    with pytest.raises(
        WorkersStopped, match=f"w-2 can not go on \\(exit status {code}\\).*because of the test"
    ) as told:
        world.supervisor.run()
    assert told.value.exit_code == 3
    assert [world.now(n).asked for n in (1, 2, 3)] == [1, 0, 1]
    assert [world.count(n) for n in (1, 2, 3)] == [1, 1, 1]


def test_a_world_that_is_over_is_tried_once_more() -> None:
    world = World(2)
    world.tick()
    world.now(1).code = 4
    world.tick()
    world.tick(1)
    assert world.count(1) == 2
    world.now(1).steady()  # the topic was made again: it goes on with the new one
    world.tick()
    world.now(1).code = 4
    world.tick()
    world.tick(2)
    assert world.count(1) == 3
    world.now(1).code = 4  # refused at its start
    with pytest.raises(WorkersStopped):
        world.supervisor.run()


def test_stop_asks_once_and_waits() -> None:
    world = World(2)
    world.tick()
    world.now(2).obeys = False
    world.supervisor.stop()
    for _ in range(5):
        assert world.tick(1)
    assert [world.now(n).asked for n in (1, 2)] == [1, 1]
    world.now(2).code = 0
    assert not world.tick()
    world.supervisor.run()
    assert [world.count(n) for n in (1, 2)] == [1, 1]


def test_a_second_stop_kills() -> None:
    world = World(2)
    world.tick()
    world.now(1).obeys = world.now(2).obeys = False
    world.supervisor.stop()
    assert world.tick()
    world.supervisor.stop()
    with pytest.raises(WorkersKilled, match=r"w-1 \(by SIGKILL\), w-2 \(by SIGKILL\)"):
        world.supervisor.run()


def test_one_that_does_not_end_is_killed() -> None:
    world = World(1)
    world.tick()
    world.now(1).obeys = False
    world.supervisor.stop()
    world.tick()
    world.tick(29)
    assert not world.now(1).killed
    world.tick(2)
    assert world.now(1).killed == 1


def test_workers_are_replaced_one_by_one() -> None:
    world = World(3)
    world.tick()
    world.supervisor.restart()
    world.tick()
    assert [world.count(n) for n in (1, 2, 3)] == [1, 1, 1], "nobody is taken down before all are steady"
    world.all_steady()
    for number in (1, 2, 3):
        for _ in range(20):
            world.tick(1)
        expected = [2 if n <= number else 1 for n in (1, 2, 3)]
        assert [world.count(n) for n in (1, 2, 3)] == expected, "it waits until the new one is steady"
        assert world.supervisor.replacing == f"w-{number}"
        world.now(number).steady()
        world.tick()
    world.tick()
    assert world.supervisor.replacing is None
    assert [world.started[f"w-{n}"][0].asked for n in (1, 2, 3)] == [1, 1, 1]
    assert [world.now(n).asked for n in (1, 2, 3)] == [0, 0, 0]


def test_a_new_worker_that_dies_holds_the_replacing_up() -> None:
    world = World(2)
    world.tick()
    world.all_steady()
    world.supervisor.restart()
    for _ in range(3):
        world.tick(1)
    world.now(1).code = 1
    world.tick()
    world.tick(60)
    assert [world.count(1), world.count(2)] == [3, 1]
    world.now(1).steady()
    for _ in range(4):
        world.tick(1)
    assert [world.count(1), world.count(2)] == [3, 2]


def test_one_that_was_not_well_before_need_not_be_after() -> None:
    """A stopped partition stays stopped; that is no reason to leave the others as they are."""
    world = World(2)
    world.tick()
    world.now(1).steady(healthy=False)
    world.now(2).steady()
    world.tick()
    world.supervisor.restart()
    for _ in range(3):
        world.tick(1)
    world.now(1).steady(healthy=False)
    for _ in range(4):
        world.tick(1)
    assert world.count(2) == 2
    world.now(2).steady(healthy=False)  # this one was well
    for _ in range(4):
        world.tick(1)
    assert world.supervisor.replacing == "w-2"


def test_bad_settings_replace_nobody() -> None:
    world = World(2, may_restart=False)
    world.tick()
    world.all_steady()
    world.supervisor.restart()
    for _ in range(5):
        world.tick(1)
    assert [world.count(1), world.count(2)] == [1, 1]


def test_a_stop_ends_the_replacing() -> None:
    world = World(2)
    world.tick()
    world.all_steady()
    world.supervisor.restart()
    world.tick()
    world.supervisor.stop()
    world.supervisor.run()
    assert world.count(2) == 1


def test_nobody_is_left_behind_by_a_failure_of_ours() -> None:
    world = World(2)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.supervisor.run(fail)
    assert [world.now(n).killed for n in (1, 2)] == [1, 1]
