"""Pages of other origins: those that are named may call, all others get nothing, and no preflight reaches a service."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelmesh_gateway import write
from labelmesh_local.gateway import Gateway
from labelmesh_local.ports import free_ports

from tests.e2e.edge.mesh import EdgeMesh

LIST = "/labelmesh.labeling.v1.ProjectService/ListProjects"
FRIEND = "https://annotate.example.org"
PATHS = [LIST, "/v1/projects", "/objects/bucket/key"]


@pytest.fixture
def open_edge(edge: EdgeMesh, tmp_path: Path) -> EdgeMesh:
    """The same services behind a second edge that knows one friendly origin."""
    port, admin_port = free_ports(2)
    path = write(
        edge.settings.model_copy(update={"listen": f"127.0.0.1:{port}", "admin_port": admin_port, "public_origins": (FRIEND,)}), tmp_path / "gateway"
    )
    gateway = Gateway(path, run_dir=tmp_path, admin_port=admin_port, concurrency=1)
    gateway.start()
    second = object.__new__(EdgeMesh)
    second.__dict__.update(edge.__dict__, port=port, admin_port=admin_port, gateway=gateway)
    return second
