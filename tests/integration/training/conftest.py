"""One mesh for all tests of training; each trains a model of its own in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from labelmesh_client import Client
from labelmesh_local.objects import S3Server
from labelmesh_local.postgres import Postgres

from tests.integration.training.mesh import TrainingMesh
from tests.support.stores import StoreAddress


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, s3_server: S3Server) -> Iterator[TrainingMesh]:
    """Everything, started once."""
    store = StoreAddress(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, f"training-{uuid.uuid4().hex[:8]}")
    started = TrainingMesh(tmp_path_factory.mktemp("mesh"), postgres, store)
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture
def client(mesh: TrainingMesh) -> Iterator[Client]:
    """Somebody who may do everything."""
    with mesh.client() as opened:
        yield opened


@pytest.fixture
def model() -> str:
    """A name for a model that no other test uses."""
    return f"digits-{uuid.uuid4().hex[:8]}"
