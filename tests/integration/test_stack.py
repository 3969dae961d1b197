"""The stack itself, with real servers: started, hurt, healed and stopped by the commands that users give."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import happybase
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from flurry_fast.stack import Stack, StackOptions, StackRefused, free_base, jvm, processes, take_down
from flurry_fast.stack.folder import Folder
from flurry_fast.stack.ports import SPAN

ROOT = Path(__file__).resolve().parents[2]
WORDS = [sys.executable, "-P", "-m", "flurry_fast", "stack"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command(stack: Stack, *words: str, code: int = 0) -> str:
    """What `flurry-fast stack WORDS` prints."""
    ran = subprocess.run(
        [*WORDS, *words, "--dir", str(stack.folder.root)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout


def listeners() -> dict[int, set[str]]:
    """Port -> addresses somebody listens at, as the kernel writes them."""
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                address, port = fields[1].rsplit(":", 1)
                found.setdefault(int(port, 16), set()).add(address)
    return found


def test_status_tells_everything(stack: Stack) -> None:
    told = json.loads(command(stack, "status", "--json"))
    assert told["ok"]
    assert list(told["servers"]) == ["kafka1", "nn", "dn1", "dn2", "hmaster", "thrift"]
    for name, server in told["servers"].items():
        assert server["ok"], server
        assert server["pid"] == stack.pid(name)
        assert server["rss_bytes"] > 50 << 20
        assert server["cpu_seconds"] > 0
    assert told["settings"] == dict(stack.addresses.settings)
    assert all(part == {"ok": True, "problem": None} for part in told["parts"].values())
    assert "hmaster" in command(stack, "status")


def test_up_again_changes_nothing(stack: Stack) -> None:
    pids = {name: stack.pid(name) for name in stack.names}
    told = json.loads(command(stack, "up", "--json"))
    assert told["launched"] == []
    assert told["addresses"]["kafka"] == stack.addresses.kafka
    assert "is up already" in command(stack, "up")
    assert {name: stack.pid(name) for name in stack.names} == pids
    command(stack, "up", "--brokers", "3", code=2)


def test_nobody_listens_to_the_world(stack: Stack) -> None:
    base = stack.options.base_port
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    found = {port: at for port, at in listeners().items() if base <= port < base + SPAN}
    assert len(found) >= 13
    assert all(at <= loopback for at in found.values()), found


def test_logs(stack: Stack) -> None:
    assert "Master has completed initialization" in command(stack, "logs", "hmaster", "-n", "100000")
    assert len(command(stack, "logs", "nn", "-n", "3").splitlines()) == 3
    command(stack, "logs", "nobody", code=1)
    follower = subprocess.Popen(
        [*WORDS, "logs", "nn", "-n", "1", "-f", "--dir", str(stack.folder.root)],
        env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert follower.stdout is not None
    assert follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    follower.communicate()
    assert follower.returncode == 0


@pytest.mark.parametrize("name", ["kafka1", "nn", "dn1", "thrift", "hmaster"])
def test_one_is_killed_and_started_again(stack: Stack, name: str) -> None:
    before = stack.pid(name)
    command(stack, "kill", name)
    assert stack.pid(name) is None
    told = json.loads(command(stack, "status", "--json", code=1))
    assert told["servers"][name]["problem"] == "not running"
    assert not told["parts"][told["servers"][name]["part"]]["ok"]
    assert f"{name} is not running" in command_fails(stack, "kill", name)
    assert command(stack, "start", name) == f"{name} has been started.\n"
    assert stack.pid(name) not in (None, before)
    assert stack.status().ok


def command_fails(stack: Stack, *words: str) -> str:
    ran = subprocess.run(
        [*WORDS, *words, "--dir", str(stack.folder.root)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    return ran.stderr


def test_one_is_stopped_and_goes_on(stack: Stack) -> None:
    command(stack, "kill", "dn2", "--signal", "STOP")
    told = json.loads(command(stack, "status", "--json", code=1))
    assert told["servers"]["dn2"]["problem"] == "stopped by a signal"
    command(stack, "kill", "dn2", "--signal", "CONT")
    assert command(stack, "start", "dn2") == "dn2 ran already.\n"
    assert stack.status().ok


def test_all_are_killed_and_up_brings_them_back_with_their_data(stack: Stack) -> None:
    name = f"stack-{uuid4().hex[:8]}"
    address = stack.addresses
    assert address.kafka is not None
    assert address.hbase_thrift is not None
    admin = AdminClient({"bootstrap.servers": address.kafka})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    producer = Producer({"bootstrap.servers": address.kafka, "acks": "all"})
    producer.produce(name, b"kept")
    assert producer.flush(30) == 0
    tables = happybase.Connection(*address.hbase_thrift, timeout=60_000)
    tables.create_table(name, {"d": {}})
    tables.table(name).put(b"row", {b"d:x": b"kept"})
    tables.close()
    put(f"{address.webhdfs}/webhdfs/v1/{name}?op=CREATE", b"kept")

    command(stack, "kill", "all")
    assert not stack.status().running
    assert "is up (" in command(stack, "up")
    assert stack.status().ok

    consumer = Consumer({"bootstrap.servers": address.kafka, "group.id": name})
    consumer.assign([TopicPartition(name, 0, 0)])
    message = consumer.poll(30)
    assert message is not None
    assert message.value() == b"kept"
    consumer.close()
    tables = happybase.Connection(*address.hbase_thrift, timeout=60_000)
    assert tables.table(name).row(b"row") == {b"d:x": b"kept"}
    tables.delete_table(name, disable=True)
    tables.close()
    with urllib.request.urlopen(f"{address.webhdfs}/webhdfs/v1/{name}?op=OPEN", timeout=30) as file:
        assert file.read() == b"kept"


def put(url: str, data: bytes) -> None:
    """WebHDFS: the NameNode sends us on to a DataNode, which takes the bytes."""
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}&noredirect=true&overwrite=true", method="PUT"), timeout=30
    ) as answer:
        location = json.load(answer)["Location"]
    with urllib.request.urlopen(urllib.request.Request(location, data, method="PUT"), timeout=30) as answer:
        assert answer.status == 201


@pytest.fixture
def small(stack: Stack, tmp_path: Path) -> Iterator[Folder]:
    """A folder for a stack of one's own; the jars are there since `stack` is."""
    yield Folder(tmp_path / "small")
    take_down(tmp_path / "small", wipe=True)


