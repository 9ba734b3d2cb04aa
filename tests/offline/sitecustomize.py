"""Refuse every connection that leaves this machine; child processes of tests load it through PYTHONPATH."""

from __future__ import annotations

import sys

LOCAL = ("127.0.0.1", "::1", "localhost", "", None)


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: a host that is not this one is an error, loud enough not to pass for an outage."""
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # Unix sockets have a path
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOCAL:
        raise RuntimeError(f"tests must not use the network: {event} to {host}")


sys.addaudithook(refuse)
