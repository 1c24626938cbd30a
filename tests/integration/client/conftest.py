"""One mesh for all tests of the client; each makes projects of its own in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from labelmesh_client import Client, connect
from labelmesh_local.objects import S3Server
from labelmesh_local.postgres import Postgres

from tests.integration.client.mesh import Mesh
from tests.support.stores import StoreAddress
from tests.unit.client.server import Serve, serving


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, s3_server: S3Server) -> Iterator[Mesh]:
    """Auth, labeling and Envoy, started once."""
    store = StoreAddress(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, f"client-{uuid.uuid4().hex[:8]}")
    started = Mesh(tmp_path_factory.mktemp("mesh"), postgres, store)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def client(mesh: Mesh) -> Iterator[Client]:
    """A program with an API key that may do everything a key may."""
    with connect(mesh.address, api_key=mesh.key()) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A name for a project that no other test uses."""
    return f"project {uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def augment_mesh(mesh: Mesh) -> Mesh:
    """The same with the augmentation service, started by the first test that needs it."""
    mesh.start_augmenting()
    return mesh


@pytest.fixture(scope="session")
def model_mesh(mesh: Mesh) -> Mesh:
    """The same with inference and a model server, started by the first test that needs them."""
    mesh.start_models()
    return mesh


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a scripted server on a free loopback port, for the tests that need no mesh."""
    yield from serving()
