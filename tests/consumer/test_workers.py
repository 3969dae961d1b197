"""`consume --workers`: real processes, replaced one by one and killed under a running producer; every counter exact.

Over the embedded broker, and over real Kafka by both protocols of consumer groups.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import real_kafka
from pipeline import Consumer, Pipeline, wait_until

WORKERS = 3
PARTITIONS = 6
Json = dict[str, Any]


class Team:
    """A supervisor and what its status files say; `sinks` are in its configuration file."""

    def __init__(self, line: Pipeline, workers: int) -> None:
        self.line, self.workers = line, workers
        self.path = line.folder / "all.json"
        self.set_sinks("counters", "archive")
        self.start()

    def set_sinks(self, *names: str) -> None:
        """What the next processes are to write."""
        self.line.config.write_text(f"[consume]\nsinks = {json.dumps(names)}\n")

    def start(self) -> None:
        for path in self.line.folder.glob("all*.json"):
            path.unlink()
        flags = {"consume.status_file": str(self.path), "kafka.instance_id": "w"}
        self.supervisor = self.line.consumer(
            "workers", "--workers", str(self.workers), "--config", str(self.line.config), **flags
        )

    def summary(self) -> Json:
        found: Json = json.loads(self.path.read_text())
        return found

    def status(self, name: str) -> Json:
        found: Json = json.loads((self.path.with_name(f"all-{name[2:]}.json")).read_text())
        return found

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, what, consumer=self.supervisor, seconds=150)

    def all_steady(self) -> bool:
        workers = self.summary()["workers"].values()
        return all(w["steady"] for w in workers) and sum(len(w["partitions"]) for w in workers) == PARTITIONS

    def durable(self, name: str) -> dict[int, int]:
        """What a worker's counters hold: partition -> next offset."""
        found = self.status(name)["partitions"].items()
        return {int(number): partition["counters"] for number, partition in found if partition["counters"] is not None}

    def caught_up(self) -> bool:
        ends, found = self.line.truth.ends(), {}
        for name in self.summary()["workers"]:
            for number, partition in self.status(name)["partitions"].items():
                found[int(number)] = partition["committed"]
        return all(found.get(number) == end for number, end in ends.items())

    def replace_all(self) -> None:
        """A rolling restart, to its end."""
        before = set(self.pids().values())
        self.supervisor.process.send_signal(signal.SIGHUP)
        self.wait(lambda: not before & set(self.pids().values()), "all are replaced")
        self.wait(lambda: self.summary()["replacing"] is None and self.all_steady(), "all are steady again")

    def stands(self, sink: str) -> dict[int, int]:
        """What is durable in a sink, of the partitions whose worker has it."""
        found = {}
        for name in self.summary()["workers"]:
            for number, partition in self.status(name)["partitions"].items():
                if partition.get(sink) is not None:
                    found[int(number)] = partition[sink]
        return found

    def pids(self) -> dict[str, int]:
        return {name: worker["pid"] for name, worker in self.summary()["workers"].items()}


