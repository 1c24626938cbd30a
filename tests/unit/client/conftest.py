"""Scripted servers that end with their test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.client.server import Serve, serving


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a scripted server on a free loopback port."""
    yield from serving()
