"""`simulate --http`: what devices say was stored, and what is in the topic."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from pathlib import Path

import google_crc32c
import pytest
from click.testing import CliRunner
from confluent_kafka import Message
from doors import ROOT, Door, payloads, request, simulate
from whole_topic import read_topic

from flurry_fast._core import HttpFleet, decode_json
from flurry_fast.agent.http import HttpTarget, NoSuchPortal, Portal
from flurry_fast.agent.manifest import ManifestWriter
from flurry_fast.agent.simulator import Chunk, Fleet, FleetSettings, parse_start
from flurry_fast.broker import EmbeddedBroker
from flurry_fast.cli.simulate import command
from flurry_fast.verify.count import CountError
from flurry_fast.verify.manifest import count_manifest
from flurry_fast.verify.plan import CountedPlan

CAPTURES = ROOT / "tests/captures"
PLAN = (ROOT / "flurry_fast/plans/default.toml").read_text()


def test_the_manifest_is_what_was_acknowledged(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    manifest = tmp_path / "sent.jsonl"
    with Door(tmp_path, broker, topic) as door:
        url = "http://{}:{}".format(*door.address)
        flags = (
            "--reports",
            "400",
            "--malformed",
            "0.05",
            "--connections",
            "20",
            "--manifest",
            str(manifest),
            "--json",
        )
        code, out, said = simulate("--http", url, *flags, folder=tmp_path)
        assert code == 0, said
        assert door.stop() == 0
    summary = json.loads(out)
    assert (summary["acked"], summary["failed"]) == (400, 0)
    assert summary["http"]["stored"] == 400
    assert 0 < summary["http"]["latency_seconds"]["p50"] <= summary["http"]["latency_seconds"]["p99.9"]
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert sorted(
        (line["partition"], line["offset"], line["timestamp_ms"], line["crc32c"], line["bytes"]) for line in lines
    ) == sorted(map(as_told, read_topic(broker, topic)))
    # Nothing lacks, so that the independent count takes it.
    assert count_manifest(manifest, CountedPlan.parse(PLAN)).reports == 400


def as_told(record: Message) -> tuple[int | None, int | None, int, int, int]:
    """What a manifest says of a record."""
    body = record.value() or b""
    return record.partition(), record.offset(), record.timestamp()[1], google_crc32c.value(body), len(body)


def test_every_report_arrives_once_and_whole(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    """Captures first, then a fleet's, which never become objects of Python's; and by several threads."""
    fleet = ("--reports", "3000", "--seed", "5", "--start", "2013-11-20T12:00:00Z", "--captures", str(CAPTURES))
    with Door(tmp_path, broker, topic) as door:
        url = "http://{}:{}".format(*door.address)
        many = ("--threads", "3", "--connections", "20", "--json")
        code, out, said = simulate("--http", url, *fleet, *many, folder=tmp_path)
        assert code == 0, said
    made = Fleet(FleetSettings(seed=5, start_ms=parse_start("2013-11-20T12:00:00Z")), CAPTURES)
    expected = Counter(made.take(made.captures).payloads) + Counter(made.take(3000).payloads)
    assert payloads(broker, topic) == expected
    summary = json.loads(out)
    assert summary["acked"] == expected.total()
    assert summary["bytes"] == sum(len(body) * count for body, count in expected.items())


def test_a_report_whose_answer_was_lost_is_a_hole_that_is_told(
    tmp_path: Path, bodies: list[bytes], broker: EmbeddedBroker, topic: str
) -> None:
    manifest = tmp_path / "sent.jsonl"
    with Door(tmp_path, broker, topic) as door, ManifestWriter(manifest) as writer:
        # The same report all the time: one partition.
        assert door.send(request(bodies[0])).startswith(b"HTTP/1.1 200 ")
        fleet = HttpFleet("{}:{}".format(*door.address), host="x", receipts=True)
        target = HttpTarget(fleet, writer)
        target.send(Chunk([b"k"] * 3, [bodies[0]] * 3))
        target.finish()
        assert writer.lines == 3
    with pytest.raises(CountError, match="offset 0 is not in the manifest, but 3 later ones are"):
        count_manifest(manifest, CountedPlan.parse(PLAN))


def test_does_not_run_away_from_a_group_that_is_named(tmp_path: Path, broker: EmbeddedBroker, topic: str) -> None:
    """Nobody commits: the run stays below the bound, and ends when it is told to."""
    with Door(tmp_path, broker, topic) as door:
        url = "http://{}:{}".format(*door.address)
        kafka = ("--set", f"kafka.broker_file={broker.path}", "--set", f"kafka.topic={topic}")
        bound = ("--throttle-group", "nobody", "--throttle-bytes", "64KiB", "--duration", "3", "--json")
        code, out, said = simulate("--http", url, *kafka, *bound, folder=tmp_path)
        assert code == 0, said
    summary = json.loads(out)
    assert summary["throttled_seconds"] > 0
    sizes = Counter[int | None]()
    for record in read_topic(broker, topic):
        sizes[record.partition()] += len(record.value() or b"")
    longest = 8 * 2**10
    assert 32 * 2**10 < max(sizes.values()) < 64 * 2**10 + longest


def test_outcomes_that_nobody_asks_for_are_forgotten(bodies: list[bytes]) -> None:
    fleet = HttpFleet(Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").address, host="x", devices=2)
    fleet.post(bodies[:3])
    fleet.finish()
    assert fleet.counts()["stored"] == 3
    fleet.forget()
    assert (fleet.take_stored(), fleet.take_receipts(), fleet.take_lost()) == ([], [], [])


def test_more_reports_than_may_wait(bodies: list[bytes], broker: EmbeddedBroker, topic: str, tmp_path: Path) -> None:
    """Whoever gives them waits; each has one outcome under its own number, whichever thread's device had it."""
    many = sorted(bodies, key=len)[:7] * 1300
    with Door(tmp_path, broker, topic) as door:
        fleet = HttpFleet("{}:{}".format(*door.address), host="x", devices=24, threads=2, keep_alive=True)
        assert fleet.post(many) == len(many)
        fleet.finish()
        assert sorted(fleet.take_stored()) == list(range(len(many)))
    assert payloads(broker, topic) == Counter(many)