@pytest.fixture(params=["mock", "kafka-classic", "kafka-consumer"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Team]:
    where, _, protocol = request.param.partition("-")
    session = "3s" if where == "mock" else "6s"  # the mock lets a rebalance take nearly all of it
    overrides = {
        "kafka.session_timeout": session,
        "counters.flush_age": "100ms",
        "kafka.protocol": protocol or "classic",
    }
    cluster = real_kafka(request) if where == "kafka" else None
    line = Pipeline(tmp_path, partitions=PARTITIONS, cluster=cluster, overrides=overrides)
    found = Team(line, 2 if "sink" in request.node.name else WORKERS)
    try:
        yield found
    finally:
        end_all(found.supervisor)
        line.close()


def end_all(supervisor: Consumer) -> None:
    """Its workers end with it."""
    if supervisor.process.poll() is None:
        supervisor.process.terminate()
        supervisor.process.terminate()
        supervisor.process.wait(60)


@pytest.mark.timeout(1500)
def test_a_rolling_restart_loses_nothing_and_stops_nobody_else(team: Team, request: pytest.FixtureRequest) -> None:
    line = team.line
    line.produce(300)
    team.wait(team.all_steady, "all are steady")
    before = team.pids()
    end = line.keep_producing(150)
    try:
        team.supervisor.process.send_signal(signal.SIGHUP)
        for name in before:
            team.wait(lambda name=name: team.summary()["replacing"] == name, f"{name} is being replaced")  # type: ignore[misc]
            ends, others = line.truth.ends(), [other for other in before if other != name]
            pids = team.pids()
            team.wait(lambda: gone_on(team, others, ends), f"the others count what came after {name} was taken down")  # noqa: B023
            assert {other: team.pids()[other] for other in others} == {other: pids[other] for other in others}
        team.wait(lambda: team.summary()["replacing"] is None, "all are replaced")
        team.wait(team.all_steady, "all are steady again")
    finally:
        end()
    after = team.pids()
    assert not set(before.values()) & set(after.values())
    assert all(worker["unasked_ends"] == 0 for worker in team.summary()["workers"].values())
    team.wait(team.caught_up, "everything committed")
    assert team.supervisor.stop(120) == 0, team.supervisor.said()[-3000:]
    line.assert_exact()
    said = team.supervisor.said()
    assert said.count('"event": "worker replaced"') == WORKERS
    if "kafka-classic" in request.node.name:  # static names: nothing moved from one worker to another
        events = [json.loads(text).get("event") for text in said.splitlines() if text.startswith("{")]
        during = events[events.index("rolling restart asked for") : events.index("rolling restart done")]
        assert during.count("partitions revoked") == WORKERS, "each gives its own away when it ends, and no other"
        assert "partitions lost" not in events


def gone_on(team: Team, names: list[str], ends: dict[int, int]) -> bool:
    """Whether these workers hold records that came after the log ended at `ends`, each in a partition of its own."""
    return all(
        any(offset > ends.get(number, 0) for number, offset in team.durable(name).items())
        for name in names
        if team.status(name)["partitions"]
    )


@pytest.mark.timeout(1500)
def test_killed_workers_and_a_killed_supervisor(team: Team) -> None:
    line = team.line
    line.produce(300)
    team.wait(team.all_steady, "all are steady")
    end = line.keep_producing(100)
    try:
        for name in list(team.pids()):
            pid = team.pids()[name]
            os.kill(pid, signal.SIGKILL)
            team.wait(lambda name=name, pid=pid: team.pids()[name] not in (None, pid), f"{name} is back")  # type: ignore[misc]
        team.wait(team.all_steady, "all are steady again")
        assert all(worker["unasked_ends"] == 1 for worker in team.summary()["workers"].values())
        orphans = list(team.pids().values())
        team.supervisor.kill()
        deadline = time.monotonic() + 90
        while any(is_running(pid) for pid in orphans):
            assert time.monotonic() < deadline, "workers outlive their supervisor"
            time.sleep(0.1)
        team.start()
        team.wait(team.all_steady, "a new supervisor's workers are steady")
    finally:
        end()
    team.wait(team.caught_up, "everything committed")
    assert team.supervisor.stop(120) == 0, team.supervisor.said()[-3000:]
    line.assert_exact()


@pytest.mark.timeout(1500)
def test_a_sink_leaves_a_running_group_and_comes_back(team: Team) -> None:
    """While one worker has it and another has not, too: partitions that move take their positions from the sinks."""
    line = team.line
    line.produce(300)
    team.wait(team.all_steady, "all are steady")
    end = line.keep_producing(100)
    try:
        team.wait(lambda: len(team.stands("archive")) == PARTITIONS, "everything is archived, too")
        team.set_sinks("counters")
        team.replace_all()
        assert team.stands("archive") == {}
        archived = len(line.archived())
        sent = sum(line.truth.ends().values())
        team.wait(lambda: sum(line.truth.ends().values()) >= sent + 200, "more was sent")
        ends = line.truth.ends()
        team.wait(lambda: all(team.stands("counters").get(n, 0) >= at for n, at in ends.items()), "counters go on")
        assert len(line.archived()) == archived < sum(ends.values())
        team.set_sinks("counters", "archive")
        team.replace_all()
        team.wait(
            lambda: all(team.stands("archive").get(n, 0) >= at for n, at in ends.items()), "the archive caught up"
        )
        team.set_sinks("archive")
        team.replace_all()
        team.set_sinks("archive", "counters")
        team.replace_all()
    finally:
        end()
    team.wait(team.caught_up, "everything committed")
    assert team.supervisor.stop(120) == 0, team.supervisor.said()[-3000:]
    line.assert_exact()
    assert '"event": "partition stopped"' not in team.supervisor.said()


def is_running(pid: int) -> bool:
    """A zombie that nobody waits for is none."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
