"""Scripted servers that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.client.server import Behaviour, ScriptedServer

Serve = Callable[[dict[str, Behaviour]], ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a scripted server on a free loopback port."""
    servers: list[ScriptedServer] = []

    def start(behaviours: dict[str, Behaviour]) -> ScriptedServer:
        servers.append(ScriptedServer(behaviours))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
