"""The network is off in tests, in this process and in children, except for this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

CONNECT = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"


def test_connections_are_refused() -> None:
    with pytest.raises(RuntimeError, match="must not use the network"):
        socket.create_connection(("192.0.2.1", 80), timeout=5)
    with socket.socket() as client, pytest.raises(RuntimeError, match="must not use the network"):
        client.connect(("192.0.2.1", 80))


def test_names_are_not_looked_up() -> None:
    with pytest.raises(RuntimeError, match=r"must not use the network.*example\.org"):
        socket.getaddrinfo("example.org", 80)


def test_this_machine_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_libcurl_has_nowhere_to_go() -> None:
    requests = pytest.importorskip("curl_cffi.requests")
    with pytest.raises(requests.exceptions.RequestException, match=r"127\.0\.0\.1"):
        requests.get("https://192.0.2.1/", timeout=5)


def test_children_are_offline(offline_environment: Callable[[], dict[str, str]]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONNECT], env=offline_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "must not use the network" in done.stderr
