"""Whose sessions came before: where they are looked up, that both places say the same, and when nobody knows."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from flurry_fast import _core
from flurry_fast.archive import past as archived
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.writer import record_gap
from flurry_fast.consumer.past import Past, Pasts
from flurry_fast.errors import PositionMissing, StoreUnavailable
from flurry_fast.gaps import Gap, put_gap
from flurry_fast.positions import CountersPosition

from ..reference.encoder import encode
from ..reference.generate import NOW_MS, Generator
from ..verify.logs import INCARNATION, Consumer, Record, batch

PLAN = """
[dedup]
window_ms = 80_000
max_sessions = 1_000
[[rollup]]
name = "app"
dimensions = []
measures = ["sessions", "duplicates", "superseded"]
"""
COUNT = 60
STEP_MS = 5_000  # a record every 5 s: the window of 80 s, and a slice, are 16 to 18 records


def log(seed: int = 1) -> list[Record]:
    """A third of the records came before; times go back now and then."""
    random, records = Random(seed), list[Record]()
    generator = Generator(random, odd=0.0, bad=0.0)
    for at in range(COUNT):
        report = generator.report(26, sessions=2)
        report["api_key"] = "APP"
        payload = encode(report)
        if records and random.random() < 0.35:
            payload = random.choice(records[-25:])[0]
        late = random.choice([0, 0, 0, 20_000])
        records.append((payload, NOW_MS + at * STEP_MS - late))
    return records


class World(Consumer):
    """Everything is counted and archived up to some offsets; a new process is about to take over."""

    def __init__(self, root: Path | None, records: list[Record], counted: int, archived: int) -> None:
        super().__init__(_core.Plan.parse(PLAN), {0: records}, root=root)
        for at in sorted({counted, archived, 10, 20, 30, 40, 50}):
            self.read(0, at - self.next[0])
            if at == counted:
                self.flush()
                self.counted = self.positions.get(0) or CountersPosition(0)
                self.known = self.engine.partitions()[0].known_sessions
            if root is not None and at <= archived:
                self.publish()
        self.positions.put(0, self.counted)
        self.failing = False

    def offset_for_time(self, partition: int, timestamp: int) -> int | None:
        if self.failing:
            raise StoreUnavailable("the broker does not answer")
        return super().offset_for_time(partition, timestamp)

    def find(self, archive: Any = None) -> Past | None:
        chain = (self.chain if self.root is not None else None) if archive is None else archive
        self.pasts = Pasts(self.engine, cast("Any", self), self.positions, chain)
        return self.pasts.find(0, self.counted, self.log_starts.get(0, 0))

    def recall(self, past: Past) -> tuple[int, ...]:
        """What a process that takes over knows, and what it makes of the rest of the log."""
        self.engine.drop(0)
        position = self.counted
        start = min(position.position, past.logged)
        self.engine.assign(0, log_start=start, counters=position, archive=None, read_from=start, recall_from=past.start)
        self.pasts.recall(0, past)
        before = self.engine.stats()
        self.engine.absorb(batch(self.logs[0], start, position.position, 0))
        known = self.engine.partitions()[0].known_sessions
        needs = self.engine.absorb(batch(self.logs[0], position.position, COUNT, 0))
        assert needs is None
        assert self.engine.stopped() == []
        after = self.engine.stats()
        return (known, *(after[name] - before[name] for name in ("sessions", "duplicates", "superseded")))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ends", [(40, 40), (40, 60), (40, 30), (40, 20), (20, 60)])
def test_archive_and_log_say_the_same(tmp_path: Path, ends: tuple[int, int], seed: int) -> None:
    """The archive ahead of the counters, behind them, and so far behind that it does not reach into the window."""
    world = World(tmp_path, log(seed), *ends)
    past = world.find()
    assert past is not None
    if ends[1] >= 30:
        assert past.start < past.logged == min(ends)
    world.counted = CountersPosition(
        ends[0], max_timestamp=world.counted.max_timestamp
    )  # no stored blocks are asked for
    said = world.recall(past)
    logged = world.find(lambda _partition: Chain(world.chain(0).files, "nobody", 0, 0))
    assert logged is not None
    assert logged.start == logged.logged < ends[0]
    assert said == world.recall(logged)
    assert said[0] == world.known
    assert said[2] > 0


def test_without_a_window_or_a_past_nothing_is_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 40)
    world.counted = CountersPosition(40)
    assert world.find() is None
    off = _core.Engine(_core.Plan.parse(PLAN.replace("80_000", "0")), incarnation=1, secret=bytes(16))
    assert Pasts(off, cast("Any", world), world.positions).find(0, CountersPosition(40, max_timestamp=5), 0) is None


def test_counters_that_begin_need_no_past(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 40)
    world.counted = CountersPosition(0, max_timestamp=7)
    assert world.find() == Past(0, 0)


def test_a_recorded_gap_is_a_beginning(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 40)
    for end, start in ((33, 33), (40, 40), (41, None)):
        gap = Gap(INCARNATION, 0, end - 1, end, world.plan.id, None, 0, 0, 0, "test")
        put_gap(world.store, gap)
        past = world.find()
        assert past is not None
        if start is not None:
            assert past.start == start
        else:
            assert past.start == 40  # a gap above the position says nothing of what is below


def test_retention_leaves_it_to_the_archive(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 40)
    whole = world.find()
    world.log_starts[0] = 38
    assert world.find() == whole
    with pytest.raises(PositionMissing, match="must know whose sessions came since"):
        world.find(lambda _partition: Chain(world.chain(0).files, "nobody", 0, 0))


def test_what_retention_has_taken_is_not_missed_if_it_was_too_old(tmp_path: Path) -> None:
    world = World(None, log(), 40, 0)
    whole = world.find()
    assert whole is not None
    world.log_starts[0] = whole.start - 1
    assert world.find() == whole
    world.log_starts[0] = whole.start  # there may have been one more
    with pytest.raises(PositionMissing, match=r"archive\.root"):
        world.find()


def test_an_archive_that_ends_before_the_log_begins_does_not_reach(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 30)
    world.log_starts[0] = 31
    with pytest.raises(PositionMissing):
        world.find()


def test_a_hole_of_the_archive_inside_the_window_is_not_passed_over(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 30)
    chain = world.chain(0)
    record_gap(chain, 30, 34, "lost", lambda: None)
    since = world.engine.recall_since(world.counted.max_timestamp)
    assert since is not None
    assert archived.reach(chain, since, 40, 0) is None
    assert archived.reach(chain, since, 40, 34) == archived.Reach(34, 34)
    assert archived.reach(chain, since, 30, 0) is not None  # it lies above


def test_an_archive_that_fails_is_not_needed_where_the_log_has_it_all(tmp_path: Path) -> None:
    world = World(tmp_path, log(), 40, 40)

    def failing(_partition: int) -> Chain:
        raise StoreUnavailable("the file system is gone")

    past = world.find(failing)
    assert past is not None
    assert past.start == past.logged
    world.log_starts[0] = 39
    with pytest.raises(StoreUnavailable, match="file system is gone"):
        world.find(failing)
    world.failing = True
    assert world.find() is not None  # nor the broker, where the archive has it


def test_old_files_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Footers are read from the newest back, until one is older than the window by a day."""
    records = [(payload, time - (10**9 if at < 30 else 0)) for at, (payload, time) in enumerate(log())]
    world = World(tmp_path, records, 60, 60)
    looked = list[int]()
    footer = Chain.footer
    monkeypatch.setattr(Chain, "footer", lambda chain, start: looked.append(start) or footer(chain, start))
    past = world.find()
    assert past is not None
    assert past.start == 40
    assert sorted(looked) == [20, 30, 40, 50]
