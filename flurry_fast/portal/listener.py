"""The listening socket: made once, before anything else, and shared by all workers of a host."""

from __future__ import annotations

import os
import socket

from flurry_fast.config.portal import Portal
from flurry_fast.errors import FlurryFastError

BACKLOG = 4096  # connections that wait while workers are busy or being replaced; the system may allow fewer


class ListenFailed(FlurryFastError):
    """The address can not be had."""


def listen(portal: Portal) -> socket.socket:
    """Listens from now on; whoever connects waits in the backlog until somebody accepts. Raises ListenFailed."""
    try:
        found = socket.getaddrinfo(portal.host, portal.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = found[0]
        listener = socket.socket(family, kind, number)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # A portal may be started beside the one that it is to follow.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            # Connections have what their listener has: nobody sets it on each.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _defer(listener)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ListenFailed(
            f"The portal can not listen on {portal.host}:{portal.port}: {error.strerror or error}.",
            way_out="Set portal.host and portal.port to an address of this machine that is free.",
        ) from None
    return listener


def _defer(listener: socket.socket) -> None:
    """Who has sent nothing takes no place among those that wait, and none in a portal, for the first second."""
    if hasattr(socket, "TCP_DEFER_ACCEPT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)


def inherited(number: int) -> socket.socket:
    """The socket of the supervisor, which passed it on under this number. Raises ListenFailed."""
    try:
        return socket.socket(fileno=os.dup(number))
    except OSError as error:
        raise ListenFailed(f"Descriptor {number} is no socket: {error.strerror}.") from None


def shown(listener: socket.socket) -> str:
    """host:port."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
