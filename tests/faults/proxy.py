"""A TCP proxy that spoils single replies: for servers that answer one request of a connection at a time.

Nothing goes wrong until `spoil` is called; then the next request that contains `method` meets that fault. What it
does to the reply begins when the reply has come: so the request was carried out by then (except with `SWALLOW` and
`RESET_BEFORE`). Nothing here is random.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType

QUIET = 0.05  # seconds without a byte after which a reply is whole
CHUNK = 1 << 16


class Kind(enum.Enum):
    """What happens to a request or its reply."""

    DELAY = "the reply comes after `seconds`"
    DRIP = "the reply comes byte by byte, one every `seconds`"
    CUT = "the first `keep` bytes of the reply come, then the end"
    RESET = "instead of a reply, a reset"
    RESET_BEFORE = "a reset, and the request never arrives"
    SWALLOW = "the request never arrives, and nothing is ever said: half open"
    HOLD = "the reply comes with the next one, before it"
    REPLACE = "the reply before it comes once more, in its place"
    SPILL = "the reply comes twice"


@dataclass
class Fault:
    """One spoiled call. `hit` is set when it was met."""

    kind: Kind
    method: bytes = b""
    seconds: float = 0.0
    keep: int = 0
    hit: threading.Event = field(default_factory=threading.Event)


class FaultProxy:
    """Listens on loopback, in threads of its own; a context manager. `connections` and `calls` are counted."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.calls = 0
        self.down = False  # new connections end at once

    def spoil(self, kind: Kind, method: bytes = b"", *, seconds: float = 0.0, keep: int = 0) -> Fault:
        """The next request with `method` in it meets this."""
        fault = Fault(kind, method, seconds, keep)
        with self._lock:
            self._faults.append(fault)
        return fault

    def cut_all(self) -> None:
        """End every connection, busy or idle, as a server does that stops."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.end()

    def __enter__(self) -> FaultProxy:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.down:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            link = _Link(self, client, server)
            with self._lock:
                self._links.add(link)
            thread = threading.Thread(target=self._run, args=(link,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, link: _Link) -> None:
        with contextlib.suppress(OSError, ValueError):
            link.run()
        link.end()
        with self._lock:
            self._links.discard(link)

    def take(self, request: bytes) -> Fault | None:
        with self._lock:
            self.calls += 1
            for fault in self._faults:
                if fault.method in request:
                    self._faults.remove(fault)
                    return fault
        return None

    def pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)


class _Link:
    """One connection."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._held = b""
        self._before = b""

    def run(self) -> None:
        while True:
            request = self._client.recv(CHUNK)
            if not request:
                return
            fault = self._proxy.take(request)
            if fault is not None and fault.kind in (Kind.SWALLOW, Kind.RESET_BEFORE):
                fault.hit.set()
                if fault.kind is Kind.SWALLOW:
                    self._swallow()
                else:
                    self._reset()
                return
            self._server.sendall(request)
            reply = self._reply()
            if fault is None:
                self._client.sendall(self._held + reply)
                self._held, self._before = b"", reply
            elif not self._spoil(fault, reply):
                return

    def end(self) -> None:
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _reply(self) -> bytes:
        """All of it; what more of the request comes is passed on meanwhile."""
        reply = b""
        while True:
            ready, _, _ = select.select([self._client, self._server], [], [], QUIET if reply else None)
            if not ready:
                return reply
            if self._server in ready:
                data = self._server.recv(CHUNK)
                if not data:
                    raise ConnectionResetError
                reply += data
            elif self._client in ready:
                data = self._client.recv(CHUNK)
                if not data:
                    if reply:
                        return reply
                    raise ConnectionResetError
                self._server.sendall(data)

    def _spoil(self, fault: Fault, reply: bytes) -> bool:
        """Whether the connection goes on."""
        fault.hit.set()
        kind = fault.kind
        if kind is Kind.DELAY:
            self._proxy.pause(fault.seconds)
            self._client.sendall(reply)
        elif kind is Kind.DRIP:
            for byte in reply:
                self._client.sendall(bytes([byte]))
                self._proxy.pause(fault.seconds)
        elif kind is Kind.CUT:
            self._client.sendall(reply[: fault.keep])
            return False
        elif kind is Kind.RESET:
            self._reset()
            return False
        elif kind is Kind.HOLD:
            self._held += reply
        elif kind is Kind.REPLACE:
            self._client.sendall(self._before)
        elif kind is Kind.SPILL:
            self._client.sendall(reply + reply)
        self._before = reply
        return True

    def _reset(self) -> None:
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()

    def _swallow(self) -> None:
        while self._client.recv(CHUNK):
            time.sleep(0)
