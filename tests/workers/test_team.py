"""Names, ports, files and lines of workers; and what is told of all of them together."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from fakes import World
from prometheus_client import generate_latest

from flurry_fast.config import load
from flurry_fast.config.model import Settings
from flurry_fast.errors import ConfigError
from flurry_fast.workers.policy import how
from flurry_fast.workers.process import WorkerProcess
from flurry_fast.workers.relay import Relay, marked
from flurry_fast.workers.summary import PREFIX, WORKER_METRICS, Summary
from flurry_fast.workers.team import make_team, memory_warning

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def settings(**values: str) -> Settings:
    return load(None, {key.replace("__", "."): value for key, value in values.items()}, {}).settings


def test_each_has_its_own_name_file_and_port(tmp_path: Path) -> None:
    team = make_team(
        settings(
            consume__workers="2",
            consume__status_file="run/state.json",
            kafka__instance_id="host7",
            metrics__port="9400",
        ),
        tmp_path,
        people=True,
    )
    assert [member.name for member in team] == ["host7-1", "host7-2"]
    assert team[1].overrides == {
        "consume.workers": "1",
        "consume.status_file": "run/state-2.json",
        "kafka.instance_id": "host7-2",
        "metrics.port": "9402",
        "log.format": "console",
    }
    plain = make_team(settings(consume__workers="3", log__format="json"), tmp_path, people=True)
    assert plain[2].status_file == tmp_path / "worker-3.json"
    assert {"metrics.port", "log.format"} & set(plain[2].overrides) == set()
    assert plain[0].name.endswith("-1")


def test_ports_must_be_enough(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics.port: 10 workers need as many ports above 65530"):
        make_team(settings(consume__workers="10", metrics__port="65530"), tmp_path, people=False)


def test_budgets_above_the_machine_are_told() -> None:
    assert memory_warning(settings(consume__workers="1", consume__memory="96MiB", consume__batch_bytes="1MiB")) is None
    assert "consume.memory is for each of them" in (
        memory_warning(settings(consume__workers="256", consume__memory="1000GiB")) or ""
    )


def test_lines_carry_the_name() -> None:
    assert json.loads(marked('{"event": "started"}', "w-1")) == {"event": "started", "worker": "w-1"}
    assert marked("plain", "w-1") == "[w-1] plain"
    assert marked("{not json", "w-1") == "[w-1] {not json"


def test_the_sentence_is_found() -> None:
    written: list[str] = []
    said = b'{"event": "x"}\nflurry-fast: The store is gone.\nFATAL something of librdkafka\n\xff\n'
    relay = Relay("w-1", io.BytesIO(said), written.append)
    assert relay.reason() == "The store is gone."
    assert len(written) == 4
    assert Relay("w-1", io.BytesIO(b"one\ntwo\n"), written.append).reason() == "two"
    assert Relay("w-1", io.BytesIO(b""), written.append).reason() == "it said nothing"


def test_ends_in_words() -> None:
    assert [how(1), how(-9), how(-63)] == ["exit status 1", "by SIGKILL", "by signal 63"]


def test_a_process_that_is_refused_says_why(tmp_path: Path) -> None:
    """A real one; a status file of another process is not its own."""
    status = tmp_path / "status.json"
    process = WorkerProcess("w-1", ["--set", "kafka.topic=no/such"], status)
    status.write_text(json.dumps({"pid": os.getpid()}))
    assert process.status() is None
    status.write_text(json.dumps({"pid": process.pid, "phase": "running"}))
    assert process.status() == {"pid": process.pid, "phase": "running"}
    process._process.wait(60)
    assert process.poll() == 2
    assert "kafka.topic" in process.reason()


def test_the_summary_adds_up(tmp_path: Path) -> None:
    world = World(2)
    path = tmp_path / "all.json"
    summary = Summary(world.supervisor, world.clock, path)
    world.tick()
    assert len(summary.problems()) == 2
    world.now(1).steady(records=5, lag=2, partitions={"0": {}, "3": {}}, lag_seconds=1.5)
    world.now(2).steady(records=7, lag=1, partitions={"1": {"waiting_for": "the store"}}, problems=["It waits."])
    world.tick()
    summary.write()
    found = json.loads(path.read_text())
    assert (found["records"], found["lag"], found["partitions"], found["lag_seconds"]) == (12, 3, 3, 1.5)
    assert found["phase"] == "running"
    assert not found["healthy"]
    assert found["problems"] == ["Worker w-2: It waits."]
    assert found["workers"]["w-1"]["partitions"] == [0, 3]
    assert [found["workers"][name]["steady"] for name in ("w-1", "w-2")] == [True, False]
    world.now(2).code = 1
    world.tick()
    assert summary.status()["workers"]["w-2"]["phase"] == "down"
    assert summary.problems() == ["Worker w-2 is down."]


def test_every_metric_is_exported_and_documented() -> None:
    world = World(1)
    world.tick()
    text = generate_latest(Summary(world.supervisor, world.clock, None).registry).decode()
    words = OPERATIONS.read_text()
    for name, (kind, _, says) in WORKER_METRICS.items():
        exported = PREFIX + name + ("_total" if kind == "counter" else "")
        assert f"\n{exported}" in text
        assert f"`{exported}`" in words
        assert says in words
