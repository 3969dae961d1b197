"""Where everything stands: with a broker, without one, and where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flurry_fast.operations import gap
from flurry_fast.operations.ports import Bounds
from flurry_fast.operations.standing import Commit, NothingStands, PartitionStanding, survey
from flurry_fast.positions import CountersPosition, PositionTable
from flurry_fast.registry import Registry, State
from flurry_fast.stores.memory import MemoryStore

from ..verify.logs import INCARNATION, TOPIC
from .installation import PLAN, Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "archive")


def look(installation: Installation, **more: object) -> list[PartitionStanding]:
    asked: dict[str, object] = {"incarnation": INCARNATION, "log": installation.log} | more
    return survey(installation.store, installation.registry(), installation.chains, **asked)  # type: ignore[arg-type]


def test_all_that_a_broker_and_the_stores_know(installation: Installation) -> None:
    installation.produce()
    ahead = installation.consumer()
    ahead.read(0, 4)
    ahead.flush()
    zero, one = look(installation, commits={0: Commit(24, ours=True)})
    assert zero.stands == {"counters": 28, "archive": 24}
    assert (zero.counters_began, zero.archive_origin) == (0, 0)
    assert (zero.reads_from, zero.read_again, zero.lag) == (24, 4, 9)
    assert (zero.log, zero.commit) == (Bounds(0, 33), Commit(24, ours=True))
    assert (zero.plan, zero.incarnation, zero.generation) == (PLAN.id, INCARNATION, 0)
    assert zero.problems == one.problems == []
    assert (one.partition, one.read_again, one.commit) == (1, 0, None)


def test_without_a_broker_only_the_log_is_unknown(installation: Installation) -> None:
    zero, _ = look(installation, incarnation=None, log=None)
    assert (zero.log, zero.lag, zero.commit) == (None, None, None)
    assert (zero.stands, zero.reads_from) == ({"counters": 24, "archive": 24}, 24)


def test_positions_that_the_log_does_not_have(installation: Installation) -> None:
    installation.produce()
    installation.log.starts[0] = 30
    del installation.log.logs[1][20:]
    zero, one = look(installation)
    assert zero.problems == [
        "counters: retention removed 6 records before they were read (flurry-fast gap record)",
        "archive: retention removed 6 records before they were read (flurry-fast gap record)",
    ]
    assert one.problems[0] == "counters: stands above the end of the log, which was truncated"
    losses = gap.prepare(
        installation.store, installation.registry(), installation.chains, installation.log, lambda: 5, [0]
    )
    gap.record(installation.store, installation.registry(), installation.chains, losses, "")
    after = look(installation)[0]
    assert after.problems == []
    assert [(found.start, found.end) for found in after.gaps] == [(24, 30)]


def test_a_sink_that_lost_its_beginning(installation: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "archive" / installation.chains(INCARNATION, 0).folder
    (folder / "origin").unlink()
    store = MemoryStore(installation.store.store_id)
    for row in (b"topic|" + TOPIC.encode(), b"began"):
        for qualifier, cell in installation.store.scan_control(row).items():
            store.put_control(row, qualifier, cell.timestamp, cell.value)
    installation.store = store
    zero = look(installation)[0]
    assert zero.stands == {}
    assert (zero.reads_from, zero.read_again, zero.lag) == (None, None, None)
    assert "origin" in zero.problems[0]
    assert zero.problems[1] == "the counters began once, and their position is gone"


def test_closed_plans_and_older_topics_only_when_asked_for(installation: Installation) -> None:
    registry, state = installation.registry(), installation.state()
    Registry(installation.store, TOPIC, lambda: 99).open(PLAN.id, PLAN.toml, 1)
    registry.replace(state, State(0, state.generation, 5))
    table = PositionTable(installation.store, plan=5, incarnation=INCARNATION, generation=0)
    table.put(0, CountersPosition(24))
    assert [(item.plan, item.partition) for item in look(installation)] == [(5, 0), (5, 1)]
    everything = {(item.plan, item.incarnation, item.partition) for item in look(installation, everything=True)}
    assert everything == {
        (5, INCARNATION, 0), (5, INCARNATION, 1), (5, 99, 0), (PLAN.id, INCARNATION, 0), (PLAN.id, INCARNATION, 1),
    }  # fmt: skip
    assert len(look(installation, incarnation=None, log=None)) == 3
    assert [item.partition for item in look(installation, partitions=[1])] == [1]
    with pytest.raises(NothingStands, match="no such partition"):
        look(installation, partitions=[9])
    with pytest.raises(NothingStands, match="counted here yet"):
        survey(installation.store, Registry(installation.store, "x", lambda: 1), installation.chains)
