"""Meshes for all tests that only use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mesh import LocalMesh, until

TRAINING_SECONDS = 150


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """`./mesh up --no-models` with the demo, shared by the session. A test that stops or kills parts starts one of its own instead."""
    mesh = LocalMesh(tmp_path_factory.mktemp("mesh"))
    mesh.up("--no-models")
    yield mesh
    mesh.end()


@pytest.fixture(scope="session")
def mesh_with_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """`./mesh up` with the demo, after its first training: the model "digits" is served. Shared; what a test changes of a model (aliases,
    traffic, versions) it puts back."""
    mesh = LocalMesh(tmp_path_factory.mktemp("mesh-with-models"))
    try:
        mesh.up()
        until(mesh.has_trained, TRAINING_SECONDS, "the end of the first training")
        assert "The model is ready" in mesh.log("mesh"), mesh.log("training")[-3000:]
        yield mesh
    finally:
        mesh.end()
