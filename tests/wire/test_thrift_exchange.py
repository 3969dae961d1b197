"""Calls over sockets whose other end does what a script says: each reply acknowledges its own call, or the write fails
and the socket is not used again."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module

import pytest
from thriftpy2.protocol import TBinaryProtocol  # type: ignore[attr-defined]
from thriftpy2.transport import TBufferedTransport  # type: ignore[attr-defined]

from flurry_fast._wire import Calls, WireFailure

from .thrift_peer import COLUMN, TABLE, cell_row, cells_of, column, hbase, put_reply, refusal, reply, rows_reply

TSocket = import_module("thriftpy2.transport").TSocket
FIRST = [1000, 2000, 3000, 4000]  # sequence ids before the first call, socket by socket


@dataclass
class Request:
    """A call that thriftpy2 has read to its end."""

    name: str
    sequence: int
    arguments: object

    @property
    def rows(self) -> list[bytes]:
        batches = getattr(self.arguments, "rowBatches", None)
        return getattr(self.arguments, "rows", None) or [batch.row for batch in batches or []]


class Peer:
    """The other end of a socket: `script` runs in a thread of its own until it returns, then the socket closes."""

    def __init__(self, script: Callable[[Peer], None]) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.requests: list[Request] = []
        transport = TSocket(sock=self.theirs)
        self._protocol = TBinaryProtocol(TBufferedTransport(transport))
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self._thread.start()

    def _run(self, script: Callable[[Peer], None]) -> None:
        try:
            script(self)
        except BaseException as error:
            self.failure = error
        finally:
            self.theirs.close()

    def receive(self) -> Request:
        name, _, sequence = self._protocol.read_message_begin()
        arguments = getattr(hbase.Hbase, name + "_args")()
        arguments.read(self._protocol)
        self.requests.append(Request(name, sequence, arguments))
        return self.requests[-1]

    def send(self, data: bytes) -> None:
        self.theirs.sendall(data)

    def wait_for_the_end(self) -> None:
        """Until our side closes."""
        self.theirs.settimeout(20)
        try:
            while self.theirs.recv(2**16):
                pass
        except OSError:
            pass

    def close(self) -> None:
        self.ours.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


@dataclass
class Peers:
    """Makes them, and ends them all."""

    made: list[Peer] = field(default_factory=list)

    def __call__(self, *scripts: Callable[[Peer], None]) -> list[tuple[int, int]]:
        """What `run` wants."""
        self.made += [Peer(script) for script in scripts]
        return [(peer.ours.fileno(), sequence) for peer, sequence in zip(self.made, FIRST, strict=False)]


@pytest.fixture
def peers() -> Iterator[Peers]:
    made = Peers()
    yield made
    with ExitStack() as stack:
        for peer in made.made:
            stack.callback(peer.close)


def puts(count: int, size: int = 10) -> Calls:
    """So many calls, of one row each."""
    rows = [b"row%d" % i for i in range(count)]
    return Calls.put([(TABLE, COLUMN, 5, column(rows), column([b"v" * size] * count))], 1, 2**30)


def fails(
    calls: Calls, sockets: list[tuple[int, int]], *kinds: str, depth: int = 2, timeout: float = 20
) -> WireFailure:
    with pytest.raises(WireFailure) as caught:
        calls.run(sockets, depth, timeout)
    assert caught.value.kind in kinds, caught.value
    assert len(calls.clean) == len(sockets)
    return caught.value


def good(peer: Peer) -> None:
    """Answers puts for ever."""
    while True:
        try:
            request = peer.receive()
        except Exception:
            return
        peer.send(put_reply(request.sequence))


# --- what should work ------------------------------------------------------------------------------------------------


def test_every_call_is_made_once_over_several_sockets(peers: Peers) -> None:
    calls = puts(50)
    calls.run(peers(good, good, good), 2, 20)
    assert calls.clean == [True] * 3
    sent = [request.rows[0] for peer in peers.made for request in peer.requests]
    assert sorted(sent) == sorted(b"row%d" % i for i in range(50))
    assert all(peer.requests for peer in peers.made)
    for peer, first, last in zip(peers.made, FIRST, calls.sequences, strict=False):
        assert [request.sequence for request in peer.requests] == list(range(first + 1, last + 1))
    with pytest.raises(RuntimeError, match="already"):
        calls.run([], 1, 1)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_as_many_calls_are_in_flight_as_told(peers: Peers, depth: int) -> None:
    def hold_back(peer: Peer) -> None:
        held = [peer.receive() for _ in range(depth)]  # they come, though none is answered
        peer.theirs.settimeout(0.3)
        with pytest.raises(TimeoutError):  # and no more than those
            peer.theirs.recv(1, socket.MSG_PEEK)
        peer.theirs.settimeout(20)
        peer.send(b"".join(put_reply(request.sequence) for request in held))  # all replies in one piece
        good(peer)

    puts(3 * depth, size=10_000).run(peers(hold_back), depth, 20)  # larger than what thriftpy2 reads ahead
    assert peers.made[0].failure is None
    assert len(peers.made[0].requests) == 3 * depth


def test_neither_side_waits_for_the_other_to_read(peers: Peers) -> None:
    """Calls and replies larger than what the sockets hold, while the peer writes before it has read all calls."""
    rows = [b"r%03d" % i for i in range(400)]

    def script(peer: Peer) -> None:
        while len(peer.requests) < 40:
            request = peer.receive()
            peer.send(rows_reply(request.sequence, [cell_row(row, 1, b"x" * 100_000) for row in request.rows]))

    calls = Calls.get([(TABLE, COLUMN, column(rows))], 10, 10**9)
    calls.run(peers(script), 8, 60)
    assert calls.clean == [True]
    found = cells_of(calls)
    assert [index for index, _, _ in found] == list(range(400))
    assert {value for _, _, value in found} == {b"x" * 100_000}


def test_large_calls_to_a_slow_reader(peers: Peers) -> None:
    puts(6, size=3_000_000).run(peers(good, good), 2, 60)


def test_cells_of_several_columns_come_in_order_whoever_answers_first(peers: Peers) -> None:
    def answer(peer: Peer, delay: float) -> None:
        while True:
            try:
                request = peer.receive()
            except Exception:
                return
            time.sleep(delay)
            kept = [row for row in request.rows if row[-1:] != b"7"]
            peer.send(rows_reply(request.sequence, [cell_row(row, 3, row * 2) for row in kept]))

    asked = [[b"%d-%d" % (part, i) for i in range(part * 11)] for part in range(5)]
    calls = Calls.get([(TABLE, COLUMN, column(rows)) for rows in asked], 4, 10**9)
    calls.run(peers(lambda peer: answer(peer, 0.01), lambda peer: answer(peer, 0)), 2, 20)
    for part, rows in enumerate(asked):
        assert cells_of(calls, part) == [(i, 3, row * 2) for i, row in enumerate(rows) if row[-1:] != b"7"]


def test_swaps_keep_their_places(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        while True:
            try:
                request = peer.receive()
            except Exception:
                return
            row: bytes = request.arguments.row  # type: ignore[attr-defined]
            peer.send(reply("checkAndPut", request.sequence, success=int(row) % 3 == 0))

    calls = Calls.swap(TABLE, [(b"%d" % i, COLUMN, None, b"v") for i in range(30)])
    calls.run(peers(script, script), 3, 20)
    assert calls.swapped() == [i % 3 == 0 for i in range(30)]


def test_sequence_ids_start_over(peers: Peers) -> None:
    calls = puts(3)
    descriptor = peers(good)[0][0]
    calls.run([(descriptor, 2**31 - 2)], 2, 20)
    assert [request.sequence for request in peers.made[0].requests] == [2**31 - 1, 0, 1]


def test_a_reply_that_drips_in_time_is_a_reply(peers: Peers) -> None:
    def drip(peer: Peer) -> None:
        for byte in put_reply(peer.receive().sequence):
            time.sleep(0.005)
            peer.send(bytes([byte]))

    calls = puts(1)
    calls.run(peers(drip), 1, 20)
    assert calls.clean == [True]


# --- what must not be taken for an acknowledgement -------------------------------------------------------------------


def test_a_reply_to_another_call(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.send(put_reply(peer.receive().sequence + 7))
        peer.wait_for_the_end()

    calls = puts(1)
    assert "came for call 1001" in fails(calls, peers(script), "mismatch").text
    assert calls.clean == [False]


def test_replies_in_another_order(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        first, second = peer.receive(), peer.receive()
        peer.send(put_reply(second.sequence) + put_reply(first.sequence))
        peer.wait_for_the_end()

    fails(puts(2), peers(script), "mismatch")


def test_a_reply_is_missing(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(put_reply(peer.receive().sequence))
        peer.wait_for_the_end()

    fails(puts(2), peers(script), "mismatch")


def test_a_reply_before_its_call(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.send(put_reply(FIRST[0] + 1))
        peer.wait_for_the_end()

    assert "no call waits for" in fails(puts(1, size=50_000_000), peers(script), "mismatch").text


def test_a_reply_too_many(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.send(put_reply(peer.receive().sequence) * 2)
        peer.wait_for_the_end()

    calls = puts(1)
    fails(calls, peers(script), "mismatch")
    assert calls.clean == [False]


@pytest.mark.parametrize("kept", range(len(put_reply(0))))
def test_a_short_reply(peers: Peers, kept: int) -> None:
    def script(peer: Peer) -> None:
        peer.send(put_reply(peer.receive().sequence)[:kept])

    calls = puts(1)
    fails(calls, peers(script), "closed", "errno")
    assert calls.clean == [False]


def test_a_half_close(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.theirs.shutdown(socket.SHUT_WR)
        peer.wait_for_the_end()

    fails(puts(1), peers(script), "closed")


def test_a_peer_that_closes_under_a_large_call(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        peer.theirs.recv(1000)

    fails(puts(1, size=20_000_000), peers(script), "closed", "errno")


def test_an_exception_ends_its_socket_and_those_that_owe_a_reply(peers: Peers) -> None:
    refused, idle = threading.Event(), threading.Event()

    def first(peer: Peer) -> None:
        request = peer.receive()
        idle.wait(20)
        peer.send(refusal("mutateRowsTs", request.sequence, 6, b"Internal error"))
        refused.set()
        peer.wait_for_the_end()

    def second(peer: Peer) -> None:
        peer.receive()
        peer.wait_for_the_end()

    def third(peer: Peer) -> None:
        peer.send(put_reply(peer.receive().sequence))
        time.sleep(0.2)  # until that is read
        idle.set()
        peer.wait_for_the_end()

    calls = puts(3)
    failure = fails(calls, peers(first, second, third), "application")
    assert (failure.code, failure.text) == (6, "Internal error")
    assert calls.clean == [False, False, True]


def test_no_call_begins_after_a_failure(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        request = peer.receive()
        peer.send(reply("mutateRowsTs", request.sequence, io=hbase.IOError(message=b"no")))
        peer.receive()
        peer.wait_for_the_end()

    fails(puts(10), peers(script), "io")
    peers.made[0].close()
    assert len(peers.made[0].requests) <= 2


@pytest.mark.parametrize("answers", [0, 1])
def test_the_deadline(peers: Peers, answers: int) -> None:
    """Each call has it anew when its turn comes."""

    def script(peer: Peer) -> None:
        for _ in range(answers):
            peer.send(put_reply(peer.receive().sequence))
        peer.wait_for_the_end()

    began = time.monotonic()
    calls = puts(2)
    fails(calls, peers(script), "timeout", timeout=0.4)
    assert 0.3 < time.monotonic() - began < 10
    assert calls.clean == [False]


def test_a_slow_drip_does_not_hold_a_call(peers: Peers) -> None:
    def drip(peer: Peer) -> None:
        peer.receive()
        data = rows_reply(FIRST[0] + 1, [cell_row(b"a", 1, b"x" * 10_000)])
        try:
            for byte in data:
                time.sleep(0.02)
                peer.send(bytes([byte]))
        except OSError:
            return

    calls = Calls.get([(TABLE, COLUMN, column([b"a"]))], 10, 10)
    began = time.monotonic()
    fails(calls, peers(drip), "timeout", timeout=0.5)
    assert time.monotonic() - began < 10


def test_a_peer_that_does_not_read(peers: Peers) -> None:
    fails(puts(4, size=20_000_000), peers(lambda peer: threading.Event().wait(1.5) and None), "timeout", timeout=0.5)


def test_an_endless_reply(peers: Peers) -> None:
    def script(peer: Peer) -> None:
        name = b"mutateRowsTs"
        peer.send(struct.pack(">II", 0x8001_0003, len(name)) + name + struct.pack(">i", peer.receive().sequence))
        try:
            while True:
                peer.send(struct.pack(">BhI", 11, 9, 2**16) + bytes(2**16))
        except OSError:
            return

    fails(puts(1), peers(script), "too large")


@pytest.mark.parametrize("receiver", ["this thread", "another"])
def test_a_signal_is_looked_at_meanwhile(peers: Peers, receiver: str) -> None:
    import signal

    class Told(Exception):
        pass

    def tell(*_: object) -> None:
        raise Told

    def script(peer: Peer) -> None:
        peer.receive()
        thread = threading.main_thread().ident if receiver == "this thread" else threading.get_ident()
        assert thread
        signal.pthread_kill(thread, signal.SIGUSR1)
        peer.wait_for_the_end()

    before = signal.signal(signal.SIGUSR1, tell)
    try:
        calls = puts(1)
        with pytest.raises(Told):
            calls.run(peers(script), 1, 60)
        assert calls.clean == [False]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_run_refuses(peers: Peers) -> None:
    sockets = peers(good)
    for wrong in (([], 1, 1.0), (sockets, 0, 1.0), (sockets, 17, 1.0), (sockets * 65, 1, 1.0), (sockets, 1, 0.0)):
        with pytest.raises(ValueError, match=r"can not have|sockets with"):
            puts(1).run(*wrong)  # type: ignore[arg-type]
    closed = socket.socket()
    descriptor = closed.detach()
    import os

    os.close(descriptor)
    fails(puts(1), [(descriptor, 0)], "errno")
