"""One program that asks the models of the mesh with models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.models.asking import SCOPES, Asker
from tests.support.mesh import LocalMesh


@pytest.fixture(scope="package")
def asker(mesh_with_models: LocalMesh) -> Iterator[Asker]:
    """Has an API key with everything that models need."""
    asker = Asker(mesh_with_models, mesh_with_models.api_key(*SCOPES))
    yield asker
    asker.close()
