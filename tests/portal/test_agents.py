"""Every agent generation, as docs/wire-format.md says it behaves, at a portal that stores and at one that can not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest
from doors import Door, headers_of, payloads, read_all, request, wait_until
from whole_topic import read_topic

from flurry_fast._core import HttpFleet, decode_json, message_key
from flurry_fast.broker import EmbeddedBroker

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Agent:
    """One generation; `folder` is where its captures are."""

    folder: str

    @property
    def version(self) -> int:
        return int(self.folder.removeprefix("a"))

    @property
    def report(self) -> bytes:
        return max((path.read_bytes() for path in (CAPTURES / self.folder).glob("full-*.bin")), key=len)

    @property
    def asks_first(self) -> bool:
        return self.version == 30

    def post(self, door: Door, *extra: str) -> bytes:
        """One connection, never closed by the agent: all that it reads, without 100 Continue."""
        path = "/aar.do" if self.asks_first else "/aap.do"
        extra = (*extra, "Expect: 100-continue") if self.asks_first else extra
        whole = request(self.report, *extra, path=path)
        with door.connect() as client:
            if self.asks_first:
                client.sendall(whole[: -len(self.report)])
                said = b""
                while len(said) < len(CONTINUE):
                    said += client.recv(len(CONTINUE) - len(said)) or b"closed before it was asked for the body"
                assert said == CONTINUE
                client.sendall(self.report)
            else:
                client.sendall(whole)
            return read_all(client)

    def keeps(self, answer: bytes) -> bool:
        """Whether the report is still on the device afterwards."""
        status = answer.partition(b" ")[2][:3]
        if self.version >= 155:
            return status == b""
        return status != b"200"

    def resends_last_session(self, answer: bytes) -> bool:
        """117 to 122 parse what a 200 brings, unless that is nothing."""
        return 117 <= self.version <= 122 and headers_of(answer).get("Content-Length") != "0"


AGENTS = [Agent(path.name) for path in sorted(CAPTURES.iterdir()) if path.is_dir()]


def test_all_generations_are_here() -> None:
    assert [agent.version for agent in AGENTS] == [30, 117, 122, 131, 140, 148, 155, 216]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.folder)
def test_a_stored_report_leaves_its_device(agent: Agent, door: Door, broker: EmbeddedBroker) -> None:
    answer = agent.post(door)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert headers_of(answer)["Content-Length"] == "0"
    assert headers_of(answer)["Connection"] == "close"
    assert not agent.keeps(answer)
    assert not agent.resends_last_session(answer)
    records = [record for record in read_topic(broker, door.topic) if record.value() == agent.report]
    assert records
    protocol = str(int.from_bytes(agent.report[:2], "big")).encode()
    for record in records:
        assert record.key() == message_key(agent.report)
        assert record.headers() == [("protocol", protocol), ("address", b"127.0.0.0")]


def test_a_receipt_says_where_the_report_is_to_those_that_ask(
    door: Door, broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    agent = AGENTS[0]
    assert b"ortal-" not in agent.post(door)
    assert b"ortal-" not in agent.post(door, "Portal-Accepts: status")
    with Door(tmp_path, broker, topic) as fresh:
        bodies = [agent.report for agent in AGENTS] + [b"no report"]
        told = []
        for body in bodies:
            answer = headers_of(fresh.send(request(body, "Portal-Accepts: status, receipt")))
            told.append((tuple(int(part) for part in answer["Portal-Record"].split("/")), body))
    stored = [
        ((record.partition(), record.offset(), record.timestamp()[1]), record.value())
        for record in read_topic(broker, topic)
    ]
    assert sorted(told) == sorted(stored)
    now = time.time() * 1000
    assert all(now - 120_000 < place[2] <= now for place, _ in told)


def test_http_1_0_is_answered(door: Door) -> None:
    whole = request(AGENTS[0].report).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Connection: Keep-Alive\r\n", b"")
    assert door.send(whole).split(b" ", 1)[1].startswith(b"200 OK\r\n")


def test_every_capture_arrives_as_it_was_sent(
    captures: list[Path], broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    bodies = [path.read_bytes() for path in captures]
    with Door(tmp_path, broker, topic) as door:
        fleet = HttpFleet("{}:{}".format(*door.address), host="data.flurry.com", devices=16)
        assert fleet.post(bodies) == len(bodies)
        fleet.finish()
        assert fleet.counts() == {
            **dict.fromkeys(fleet.counts(), 0),
            "stored": len(bodies),
        }
        assert sorted(fleet.take_stored()) == list(range(len(bodies)))
        found = payloads(broker, topic)
        assert found.keys() == set(bodies)
        assert found.total() == len(bodies)
        for record in read_topic(broker, topic):
            body = record.value() or b""
            damaged = b"bad_crc" in decode_json(body)  # cut by its agent: nothing in it is believed
            assert record.key() == (f"{crc32(body):08x}".encode() if damaged else message_key(body))
        assert door.stop() == 0


def test_what_can_not_be_read_is_stored_under_its_hash(door: Door, broker: EmbeddedBroker) -> None:
    whole = (CAPTURES / "a148" / "full-2.bin").read_bytes()
    bodies = [b"", b"no report", whole[:-1], bytes([*whole[:-1], whole[-1] ^ 1]), b"\x00\x63" + whole[2:]]
    for body in bodies:
        assert door.send(request(body)).startswith(b"HTTP/1.1 200 OK\r\n"), body[:20]
    found = {record.value() or b"": record for record in read_topic(broker, door.topic)}
    for body in bodies:
        key = found[body].key() or b""
        assert len(key) == 8
        int(key, 16)
        assert found[body].headers() == [("address", b"127.0.0.0")]


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("lost")
    broker = EmbeddedBroker(folder / "broker.json", {"reports": 2})
    with Door(folder, broker, "reports", portal__answer_timeout="300ms", portal__hold="1ms") as door:
        broker.stop()
        yield door
        assert door.stop() == 0


class TestNoBroker:
    """A portal whose broker is gone."""

    @pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.folder)
    def test_every_agent_keeps_its_report(self, agent: Agent, lost: Door) -> None:
        answer = agent.post(lost)
        assert answer == b""
        assert agent.keeps(answer)

    def test_a_client_that_understands_is_told(self, lost: Door) -> None:
        for agent in AGENTS[-3:]:
            answer = agent.post(lost, "Portal-Accepts: status")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert int(headers_of(answer)["Retry-After"]) > 0

    def test_readiness_says_so_and_liveness_does_not(self, lost: Door) -> None:
        def ask(path: str) -> bytes:
            return lost.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        wait_until(lambda: ask("/readyz").startswith(b"HTTP/1.1 503 "), "not ready")
        assert ask("/healthz").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_has_shut_its_side_is_answered(door: Door) -> None:
    assert door.send(request(AGENTS[0].report), half_close=True).startswith(b"HTTP/1.1 200 ")


def test_a_connection_is_used_again_only_by_those_that_ask(door: Door) -> None:
    twice = request(AGENTS[0].report, "Portal-Accepts: keep-alive") * 2
    with door.connect() as client:
        client.sendall(twice)
        client.shutdown(socket.SHUT_WR)
        answers = read_all(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b"Connection: close" not in answers.split(b"\r\n\r\n")[0]
    assert door.send(request(AGENTS[0].report) * 2).count(b"HTTP/1.1 200 OK") <= 1
