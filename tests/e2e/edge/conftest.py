"""One edge for all tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labelmesh_local.objects import S3Server
from labelmesh_local.postgres import Postgres

from tests.e2e.edge.mesh import EdgeMesh
from tests.e2e.edge.secured import SecuredServices


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, s3_server: S3Server) -> Iterator[EdgeMesh]:
    """The whole edge, shared. A test that stops a part starts it again before it ends."""
    mesh = EdgeMesh(tmp_path_factory.mktemp("edge"), postgres, s3_server)
    try:
        mesh.start()
        yield mesh
    finally:
        mesh.stop()


@pytest.fixture
def token(edge: EdgeMesh) -> str:
    """A new session of an admin."""
    return edge.sign_in()


@pytest.fixture(scope="session")
def secured(edge: EdgeMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServices]:
    """Services of the same edge that check certificates, beside those that do not."""
    services = SecuredServices(edge, tmp_path_factory.mktemp("secured"))
    try:
        services.start()
        yield services
    finally:
        services.stop()
