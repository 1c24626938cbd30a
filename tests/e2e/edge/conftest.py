"""One edge for all tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labelmesh_local.objects import S3Server
from labelmesh_local.postgres import Postgres

from tests.e2e.edge.mesh import EdgeMesh


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
