"""The HTTP surface under everything that is not a proper post: nothing of it may be answered, held or fatal."""

from __future__ import annotations

import socket
import time

import pytest
from doors import Door, headers_of, payloads, read_all, request, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flurry_fast.broker import EmbeddedBroker
from flurry_fast.config.portal import Portal
from flurry_fast.portal.listener import listen

REPORT = b"\x00\x01 whatever it is, it is stored"
OK = b"HTTP/1.1 200 OK\r\n"
HEAD = b"POST /aap.do HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "bad",
    {
        "no number": HEAD + b"Content-Length: abc\r\n\r\n",
        "negative": HEAD + b"Content-Length: -1\r\n\r\nx",
        "huge": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nx",
        "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "over the limit": HEAD + b"Content-Length: 4194305\r\n\r\nx",
        "no chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc",
        "chunk too short": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n",
        "unknown coding": HEAD + b"Transfer-Encoding: squeezed\r\n\r\nxyz",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": bytes.fromhex("16030100c8010000c40303"),
        "no HTTP": b"\x00" * 100,
        "a space in a name": HEAD + b"Content Length: 1\r\n\r\nx",
        "a long head": HEAD + b"X: " + b"y" * 20_000 + b"\r\nContent-Length: 1\r\n\r\nx",
        "many headers": HEAD + b"X: y\r\n" * 200 + b"Content-Length: 1\r\n\r\nx",
        "a long target": b"POST /aap.do?" + b"y" * 70_000 + b" HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_post_is_closed_without_a_word(bad: tuple[str, bytes], door: Door) -> None:
    assert door.send(bad[1], half_close=True) == b""


@pytest.mark.parametrize("missing", [1, len(REPORT)])
def test_a_body_that_ends_early_is_not_stored(missing: int, door: Door, broker: EmbeddedBroker) -> None:
    body = b"early" + bytes([missing]) + REPORT
    whole = request(body)
    assert door.send(whole[:-missing], half_close=True) == b""
    assert body[:-missing] not in payloads(broker, door.topic)


def test_what_follows_an_answer_is_held_as_any_other(door: Door) -> None:
    """On a connection that is kept: in one piece with the first post, and later."""
    first, garbage = request(REPORT, "Portal-Accepts: keep-alive, status"), b"no HTTP\r\n\r\n"
    answer = door.send(first + garbage)
    assert answer.startswith(OK)
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    with door.connect() as client:
        for _ in range(2):
            client.sendall(first)
            said = client.recv(4096)
            assert said.startswith(OK)
            assert b"close" not in said
        client.sendall(garbage)
        assert read_all(client) == b""


def test_chunks_are_a_body(door: Door, broker: EmbeddedBroker) -> None:
    chunks = b"3\r\nab\x00\r\n2;x=y\r\ncd\r\n0\r\nTrailer: z\r\n\r\n"
    assert door.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).startswith(OK)
    assert b"ab\x00cd" in payloads(broker, door.topic)


def test_a_large_body_arrives_whole(door: Door, broker: EmbeddedBroker) -> None:
    body = bytes(range(256)) * 2000
    assert door.send(request(body)).startswith(OK)
    assert body in payloads(broker, door.topic)


def test_who_asked_for_a_status_gets_one(door: Door) -> None:
    answer = door.send(HEAD + b"Portal-Accepts: status\r\nContent-Length: 4194305\r\n\r\nx")
    assert answer.startswith(b"HTTP/1.1 413 ")
    answer = door.send(HEAD + b"Portal-Accepts: status\r\nContent-Length: 3\r\n\r\nx", half_close=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / ", 404),
        ("POST /other ", 404),
        ("GET /metrics ", 404),
        ("GET /aap.do ", 405),
        ("GET /healthz ", 200),
        ("GET /readyz ", 200),
    ],
)
def test_pages_for_those_that_are_no_agents(head: str, status: int, door: Door) -> None:
    answer = door.send(f"{head}HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert headers_of(answer)["Connection"] == "close"


def seconds_until_closed(door: Door, first: bytes, drop: bytes = b"") -> float:
    """`drop` is sent again and again."""
    started = time.monotonic()
    with door.connect() as client:
        client.sendall(first)
        client.settimeout(0.05)
        while True:
            try:
                said = client.recv(100)
            except TimeoutError:
                try:
                    client.sendall(drop)
                except OSError:
                    break
                assert time.monotonic() - started < 20
                continue
            except OSError:
                break
            assert said == b""
            break
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"POST /aap", b"x"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b""),
        (request(b"", length=100_000), b"x"),
    ],
    ids=["nothing", "a slow head", "no body", "a slow body"],
)
def test_slow_clients_are_cut(first: bytes, drop: bytes, strict: Door) -> None:
    assert 0.2 < seconds_until_closed(strict, first, drop) < 15