def test_without_a_place_nothing_can_be_compared(tmp_path: Path, bodies: list[bytes]) -> None:
    """An answer of somebody who gives no receipts."""
    manifest = tmp_path / "sent.jsonl"
    plain = Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nPortal-Record: 1/x/3\r\n\r\n")
    with ManifestWriter(manifest) as writer:
        target = HttpTarget(HttpFleet(plain.address, host="x", receipts=True), writer)
        target.send(Chunk([b"k"], [bodies[0]]))
        target.finish()
    assert json.loads(manifest.read_text())["offset"] is None
    with pytest.raises(CountError, match="has no partition"):
        count_manifest(manifest, CountedPlan.parse(PLAN))


def test_nobody_is_there(tmp_path: Path) -> None:
    flags = ("--http", "http://127.0.0.1:1", "--reports", "3", "--resends", "1", "--resend-wait", "0.01")
    code, _, said = simulate(*flags, folder=tmp_path)
    assert code == 1
    assert "3 of 3 reports failed (3 given_up)" in said


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "https://127.0.0.1/aap.do",
        "127.0.0.1:80",
        "http://127.0.0.1/aap.do",
        "http://127.0.0.1:99999",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(NoSuchPortal, match="http://HOST"):
        Portal.at(url)


def test_a_portal_excludes_what_is_about_kafka() -> None:
    ran = CliRunner().invoke(command, ["--http", "http://127.0.0.1:1", "--topic", "t"])
    assert ran.exit_code == 2
    assert "exclude each other" in ran.output


class Scripted:
    """A server that says the same to everybody; `heads`: the first that each connection sent."""

    def __init__(self, answer: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer, self.heads = answer, list[bytes]()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def address(self) -> str:
        return "{}:{}".format(*self._listener.getsockname())

    def _run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client:
                self.heads.append(client.recv(65536))
                client.sendall(self._answer)


def report(bodies: list[bytes], protocol: int) -> bytes:
    return next(body for body in bodies if json.loads(decode_json(body)).get("protocol") == protocol)


def test_devices_do_what_their_agents_do(bodies: list[bytes]) -> None:
    old, new = report(bodies, 26), report(bodies, 27)
    closing = Scripted(b"")
    fleet = HttpFleet(closing.address, host="x", devices=1, resends=1, resend_wait=0)
    fleet.post([old])
    fleet.finish()
    assert fleet.counts() | {"given_up": 1, "repeats": 8, "resends": 1, "unanswered": 10} == fleet.counts()
    assert len(closing.heads) == 10
    busy = Scripted(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    fleet = HttpFleet(busy.address, host="x", devices=1, resends=2, resend_wait=0)
    fleet.post([old, new])
    fleet.finish()
    assert fleet.counts() | {"given_up": 1, "statuses": 3, "dropped": 1, "stored": 0} == fleet.counts()
    assert fleet.post([old]) == 0


def test_agent_30_asks_before_it_sends(bodies: list[bytes]) -> None:
    """To a path of its own; the body comes once it was asked for, or when nobody says anything for a while."""
    old = report(bodies, 8)
    for body in (old, report(bodies, 30)):
        server = Scripted(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        fleet = HttpFleet(server.address, host="data.flurry.com", devices=1)
        fleet.post([body])
        fleet.finish()
        head, _, rest = server.heads[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == (b"POST /aar.do HTTP/1.1" if body is old else b"POST /aap.do HTTP/1.1")
        assert (b"Expect: 100-continue" in lines) == (body is old)
        assert f"Content-Length: {len(body)}".encode() in lines
        assert rest == (b"" if body is old else body)
