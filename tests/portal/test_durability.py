"""200 means stored: through kills, replacements and drains, each acknowledged report is counted in the topic."""

from __future__ import annotations

import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from doors import SECONDS, Door, has_stored, headers_of, payloads, read_all, request, wait_until
from load import Load
from loopback import free_port

from flurry_fast._core import Simulator
from flurry_fast.broker import EmbeddedBroker


@pytest.fixture(scope="module")
def reports() -> list[bytes]:
    """Small ones."""
    return Simulator(7, apps=50, devices=1000, protocols={15: 1, 26: 3, 30: 1}).next_batch(2000).payloads()


def assert_all_there(acknowledged: Counter[bytes], broker: EmbeddedBroker, topic: str) -> None:
    """Whatever is there beyond that was posted as well, and is a duplicate."""
    found = payloads(broker, topic)
    missing = acknowledged - found
    assert not missing, f"{missing.total()} acknowledged reports are not in the topic"
    assert found.keys() <= acknowledged.keys()


def test_kill_9_loses_nothing_that_was_acknowledged(
    tmp_path: Path, broker: EmbeddedBroker, topic: str, reports: list[bytes]
) -> None:
    port = free_port()
    door = Door(tmp_path, broker, topic, port)
    load = Load(door, reports)
    try:
        for _ in range(2):
            wait_until(partial(has_stored, door, 200), "200 are stored")
            door.kill()
            door = Door(tmp_path, broker, topic, port)
        wait_until(partial(has_stored, door, 200), "200 are stored after the last kill")
        acknowledged = load.finish()
    finally:
        load.finish()
        door.kill()
    counts = load.fleet.counts()
    assert counts["unanswered"] + counts["no_connection"] > 0, "no kill met a post"
    assert acknowledged.total() == load.posted
    assert_all_there(acknowledged, broker, topic)


def test_workers_are_replaced_without_a_refused_connection(
    tmp_path: Path, broker: EmbeddedBroker, topic: str, reports: list[bytes]
) -> None:
    with Door(tmp_path, broker, topic, portal__workers=2) as door:
        before = {worker["pid"] for worker in door.status()["workers"].values()}
        load = Load(door, reports)
        door.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: not before & {worker["pid"] for worker in door.status()["workers"].values()} and door.is_ready(),
            "both are replaced",
        )
        acknowledged = load.finish()
        counts = load.fleet.counts()
        assert counts["no_connection"] == counts["given_up"] == counts["dropped"] == 0
        assert acknowledged.total() == load.posted > 0
        assert_all_there(acknowledged, broker, topic)
        assert door.stop() == 0


def test_sigterm_lets_what_is_under_way_end(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    with Door(tmp_path, broker, topic, portal__linger="500ms") as door, door.connect() as slow, door.connect() as idle:
        whole = request(b"half of it is sent before the signal" * 100)
        slow.sendall(whole[:1000])
        wait_until(lambda: door.status()["open"] == 2, "both are open")
        door.process.send_signal(signal.SIGTERM)
        assert read_all(idle) == b""
        slow.sendall(whole[1000:])
        answer = read_all(slow)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert headers_of(answer)["Connection"] == "close"
        assert door.process.wait(SECONDS) == 0
        assert (door.status()["memory"], door.status()["pending"]) == (0, 0)
    assert payloads(broker, topic).total() == 1


def test_a_drain_has_an_end(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    with Door(tmp_path, broker, topic, portal__drain_timeout="300ms") as door, door.connect() as stuck:
        stuck.sendall(request(b"", length=10))
        wait_until(lambda: door.status()["open"] == 1, "it is open")
        assert door.stop() == 0
        assert read_all(stuck) == b""
    assert payloads(broker, topic).total() == 0
