"""The archive sink on a real HDFS that breaks: nothing is lost, what is wrong is told, and it goes on by itself."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Callable, Iterator

import hdfs_native
import pytest
from archiving import Archiver, wait_for

from flurry_fast.errors import StoreUnavailable
from flurry_fast.stores.memory import MemoryStore

from .conftest import HdfsServers

PARTITIONS = range(6)
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def log(bodies: list[bytes]) -> list[bytes]:
    return bodies * 40


@pytest.fixture
def root(servers: HdfsServers) -> Iterator[str]:
    folder = f"/flurry-fast-faults/{uuid.uuid4().hex}"
    yield servers.hdfs + folder
    for name in ("nn", "dn1", "dn2"):
        servers.start(name)
    hdfs_native.Client(servers.hdfs).delete(folder, True)


@pytest.fixture
def archiver(root: str, log: list[bytes]) -> Archiver:
    archiver = Archiver(root, MemoryStore(), log, PARTITIONS)
    archiver.read(1_000)
    wait_for(lambda: archiver.done, "first files", archiver.turn)
    return archiver


class Meanwhile:
    """Something is done to the servers while the archive writes."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._error: BaseException | None = None
        self._steps = steps
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            for step in self._steps:
                step()
        except BaseException as error:
            self._error = error

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def __enter__(self) -> Meanwhile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def test_a_datanode_dies(servers: HdfsServers, archiver: Archiver) -> None:
    with Meanwhile(lambda: servers.kill("dn1")) as fault:
        while not fault.over:
            archiver.turn()
            if archiver.done:
                archiver.read(300)
    archiver.go_on(1_500)  # new files: into pipelines with the dead one in them, until the NameNode avoids it
    archiver.check()
    servers.start("dn1")


def test_no_datanode_is_left(servers: HdfsServers, archiver: Archiver) -> None:
    servers.kill("dn1")
    servers.kill("dn2")
    archiver.read(1_000)
    archiver.fail()
    wait_for(lambda: "No DataNode takes a block" in (archiver.sink.status().last_error or ""), "refusal", archiver.turn)
    assert "hdfs dfsadmin -report" in (archiver.sink.status().last_error or "")
    servers.start("dn1")
    servers.start("dn2")
    archiver.go_on(2_000)
    archiver.check()


def test_disks_are_full(servers: HdfsServers, archiver: Archiver) -> None:
    def restart() -> None:
        for name in ("dn1", "dn2"):
            servers.kill(name)
            servers.start(name)

    servers.configure(dfs__datanode__du__reserved=str(2**60))
    restart()
    archiver.read(1_000)
    archiver.fail()
    wait_for(
        lambda: "There are 2 datanode(s) running" in (archiver.sink.status().last_error or ""), "refusal", archiver.turn
    )
    assert "No DataNode takes a block" in (archiver.sink.status().last_error or "")
    servers.configure()
    restart()
    archiver.go_on(2_000)
    archiver.check()


def test_the_namenode_is_killed_and_started(servers: HdfsServers, archiver: Archiver) -> None:
    with Meanwhile(lambda: servers.kill("nn"), lambda: servers.start("nn")) as fault:
        while not fault.over:
            archiver.turn()
            if archiver.done:
                archiver.read(200)
    archiver.go_on(1_500)
    archiver.check()
    assert any(not report.ok for report in archiver.reports)


@pytest.mark.parametrize("shed", [False, True])
def test_safe_mode(servers: HdfsServers, archiver: Archiver, shed: bool) -> None:
    servers.admin("-safemode", "enter")
    archiver.read(1_000)
    assert "in safe mode" in archiver.fail()
    if shed:
        archiver.read(1_000)
        assert archiver.sink.shed() > 0
        assert archiver.sink.held_bytes() == 0
    servers.admin("-safemode", "leave")
    archiver.go_on(2_000)
    archiver.check()


def test_the_quota_is_used_up(servers: HdfsServers, root: str, archiver: Archiver) -> None:
    folder = root.removeprefix(servers.hdfs)
    servers.admin("-setSpaceQuota", "1m", folder)
    archiver.read(1_000)
    assert "The quota of the folder is used up" in archiver.fail()
    servers.admin("-clrSpaceQuota", folder)
    archiver.go_on(2_000)
    archiver.check()


def together(*archivers: Archiver) -> None:
    """Until all of them have what they have read."""

    def turn() -> None:
        for archiver in archivers:
            archiver.turn()

    wait_for(lambda: all(archiver.done for archiver in archivers), "recovery", turn)


def test_a_silent_namenode(servers: HdfsServers, root: str, log: list[bytes]) -> None:
    """No call comes back until the deadline; claims that were given up land late, beside those of another process."""
    store = MemoryStore()
    first = Archiver(root, store, log, PARTITIONS, call_timeout=3.0)
    first.read(500)
    wait_for(lambda: first.done, "first files", first.turn)
    for _ in range(3):
        with Meanwhile(lambda: servers.signal("nn", signal.SIGSTOP)) as fault:
            while not fault.over:
                first.turn()
                if first.done:
                    first.read(100)
        first.read(100)
        assert "did not answer within 3 s" in first.fail()
        with pytest.raises(StoreUnavailable, match="did not answer"):
            first.chain(0).locate()
        servers.signal("nn", signal.SIGCONT)
        # It owns the same partitions, as after a rebalance that the first has not heard of.
        second = Archiver(root, store, log, PARTITIONS, call_timeout=3.0)
        second.read(150)
        together(first, second)
    first.go_on(2_000)
    first.check()
    second.go_on(4_000)
    second.check()