SMALL = ("--no-hdfs", "--no-hbase", "--quick")


def test_up_that_was_killed_is_finished_by_up_and_down_leaves_nobody(small: Folder) -> None:
    words = [*WORDS, "up", "--dir", str(small.root)]
    base = free_base()
    first = subprocess.Popen(
        [*words, *SMALL, "--base-port", str(base)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (small.run / "kafka1.json").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    second = subprocess.run([*words, "--json"], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    told = json.loads(second.stdout)
    assert told["ok"]
    assert told["addresses"]["kafka"] == f"127.0.0.1:{base + 92}"  # with the options of the first one
    left = processes.find_all(small)
    assert [process.name for process in left] == ["kafka1"]
    down = subprocess.run(
        [*WORDS, "down", "--wipe", "--dir", str(small.root)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert down.stdout == "Stopped kafka1. Its data is gone.\n"
    assert not processes.is_alive(left[0])
    assert processes.find_all(small) == []
    assert not small.root.exists()


def test_up_that_is_interrupted_or_fails_leaves_nobody(small: Folder) -> None:
    base = free_base()
    words = [*WORDS, "up", *SMALL, "--base-port", str(base), "--dir", str(small.root)]
    for number in (signal.SIGINT, signal.SIGTERM):
        up = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not processes.find_all(small):
            assert up.poll() is None
            time.sleep(0.01)
        up.send_signal(number)
        assert up.wait() != 0
        assert processes.find_all(small) == []
    failed = subprocess.run(
        [*words, "--set", "kafka:log.segment.bytes=none"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert "log.segment.bytes" in failed.stderr
    assert processes.find_all(small) == []


@pytest.mark.parametrize("name", ["kafka1-format", "kafka1"])
def test_up_that_is_interrupted_within_a_start_leaves_nobody(
    small: Folder, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, _, tag = subprocess.Popen, *jvm.tags(small.root, name)
    children = []

    def interrupted(command: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        child = start(command, **how)
        if tag in command:
            children.append(child)
            raise KeyboardInterrupt  # the process is there, and nobody has been told
        return child

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Stack.up(small.root, StackOptions(hdfs=False, hbase=False, quick=True, base_port=free_base()))
    assert processes.find_all(small) == []
    assert [child.wait() != 0 for child in children] == [True]


def test_up_refuses_a_taken_port_and_starts_nothing(stack: Stack, small: Folder) -> None:
    with pytest.raises(StackRefused, match="taken by something else"):
        Stack.up(small.root, StackOptions(base_port=stack.options.base_port, hdfs=False, hbase=False))
    assert processes.find_all(small) == []
    assert not small.root.exists()
