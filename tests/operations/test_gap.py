"""Recorded gaps: what retention took is lost once, known to everybody, and nothing else is."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from flurry_fast.archive.chain import Chain
from flurry_fast.archive.verify import verify
from flurry_fast.errors import RegistryMismatch, StoreCorrupt
from flurry_fast.gaps import GAP_ROW, HOUR_MS, Gap, gaps, put_gap
from flurry_fast.operations import gap, reset
from flurry_fast.operations.ports import Chains
from flurry_fast.registry import State
from flurry_fast.stores.base import CellStore
from flurry_fast.stores.memory import MemoryStore

from ..verify.logs import INCARNATION, TOPIC, generated
from .installation import PLAN, Installation, cells
from .logs import Death, MortalFiles, MortalStore, Reaper

NOW = 1_400_000_000_000
LOST = {(0, 24), (0, 25), (0, 26)}


def made(root: Path) -> Installation:
    """Partition 0 is read up to 24, and its log begins at 27."""
    installation = Installation(root)
    installation.produce()
    installation.log.starts[0] = 27
    return installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return made(tmp_path / "archive")


def prepared(installation: Installation, store: CellStore | None = None, chains: Chains | None = None) -> gap.Losses:
    store = store if store is not None else installation.store
    registry = installation.registry(store)
    return gap.prepare(store, registry, chains or installation.chains, installation.log, lambda: NOW)


def run(installation: Installation, reaper: Reaper | None = None, reason: str = "the cluster was down") -> State:
    reaper = reaper if reaper is not None else Reaper()
    store, files = MortalStore(installation.store, reaper), MortalFiles(installation.files, reaper)

    def chains(incarnation: int, partition: int) -> Chain:
        return Chain(files, TOPIC, incarnation, partition)

    losses = prepared(installation, store, chains)
    return gap.record(store, installation.registry(store), chains, losses, reason, lambda: 1)


def chain(installation: Installation, partition: int = 0) -> Chain:
    return installation.chains(INCARNATION, partition)


def assert_recorded(installation: Installation) -> None:
    """The loss is on record in both sinks, and everything else is counted and archived, once."""
    position = installation.position(0)
    assert (position.position, position.max_bucket, position.crc) == (27, None, None)
    assert installation.position(1).position == 24
    times = [timestamp for _, timestamp in installation.log.logs[0]]
    assert position.max_timestamp == max(times[:24])
    assert gaps(installation.store) == [
        Gap(INCARNATION, 0, 24, 27, PLAN.id, max(times[:24]), times[27], 2_592_000_000, 600_000, "the cluster was down")
    ]
    installation.consumer().run()
    compared = installation.compare(LOST)
    assert compared.exact, compared.differences[:3]
    assert not installation.compare().exact
    survey = verify(chain(installation), deep=True)
    assert (survey.findings, survey.end, survey.gap_offsets) == ([], 33, 3)


def test_the_loss_is_recorded_and_the_rest_counted(installation: Installation) -> None:
    losses = prepared(installation)
    assert [(loss.partition, loss.log_start, loss.archive) for loss in losses.found] == [(0, 27, 24)]
    before = installation.state()
    assert run(installation).generation > before.generation
    assert_recorded(installation)
    assert prepared(installation).found == []


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_is_continued_by_the_same_command(tmp_path: Path, after: bool) -> None:
    for calls in itertools.count():
        installation = made(tmp_path / str(calls))
        try:
            run(installation, Reaper(calls, after=after))
            break
        except Death:
            assert installation.position(0).position in (24, 27)
        run(installation)
        assert_recorded(installation)
    assert calls > 25


def test_nothing_is_recorded_where_nothing_is_lost(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "archive")
    counted = (cells(installation.store), installation.state())
    assert prepared(installation).found == []
    assert run(installation) == installation.state()
    installation.log.starts[0] = 24  # all that is gone was counted
    assert prepared(installation).found == []
    assert counted == (cells(installation.store), installation.state())
    assert gaps(installation.store) == []
    installation.assert_exact()


def test_when_retention_goes_on_between_two_attempts_all_of_it_is_recorded(installation: Installation) -> None:
    """Dead after the gap was noted, before the position moved; then three more records are gone."""

    class Dies(MortalStore):
        def put_control(self, row: bytes, qualifier: bytes, timestamp: int, value: bytes) -> None:
            super().put_control(row, qualifier, timestamp, value)
            if row == GAP_ROW:
                raise Death("killed")

    store, losses = Dies(installation.store, Reaper()), prepared(installation)
    with pytest.raises(Death):
        gap.record(store, installation.registry(store), installation.chains, losses, "the cluster was down")
    assert [(found.start, found.end) for found in gaps(installation.store)] == [(24, 27)]
    assert installation.position(0).position == 24
    installation.log.starts[0] = 30
    run(installation)
    assert [(found.start, found.end) for found in gaps(installation.store)] == [(24, 30)]
    installation.consumer().run()
    assert installation.compare({(0, offset) for offset in range(24, 30)}).exact
    survey = verify(chain(installation), deep=True)
    assert (survey.findings, survey.gap_offsets) == ([], 6)


def test_an_archive_that_has_more_keeps_it(installation: Installation) -> None:
    """A consumer with both sinks died after a file and before its flush: only counters are lost."""
    installation.log.starts[0] = 0
    ahead = installation.consumer()
    ahead.read(0, 2)
    ahead.publish()
    installation.log.starts[0] = 27
    losses = prepared(installation)
    assert [(loss.archive, loss.counters is not None) for loss in losses.found] == [(26, True)]
    run(installation)
    survey = verify(chain(installation), deep=True)
    assert (survey.findings, survey.gap_offsets) == ([], 1)
    assert [(found.start, found.end) for found in gaps(installation.store)] == [(24, 27)]


def test_an_archive_alone_needs_no_new_generation(installation: Installation) -> None:
    """Counters that read in a group of their own are further on."""
    installation.log.starts[0] = 0
    alone = Installation(None)
    alone.store, alone.log = installation.store, installation.log
    alone.consumer().run()
    installation.log.starts[0] = 27
    before = installation.state()
    assert run(installation) == before
    assert gaps(installation.store) == []
    assert verify(chain(installation), deep=True).end == 27


def test_blocks_that_were_written_past_the_position_are_not_counted_twice(installation: Installation) -> None:
    """A flush died after its blocks, and before its position; both are below and above the log's start."""
    installation.log.starts[0] = 0
    # It knew whose sessions were lost, and those after it do not: here nobody's come again.
    installation.log.logs[0][24:] = generated(13, 1, 9, again=0.0)[0]
    died = installation.consumer()
    died.read(0, 5)
    died.flush(positions=False)
    installation.log.starts[0] = 27
    run(installation)
    assert [(found.start, found.end) for found in gaps(installation.store)] == [(24, 27)]
    installation.consumer().run()
    assert installation.compare().exact  # it had counted what was lost for others: here nothing is missing


