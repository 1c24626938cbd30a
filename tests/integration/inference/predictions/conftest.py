"""Models that are registered."""

from __future__ import annotations

import pytest

from tests.integration.inference.people import Person


@pytest.fixture
def digits(manager: Person) -> str:
    """Three versions of the tiny digits: 1 is stable, 2 is canary."""
    for version in (1, 2, 3):
        assert manager.register(version=version).passed
    manager.set_alias("canary", 2)
    return "digits"
