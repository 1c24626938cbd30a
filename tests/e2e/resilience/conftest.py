"""Two processes of every service and two gateways, shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.plant import Plant


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Shared. A test that takes something away brings it back before it ends."""
    with Plant(tmp_path_factory.mktemp("plant")) as plant:
        yield plant


@pytest.fixture
def token(plant: Plant) -> str:
    return plant.mesh.token()