def test_memory_is_bounded_and_comes_back(strict: Door) -> None:
    """Clients that fill the budget and stand still: not all are taken, and everybody is again afterwards."""
    size = 200_000
    stuck = []
    try:
        for _ in range(12):
            client = strict.connect()
            client.sendall(request(b"x" * (size - 1), length=size))
            stuck.append(client)
        # Some of these clients are closed, or this one is: who, is a matter of moments.
        strict.send(request(b"y" * 200_000))
        wait_until(lambda: strict.status()["not_stored"].get("overload", 0) > 0, "somebody is refused")
        assert strict.status()["memory"] <= 2**20
    finally:
        for client in stuck:
            client.close()
    wait_until(lambda: strict.send(request(REPORT)).startswith(OK), "stored again")
    wait_until(lambda: strict.status()["memory"] == 0, "all memory is back")


def test_connections_are_bounded_and_others_wait(strict: Door) -> None:
    idle = [strict.connect() for _ in range(60)]
    try:
        # The places come back after head_timeout: this one is answered late, not refused.
        assert strict.send(request(REPORT)).startswith(OK)
        assert strict.status()["open"] <= 40
    finally:
        for client in idle:
            client.close()


def test_who_says_nothing_at_first_is_answered_later(door: Door) -> None:
    """Such a connection is not even accepted until it has waited a while, or says something."""
    with door.connect() as late, door.connect() as silent:
        wait_until(lambda: door.status()["open"] == 2, "both are accepted all the same")
        late.sendall(request(REPORT))
        assert read_all(late).startswith(OK)
        silent.shutdown(socket.SHUT_WR)
        assert read_all(silent) == b""


def test_connections_have_what_their_listener_has() -> None:
    """Nagle's algorithm is off, for which nobody asks again: no answer waits for an acknowledgement."""
    with listen(Portal(port=0)) as listener:
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"x")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


FRAGMENTS = st.sampled_from(
    [
        *(
            b"POST ",
            b"/aap.do",
            b" HTTP/1.1",
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b"Content-Length: ",
            b"3",
            b"0",
            b"-",
            b"abc",
        ),
        *(
            b"Transfer-Encoding: chunked",
            b"Expect: 100-continue",
            b"Portal-Accepts: status",
            b"Host: x",
            b": ",
            b"\x00",
        ),
        *(b"3\r\nabc\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"HTTP/1.0", b"\xff", b" ", b"\t"),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(FRAGMENTS, max_size=25), body=st.binary(max_size=40), cut=st.integers(0, 400))
def test_any_bytes_are_survived(parts: list[bytes], body: bytes, cut: int, door: Door) -> None:
    """Half of a proper post with anything in its head, or only anything: closed in the end, never wrongly stored."""
    anything = b"".join(parts)
    for sent in (anything, (request(body, anything.decode("latin-1")))[:cut] + anything):
        answer = door.send(sent, half_close=True)
        assert answer == b"" or answer.startswith(b"HTTP/1."), answer[:50]
        if answer.partition(b" ")[2].startswith(b"200"):
            assert b"\r\n\r\n" in sent or b"\n\n" in sent or b"\n\r\n" in sent
    assert door.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").startswith(OK)


def test_a_client_that_goes_away_costs_nothing(door: Door) -> None:
    for _ in range(50):
        client = socket.create_connection(door.address)
        client.sendall(request(REPORT)[:60])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.close()
    wait_until(lambda: door.status()["open"] == 0, "all are gone")
    with door.connect() as client:
        client.sendall(request(REPORT))
        assert read_all(client).startswith(OK)
