"""What one would write in an afternoon: aiohttp in front of confluent-kafka, 200 on the delivery report.

    python -m bench.contenders.aiohttp_collector

Prints its address when it listens. No limits, no keys checked, no closed connections: less than the portal does.
POST /silent tries to end without an answer.
"""

from __future__ import annotations

import socket

from aiohttp import web

from bench.contenders.collector import Collector


def main() -> None:
    """Serves until it is killed."""
    collector = Collector()

    async def collect(request: web.Request) -> web.Response:
        await collector.store(await request.read())
        response = web.Response()
        if "Portal-Accepts" not in request.headers:
            response.force_close()
        return response

    async def silent(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    app = web.Application(client_max_size=4 << 20)
    app.router.add_post("/aap.do", collect)
    app.router.add_post("/aar.do", collect)
    app.router.add_post("/silent", silent)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("{}:{}".format(*listener.getsockname()), flush=True)
    web.run_app(app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
