"""The archive sink over the real engine, files and registry; time and the worker are moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import pytest
from clocks import ManualClock
from rows import batch_of, chunk_of

from flurry_fast._core import Engine, Plan
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.archive.verify import verify
from flurry_fast.archive.writer import publish
from flurry_fast.config.model import Archive
from flurry_fast.errors import RegistryMismatch, StoreCorrupt, StoreUnavailable
from flurry_fast.ports import Crew, ThreadCrew
from flurry_fast.positions import ArchivePosition
from flurry_fast.registry import Registry
from flurry_fast.sinks.archive import ArchiveSink
from flurry_fast.sinks.base import FlushReport, Rewind, Stop
from flurry_fast.stores.memory import MemoryStore

T = TypeVar("T")
PLAN = (resources.files("flurry_fast") / "plans" / "default.toml").read_text()


class ManualWorker:
    """Jobs are done when the test says so, or at once if `eager`."""

    def __init__(self) -> None:
        self.eager = True
        self.waiting: list[tuple[Callable[[], Any], Future[Any]]] = []

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self.waiting.append((work, future))
        if self.eager:
            self.work()
        return future

    def work(self) -> None:
        waiting, self.waiting = self.waiting, []
        for work, future in waiting:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

    def close(self) -> None:
        pass


class Process:
    """One consumer process without Kafka: an engine and its archive sink."""

    def __init__(self, root: Path, store: MemoryStore, crew: Crew | None = None, **settings: Any) -> None:
        self.identity = 0xBEEF
        self.plan = Plan.parse(PLAN)
        registry = Registry(store, "reports", lambda: self.identity)
        self.registration = registry.open(self.plan.id, PLAN, 4)
        self.engine = Engine(
            self.plan, incarnation=self.identity, secret=self.registration.secret, counters=False, archive=True
        )
        self.clock, self.worker = ManualClock(), ManualWorker()
        self.files = LocalFileSystem(root)
        self.sink = ArchiveSink(
            self.engine,
            Archive(root=root, **({"roll_age": 60.0} | settings)),
            "reports",
            registry,
            self.registration,
            self.worker,
            self.clock,
            self.files,
            crew=crew,
        )
        self.reports: list[FlushReport] = []
        self.sink.observe = self.reports.append

    def chain(self, partition: int = 3) -> Chain:
        return Chain(self.files, "reports", self.identity, partition)

    def own(self, partition: int = 3, offset: int = 0) -> ArchivePosition:
        position = self.sink.locate(partition) or self.sink.begin(partition, offset)
        self.engine.assign(partition, log_start=0, counters=None, archive=position, read_from=position.position)
        self.sink.assign(partition, position)
        return position

    def read(self, payloads: list[bytes], start: int, partition: int = 3) -> None:
        batch = batch_of(payloads, start, partition)
        assert self.engine.absorb(batch) is None

    def age(self, seconds: float = 61.0) -> list[Any]:
        """Poll, let time pass, and poll until nothing is under way."""
        events = self.sink.poll()
        self.clock.now += seconds
        events += self.sink.poll()
        return events + self.sink.poll()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def process(tmp_path: Path, store: MemoryStore) -> Process:
    return Process(tmp_path / "archive", store)


def test_files_follow_each_other_by_age(process: Process, bodies: list[bytes]) -> None:
    assert process.own() == ArchivePosition(0)
    assert process.sink.origin(3) == 0
    process.read(bodies[:10], 0)
    assert process.sink.poll() == []
    assert process.sink.durable(3) == 0
    assert process.sink.status().oldest_unwritten == 1000.0
    assert process.age() == []
    assert process.sink.durable(3) == 10
    process.read(bodies[10:15], 10)
    assert process.age() == []
    assert process.sink.durable(3) == 15
    assert [report.rows for report in process.reports] == [10, 5]
    assert process.sink.status().flushes == 2
    assert process.sink.status().unwritten_bytes == 0
    result = verify(process.chain(), deep=True)
    assert (result.ok, result.rows, result.files) == (True, 15, 2)


@pytest.mark.parametrize("settings", [{"roll_rows": 8}, {"roll_bytes": 2048}])
def test_files_are_rolled_by_rows_and_by_bytes(
    tmp_path: Path, store: MemoryStore, bodies: list[bytes], settings: dict[str, int]
) -> None:
    process = Process(tmp_path / "archive", store, **settings)
    process.own()
    process.read(bodies[:10], 0)
    process.sink.poll()
    process.sink.poll()
    assert process.sink.durable(3) == 10


def test_a_flush_when_memory_is_short(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.read(bodies[:10], 0)
    process.sink.flush()
    process.sink.poll()
    process.sink.poll()
    assert process.sink.durable(3) == 10


def test_when_memory_is_short_the_largest_are_written_first(process: Process, bodies: list[bytes]) -> None:
    for partition, reports in ((3, 2), (4, 10), (5, 2)):
        process.own(partition)
        process.read(bodies[:reports], 0, partition)
    process.sink.flush()
    process.sink.poll()
    process.sink.poll()
    assert [process.sink.durable(partition) for partition in (3, 4, 5)] == [0, 10, 0]
    process.sink.flush()
    process.sink.poll()
    process.sink.poll()
    assert [process.sink.durable(partition) for partition in (3, 4, 5)] == [2, 10, 0]


def test_counting_goes_on_while_a_file_is_written(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.worker.eager = False
    process.read(bodies[:10], 0)
    process.age()
    assert process.sink.status().in_flight
    assert process.sink.held_bytes() > 0
    process.read(bodies[10:20], 10)
    assert process.sink.durable(3) == 0
    process.worker.work()
    process.age()
    assert process.sink.durable(3) == 10
    process.worker.work()
    process.sink.poll()
    assert process.sink.durable(3) == 20
    assert verify(process.chain(), deep=True).ok


def test_a_restart_goes_on_where_the_chain_ends(tmp_path: Path, store: MemoryStore, bodies: list[bytes]) -> None:
    first = Process(tmp_path / "archive", store)
    first.own()
    first.read(bodies[:10], 0)
    first.age()
    first.read(bodies[10:14], 10)  # dies with these
    second = Process(tmp_path / "archive", store)
    position = second.own()
    assert position.position == 10
    second.read(bodies[10:30], 10)
    assert second.sink.drain({3}, second.clock.now + 30)
    assert second.sink.durable(3) == 30
    assert verify(second.chain(), deep=True).rows == 30


def test_a_lost_claim_is_followed_and_asks_for_a_rewind(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.read(bodies[:10], 0)
    publish(process.chain(), chunk_of(bodies[:6]), lambda: None)  # a zombie wakes up
    assert process.age() == [Rewind(3, 6)]
    assert process.sink.durable(3) == 6
    # Until the loop has sought back, what comes is not for the archive.
    process.read(bodies[10:12], 10)
    assert process.age() == []
    process.engine.rewind(3, 6)
    process.read(bodies[6:20], 6)
    assert process.age() == []
    assert process.sink.durable(3) == 20
    assert verify(process.chain(), deep=True).rows == 20


def test_a_winner_that_is_ahead_needs_no_rewind(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.read(bodies[:10], 0)
    publish(process.chain(), chunk_of(bodies[:15]), lambda: None)
    assert process.age() == []
    assert process.sink.durable(3) == 15
    process.read(bodies[10:20], 10)
    assert process.age() == []
    assert process.sink.durable(3) == 20
    assert verify(process.chain(), deep=True).rows == 20


def test_a_winner_with_the_same_records_is_as_good_as_we(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.read(bodies[:10], 0)
    publish(process.chain(), chunk_of(bodies[:10]), lambda: None)
    assert process.age() == []
    assert process.sink.durable(3) == 10


def test_a_winner_with_other_records_stops_the_partition(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.read(bodies[:10], 0)
    publish(process.chain(), chunk_of(bodies[100:110]), lambda: None)
    (event,) = process.age()
    assert isinstance(event, Stop)
    assert "truncated or replaced" in event.reason
    assert process.sink.durable(3) is None


def test_failures_are_retried_with_the_same_rows(
    process: Process, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process.own()
    process.own(2)
    process.read(bodies[:10], 0)
    process.read(bodies[:4], 0, partition=2)
    real = LocalFileSystem.make_durable

    def full(self: LocalFileSystem, path: str) -> None:
        if "p=00003" in path:
            raise StoreUnavailable("no space left")
        real(self, path)

    monkeypatch.setattr(LocalFileSystem, "make_durable", full)
    assert process.age() == []
    assert (process.sink.durable(2), process.sink.durable(3)) == (4, 0), "one partition's failure is its own"
    status = process.sink.status()
    assert status.failing_since is not None
    assert "no space left" in (status.last_error or "")
    assert [report.ok for report in process.reports] == [True, False]
    monkeypatch.undo()
    process.read(bodies[10:13], 10)
    process.age()
    assert process.sink.durable(3) == 10
    process.age()
    assert process.sink.durable(3) == 13
    assert process.sink.status().failing_since is None
    assert verify(process.chain(), deep=True).rows == 13


def test_a_stalled_archive_sheds_and_reads_again(
    process: Process, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process.own()
    process.read(bodies[:10], 0)
    assert process.sink.shed() == 0, "a sink that is well sheds nothing"

    def broken(*_: object) -> Any:
        raise StoreUnavailable("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "create", broken)
        patch.setattr(LocalFileSystem, "check", broken)
        process.age()
        process.read(bodies[10:20], 10)
        assert process.sink.shed() > 0
        assert process.sink.held_bytes() == 0
        assert process.engine.memory()["archive"] == 0
        assert process.sink.durable(3) == 0
        process.read(bodies[20:30], 20)
        assert process.age() == []
        assert not process.sink.drain({3}, process.clock.now + 5)
    events = process.age()
    assert events == [Rewind(3, 0)]
    process.engine.rewind(3, 0)
    process.read(bodies[:30], 0)
    process.age()
    assert process.sink.durable(3) == 30
    assert verify(process.chain(), deep=True).rows == 30


def test_a_dropped_partition_may_still_land(
    process: Process, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process.own()
    process.read(bodies[:10], 0)
    real = LocalFileSystem.claim

    def late(self: LocalFileSystem, temporary: str, path: str) -> bool:
        """The partition leaves and comes back before the name is claimed."""
        monkeypatch.undo()
        process.sink.drop({3})
        process.engine.drop(3)
        assert process.sink.durable(3) is None
        assert process.own().position == 0
        return real(self, temporary, path)

    monkeypatch.setattr(LocalFileSystem, "claim", late)
    assert process.age() == []
    assert process.sink.durable(3) == 0, "not our file any more"
    assert process.chain().locate() == publish(process.chain(), chunk_of(bodies[:5]), lambda: None).position
    process.read(bodies[:20], 0)
    assert process.age() == [Rewind(3, 10)]
    process.engine.rewind(3, 10)
    process.read(bodies[10:20], 10)
    process.age()
    assert process.sink.durable(3) == 20
    assert verify(process.chain(), deep=True).rows == 20


def test_what_was_dropped_before_its_turn_is_not_written(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.worker.eager = False
    process.read(bodies[:10], 0)
    process.age()
    process.sink.drop({3})
    process.worker.work()
    process.sink.poll()
    assert process.chain().locate() == ArchivePosition(0)


def test_drain_gives_up_at_its_deadline(process: Process, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    process.own()
    process.read(bodies[:10], 0)

    def broken(*_: object) -> Any:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(LocalFileSystem, "claim", broken)
    assert not process.sink.drain({3}, process.clock.now + 20)
    monkeypatch.undo()
    assert process.sink.drain({3}, process.clock.now + 20)
    assert process.sink.durable(3) == 10
    assert process.sink.drain({3, 7}, process.clock.now), "nothing is left to write"


def test_another_topic_of_that_name_ends_the_process(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.read(bodies[:10], 0)
    process.identity = 0xDEAD
    with pytest.raises(RegistryMismatch):
        process.age()
    assert Chain(process.files, "reports", 0xBEEF, 3).locate() == ArchivePosition(0)


def test_old_temporary_files_are_swept_at_assignment(process: Process, bodies: list[bytes]) -> None:
    process.own()
    process.files.create("reports/0000beef/p=00003/.tmp-old").close()
    process.clock.now = (process.files.root / "reports/0000beef/p=00003/.tmp-old").stat().st_mtime + 86_401
    process.sink.drop({3})
    process.engine.drop(3)
    process.own()
    assert [entry.name for entry in process.files.list("reports/0000beef/p=00003")] == ["origin"]


def test_files_of_several_partitions_are_published_at_once(
    tmp_path: Path, store: MemoryStore, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(tmp_path / "archive", store, ThreadCrew("test", 4))
    for partition in range(4):
        process.own(partition)
        process.read(bodies[: 10 + partition], 0, partition)
    gate = threading.Barrier(4)
    real = LocalFileSystem.claim

    def together(self: LocalFileSystem, temporary: str, path: str) -> bool:
        gate.wait(60)
        return real(self, temporary, path)

    monkeypatch.setattr(LocalFileSystem, "claim", together)
    assert process.age() == []
    assert [process.sink.durable(partition) for partition in range(4)] == [10, 11, 12, 13]
    assert all(verify(process.chain(partition), deep=True).ok for partition in range(4))


def test_chunks_of_one_partition_are_claimed_in_their_order(
    tmp_path: Path, store: MemoryStore, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(tmp_path / "archive", store, ThreadCrew("test", 4))
    process.own(2)
    process.own(3)
    for start in range(0, 40, 10):
        for partition in (2, 3):
            process.read(bodies[start : start + 10], start, partition)
            process.sink._take([partition])
    claimed: list[str] = []
    real = LocalFileSystem.claim

    def noting(self: LocalFileSystem, temporary: str, path: str) -> bool:
        claimed.append(path)
        return real(self, temporary, path)

    monkeypatch.setattr(LocalFileSystem, "claim", noting)
    process.age()
    assert process.sink.durable(2) == process.sink.durable(3) == 40
    for partition in (2, 3):
        own = [path for path in claimed if f"p={partition:05d}" in path]
        assert own == sorted(own)
        assert len(own) == 4
        assert verify(process.chain(partition), deep=True).rows == 40


@pytest.mark.parametrize("fatal", [RegistryMismatch, StoreCorrupt])
def test_what_ends_the_process_is_told_before_what_can_be_tried_again(
    tmp_path: Path, store: MemoryStore, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch, fatal: type[Exception]
) -> None:
    process = Process(tmp_path / "archive", store, ThreadCrew("test", 3))
    for partition in range(3):
        process.own(partition)
        process.read(bodies[:10], 0, partition)
    gate = threading.Barrier(3)

    def broken(self: LocalFileSystem, temporary: str, path: str) -> bool:
        gate.wait(60)
        if "p=00001" in path:
            threading.Event().wait(0.05)  # not the first to fail
            raise fatal("no going on")
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(LocalFileSystem, "claim", broken)
    with pytest.raises(fatal):
        process.age()


def test_one_partitions_failure_leaves_the_others_files(
    tmp_path: Path, store: MemoryStore, bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(tmp_path / "archive", store, ThreadCrew("test", 4))
    for partition in range(4):
        process.own(partition)
        process.read(bodies[:10], 0, partition)
    real, gate = LocalFileSystem.make_durable, threading.Barrier(4)

    def full(self: LocalFileSystem, path: str) -> None:
        gate.wait(60)
        if "p=00000" in path:
            raise StoreUnavailable("no space left")
        real(self, path)

    monkeypatch.setattr(LocalFileSystem, "make_durable", full)
    process.age()
    assert [process.sink.durable(partition) for partition in range(4)] == [0, 10, 10, 10]
    assert "no space left" in (process.sink.status().last_error or "")
    monkeypatch.undo()
    process.age()
    assert process.sink.durable(0) == 10
    names = [entry.name for entry in process.files.list(process.chain(0).folder)]
    assert sorted(names) == [f"{0:020d}.parquet", "origin"], "a new temporary name for each attempt, and none left"
