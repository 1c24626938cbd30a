"""Loopback ports."""

from __future__ import annotations

import os
import socket

from labelmesh_local import ports


def test_free_ports_are_different_and_free() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert not any(ports.is_taken(port) for port in found)


def test_a_port_that_somebody_listens_on_is_taken_and_its_owner_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports.is_taken(port)
        assert ports.answers(port)
        assert f"(process {os.getpid()})" in (ports.listener(port) or "")
        assert ports.next_free(port) > port
    assert not ports.is_taken(port)
    assert not ports.answers(port)
    assert ports.listener(port) is None
