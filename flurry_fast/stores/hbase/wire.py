"""Connections to an HBase Thrift1 gateway, and when the gateway's word is taken.

A connection is trusted only while every call on it ended with a clean reply: **any** exception closes it, also those
that the server sends in good order, because thriftpy2 itself would read the late reply to a call that timed out as the
answer to the next one. Three more things are looked at, any of which ends the connection, too:

- before a call nothing may be there to read: neither an end (gateways close idle sockets) nor bytes that nobody asked
  for. So a connection that was closed while it was idle is replaced without a failure;
- a reply must carry the sequence id and the name of the call that it answers. thriftpy2 compares neither;
- a call has one deadline over all of its sends and receives. A socket's time-out is per receive: a gateway that sends
  a byte now and then would hold a call for ever.

Nothing is retried here: an exception says nothing about the effect, and whoever called sends the same again.

thriftpy2 makes the calls that come one at a time. Cells go through `Gateway.make`: many calls over several connections,
encoded and read by csrc/thrift.h under the same rules.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from secrets import randbits
from typing import Any, TypeVar, cast

import happybase
from thriftpy2.protocol.cybin import TCyBinaryProtocol  # type: ignore[attr-defined]
from thriftpy2.thrift import TApplicationException, TClient, TException, TMessageType
from thriftpy2.transport.buffered import TCyBufferedTransport  # type: ignore[attr-defined]

from flurry_fast._wire import Calls, WireFailure
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.errors import StoreError, StoreUnavailable

T = TypeVar("T")
hbase: Any = importlib.import_module("Hbase_thrift") if happybase else None  # happybase compiles the IDL at import
BUFFER = 64 * 1024
TEXT = 300  # characters of a server's message that are passed on: the rest is its stack
# What reading a reply can raise, where its bytes make no sense.
GARBLED = (ValueError, TypeError, KeyError, IndexError, MemoryError, OverflowError, RecursionError)


class ReplyMismatch(ConnectionError):
    """A reply that answers another call."""


class TableMissing(StoreUnavailable):
    """The gateway says that there is no such table."""


class TableExists(StoreUnavailable):
    """The gateway says that there is such a table already."""


class Wire:
    """A socket as thriftpy2 wants it, with a deadline (monotonic seconds) over all that a call sends and reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline = 0.0

    def read(self, size: int) -> bytes:
        self._sock.settimeout(self._left())
        data = self._sock.recv(size)
        if not data:
            raise ConnectionResetError("the gateway closed the connection")
        return data

    def write(self, data: bytes) -> None:
        self._sock.settimeout(self._left())
        self._sock.sendall(data)  # whose time-out is over all of it

    def flush(self) -> None:
        """Nothing is held back here."""

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class Client(TClient):
    """thriftpy2's client, with replies held against the call that they must answer."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(hbase.Hbase, TCyBinaryProtocol(TCyBufferedTransport(wire, BUFFER), decode_response=False))
        self.wire = wire
        self._seqid = randbits(31)  # so that another connection's replies are told from this one's, too

    def call(self, name: str, *arguments: Any, timeout: float) -> Any:
        """One call. `timeout`: seconds, over all of it."""
        self.wire.deadline = time.monotonic() + timeout
        return self._req(name, *arguments)

    @property
    def sequence(self) -> int:
        """The id of the last call."""
        return self._seqid

    @sequence.setter
    def sequence(self, value: int) -> None:
        self._seqid = value

    def _send(self, _api: str, **kwargs: Any) -> None:
        self._seqid = (self._seqid + 1) & 0x7FFF_FFFF
        super()._send(_api, **kwargs)

    def _recv(self, _api: str) -> Any:
        name, kind, sequence = self._iprot.read_message_begin()
        if name != _api or sequence != self._seqid or kind not in (TMessageType.REPLY, TMessageType.EXCEPTION):
            raise ReplyMismatch(f"reply {sequence} to {name!r} came for call {self._seqid} of {_api!r}")
        if kind == TMessageType.EXCEPTION:
            refusal = TApplicationException()
            refusal.read(self._iprot)
            raise refusal
        result = getattr(self._service, _api + "_result")()
        result.read(self._iprot)
        for field, value in vars(result).items():
            if field != "success" and value is not None:
                raise value
        if not hasattr(result, "success"):
            return None
        if result.success is None:
            raise ReplyMismatch(f"the reply to {_api!r} has no result")
        return result.success


class Connection:
    """One socket and its client."""

    def __init__(self, address: HBaseAddress, timeout: float) -> None:
        """Connects. Raises OSError."""
        self.sock = _connect(address, time.monotonic() + timeout)
        self.client = Client(Wire(self.sock))

    def quiet(self) -> bool:
        """Whether it is open, and nothing is there to be read."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def interrupt(self) -> None:
        """Wakes the thread that is in a call on it, and closes it then: its number must not be another's before."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """For whoever holds it."""
        self.interrupt()
        self.sock.close()


class Gateway:
    """As many connections as there are threads in a call. Every method may be called from any thread."""

    def __init__(self, address: HBaseAddress, timeout: float) -> None:
        """Connects nothing yet. `timeout`: seconds of one call, and of connecting."""
        self.address = address
        self.timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = False

    def call(self, name: str, *arguments: Any) -> Any:
        """One call of Hbase.thrift, on a connection that is clean. Raises StoreUnavailable."""
        return self.using(lambda client: client.call(name, *arguments, timeout=self.timeout))

    def using(self, work: Callable[[Client], T]) -> T:
        """Several calls on one connection, which is closed at once if any of it raises. Raises StoreError."""
        with self.held() as client:
            return work(client)

    @contextlib.contextmanager
    def held(self) -> Iterator[Client]:
        """A clean connection, for as long as it takes."""
        try:
            connection = self._take()
        except OSError as error:
            raise self._typed(error) from error
        try:
            yield connection.client
        except (TException, OSError, *GARBLED) as error:
            self._drop(connection)
            raise self._typed(error) from error
        except BaseException:
            self._drop(connection)
            raise
        self._give_back(connection)

    def make(self, calls: Calls, *, sockets: int, depth: int) -> None:
        """All of these calls, over up to `sockets` clean connections, each with up to `depth` calls unanswered.

        A return means that every call had its clean reply. Raises StoreError; what was not answered is unknown then,
        and every connection that owes a reply, or had another than it owes, is closed.
        """
        taken: list[Connection] = []
        try:
            while len(taken) < min(sockets, len(calls)):
                taken.append(self._take())
            if taken:
                calls.run([(held.sock.fileno(), held.client.sequence) for held in taken], depth, self.timeout)
        except WireFailure as failure:
            error = raised(failure)
            raise self._typed(error) from error
        except (OSError, MemoryError) as error:
            raise self._typed(error) from error
        finally:
            for place, connection in enumerate(taken):
                if calls.sequences:
                    connection.client.sequence = calls.sequences[place]
                if not calls.clean or calls.clean[place]:  # none was made: all are as they were
                    self._give_back(connection)
                else:
                    self._drop(connection)

    def close(self) -> None:
        """Ends all connections, those in a call, too: it fails at once. Waits for nothing."""
        with self._lock:
            self._closed = True
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for connection in idle:
            connection.close()
        for connection in busy:
            connection.interrupt()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                self._refuse_if_closed()
                connection = self._idle.pop() if self._idle else None
                if connection is not None:
                    self._busy.add(connection)
            if connection is None:
                connection = Connection(self.address, self.timeout)
                with self._lock:
                    self._busy.add(connection)
                    closed = self._closed
                if closed:
                    self._drop(connection)
                    self._refuse_if_closed()
                return connection
            if connection.quiet():
                return connection
            self._drop(connection)

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store is closed.")

    def _typed(self, error: BaseException) -> StoreError:
        if self._closed:
            return StoreUnavailable("The store is closed.")
        text = explain(error)
        message = f"HBase behind {self.address.host}:{self.address.port} can not be used now: {text}."
        if isinstance(error, hbase.AlreadyExists) or text.startswith("TableExistsException"):
            return TableExists(message)
        if text.startswith("TableNotFoundException"):
            return TableMissing(message)
        return StoreUnavailable(message)


def raised(failure: WireFailure) -> Exception:
    """What thriftpy2 and the socket module raise for the same."""
    text = failure.text.encode()
    match failure.kind:
        case "closed":
            return ConnectionResetError(failure.text)
        case "errno":
            return OSError(failure.code, os.strerror(failure.code))
        case "timeout":
            return TimeoutError("timed out")
        case "io":
            return cast("Exception", hbase.IOError(message=text))
        case "illegal":
            return cast("Exception", hbase.IllegalArgument(message=text))
        case "application":
            return TApplicationException(failure.code, failure.text)
    return ReplyMismatch(failure.text)


def explain(error: BaseException) -> str:
    """What went wrong, on one line. (`str` of a TApplicationException raises: its message is bytes.)"""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    message = getattr(error, "message", None)
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    if not isinstance(message, str):
        message = repr(error) if isinstance(error, TException) else str(error)
    first = message.partition("\n")[0].strip().rstrip(".")
    words = [word.rpartition(".")[2] if word.startswith(("org.apache.", "java.")) else word for word in first.split()]
    while len(words) > 1 and words[0] == words[1]:  # Java wraps an exception in its like
        words.pop(0)
    return " ".join(words)[:TEXT] or type(error).__name__


def _connect(address: HBaseAddress, deadline: float) -> socket.socket:
    """To the first of the host's addresses that answers. Raises OSError."""
    failure = OSError(f"{address.host} has no address")
    for family, kind, protocol, _, place in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.connect(place)
        except OSError as error:
            failure = error
            sock.close()
        else:
            return sock
    raise failure