def test_counters_without_an_archive(tmp_path: Path) -> None:
    installation = Installation(None)
    installation.produce()
    installation.log.starts[0] = 27
    losses = prepared(installation)
    assert [loss.archive for loss in losses.found] == [None]
    run(installation)
    installation.consumer().run()
    assert installation.compare(LOST).exact


def test_an_empty_log_and_the_time_of_recording(installation: Installation) -> None:
    """Everything is gone: nobody knows when the next record will come."""
    installation.log.starts = {0: 33, 1: 33}
    run(installation)
    assert [(found.partition, found.start, found.end, found.after) for found in gaps(installation.store)] == [
        (0, 24, 33, NOW),
        (1, 24, 33, NOW),
    ]


def test_a_zombie_of_the_old_generation_is_kept_out(installation: Installation) -> None:
    installation.log.starts[0] = 0
    zombie = installation.consumer()
    zombie.read(0, 5)
    installation.log.starts[0] = 27
    run(installation)
    with pytest.raises(RegistryMismatch):
        zombie.flush()


def test_a_reset_never_goes_below_a_gap(installation: Installation) -> None:
    run(installation)
    installation.consumer().run()
    found = reset.prepare(
        installation.store, installation.registry(), installation.chains, installation.log, {0: reset.to_earliest()}
    )
    assert found.moves[0].after.position == 27
    assert found.moves[0].after.max_bucket is None
    reset.apply(installation.store, installation.registry(), found)
    counted = cells(installation.store)
    installation.consumer().run()
    assert cells(installation.store) == counted


def test_the_highest_time_begins_anew_behind_a_gap(installation: Installation) -> None:
    """As everything that deduplication knows: for who goes on, and after a reset, too."""
    log = installation.log.logs[0]
    log[27:] = [(payload, timestamp - 10**9) for payload, timestamp in log[27:]]
    run(installation)
    installation.consumer().run()
    assert installation.position(0).max_timestamp == max(timestamp for _, timestamp in log[27:])
    found = reset.prepare(
        installation.store, installation.registry(), installation.chains, installation.log, {0: reset.to_offset(30)}
    )
    assert found.moves[0].after.max_timestamp == max(timestamp for _, timestamp in log[27:30])
    assert installation.log.looked == 0


def test_partitions_that_are_not_there(installation: Installation) -> None:
    with pytest.raises(gap.NoSuchPartition, match="Partition 5"):
        gap.prepare(
            installation.store, installation.registry(), installation.chains, installation.log, lambda: NOW, [5]
        )
    chosen = gap.prepare(
        installation.store, installation.registry(), installation.chains, installation.log, lambda: NOW, [1]
    )
    assert chosen.found == []


def test_which_hours_are_lower_bounds() -> None:
    hour, day = HOUR_MS, 24 * HOUR_MS
    found = Gap(1, 0, 5, 9, 2, 1000 * day + 1, 1000 * day + 3 * hour - 1, 30 * day, 600_000, "")
    assert found.lost_hours == (24_000, 24_003)  # clocks may run ten minutes ahead
    assert found.late_from == 24_000 - 720
    unknown = Gap(1, 0, 0, 9, 2, None, 1000 * day, 30 * day, 0, "")
    assert unknown.lost_hours == (0, 24_000)
    assert unknown.late_from == 0


def test_a_gap_is_never_made_shorter_and_never_twice() -> None:
    store = MemoryStore()
    one = Gap(1, 0, 5, 9, 2, 3, 4, 5, 6, "first")
    put_gap(store, one)
    put_gap(store, Gap(1, 0, 5, 9, 2, 3, 99, 5, 6, "again, other words"))
    put_gap(store, Gap(1, 0, 5, 7, 2, 3, 99, 5, 6, "shorter"))
    assert gaps(store) == [one]
    store.put_control(GAP_ROW, b"odd", 3, b"")
    with pytest.raises(StoreCorrupt, match="3 bytes"):
        gaps(store)


def test_a_damaged_gap_is_not_read() -> None:
    store = MemoryStore()
    put_gap(store, Gap(1, 0, 5, 9, 2, 3, 4, 5, 6, ""))
    qualifier, cell = next(iter(store.scan_control(GAP_ROW).items()))
    store.put_control(GAP_ROW, qualifier, 10, cell.value[:-1])
    with pytest.raises(StoreCorrupt, match="damaged"):
        gaps(store)
