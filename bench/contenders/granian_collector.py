"""The plain collector behind granian, by its own interface (RSGI), one worker.

    python -m bench.contenders.granian_collector

Prints its address when it is about to listen. POST /silent returns without an answer, POST /raise raises: RSGI has no
word for closing a connection instead.
"""

from __future__ import annotations

import socket
from functools import cache
from typing import Any

from granian import Granian
from granian.constants import Interfaces, Loops

from bench.contenders.collector import Collector

collector = cache(Collector)  # in the worker, not in the process that watches it


async def app(scope: Any, protocol: Any) -> None:
    """One request."""
    body = await protocol()
    if scope.path == "/silent":
        return
    if scope.path == "/raise":
        raise ConnectionAbortedError
    await collector().store(body)
    headers = [("content-length", "0")]
    if scope.headers.get("portal-accepts") is None:
        headers.append(("connection", "close"))
    protocol.response_empty(200, headers)


def main() -> None:
    """Serves until it is killed."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address, port = probe.getsockname()
    print(f"{address}:{port}", flush=True)
    Granian(
        "bench.contenders.granian_collector:app",
        address=address,
        port=port,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        backlog=4096,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
