"""The plain collector as an ASGI application behind uvicorn, with uvloop and httptools.

    python -m bench.contenders.uvicorn_collector

Prints its address when it listens. POST /silent returns without an answer, POST /raise raises: ASGI has no word for
closing a connection instead.
"""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

from bench.contenders.collector import Collector


def main() -> None:
    """Serves until it is killed."""
    collector = Collector()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/silent":
            return
        if scope["path"] == "/raise":
            raise ConnectionAbortedError
        await collector.store(body)
        headers = [(b"content-length", b"0")]
        if not any(name == b"portal-accepts" for name, _ in scope["headers"]):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("{}:{}".format(*listener.getsockname()), flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="critical", backlog=4096
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
