"""What one would write in an afternoon: aiohttp in front of confluent-kafka, 200 on the delivery report.

    python -m bench.contenders.aiohttp_collector BOOTSTRAP TOPIC

Prints its address when it listens. No limits, no keys checked, no closed connections: less than the portal does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from typing import Any

from aiohttp import web
from confluent_kafka import Producer

from flurry_fast._core import message_key


def main(bootstrap: str, topic: str) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "partitioner": "murmur2",
        }
    )

    async def collect(request: web.Request) -> web.Response:
        body = await request.read()
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()

        def told(error: Any, _message: Any) -> None:
            loop.call_soon_threadsafe(settle, stored, error)

        producer.produce(topic, body, message_key(body), on_delivery=told)
        await stored
        response = web.Response()
        if "Portal-Accepts" not in request.headers:
            response.force_close()
        return response

    def settle(stored: asyncio.Future[None], error: Any) -> None:
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(RuntimeError(str(error)))

    def poll() -> None:
        while True:
            producer.poll(0.1)

    threading.Thread(target=poll, daemon=True).start()
    app = web.Application(client_max_size=4 << 20)
    app.router.add_post("/aap.do", collect)
    app.router.add_post("/aar.do", collect)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("{}:{}".format(*listener.getsockname()), flush=True)
    web.run_app(app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
