"""One mesh with the demo digits for all tests that only use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.mesh import LocalMesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """`./mesh up` with the demo, shared by the session. A test that stops or kills parts starts one of its own instead."""
    mesh = LocalMesh(tmp_path_factory.mktemp("mesh"))
    mesh.up()
    yield mesh
    mesh.end()
