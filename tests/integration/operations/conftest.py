"""A mesh with something in it, an empty one, and places for backups."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelmesh_local.objects import S3Server
from labelmesh_operations.progress import Progress
from labelmesh_operations.storage import Bucket
from labelmesh_operations.target import BucketTarget, FolderTarget, Target

from tests.integration.operations.meshes import Mesh, fill, migrated, without_tables
from tests.support.databases import FreshDatabases
from tests.support.stores import StoreAddress


def _store(server: S3Server) -> StoreAddress:
    return StoreAddress(server.endpoint, server.access_key, server.secret_key, f"test-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def mesh(fresh_database: FreshDatabases, s3_server: S3Server) -> Mesh:
    """Its services are stopped."""
    made = migrated(fresh_database, _store(s3_server))
    made.bucket.ensure()
    fill(made)
    return made


@pytest.fixture
def empty(fresh_database: FreshDatabases, s3_server: S3Server) -> Mesh:
    """Nothing but databases without a table, owned by other roles. There is no bucket."""
    return without_tables(fresh_database, _store(s3_server))


@pytest.fixture
def quiet() -> Progress:
    return Progress(quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> FolderTarget:
    return FolderTarget(tmp_path / "backups")


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path, s3_server: S3Server) -> Iterator[Target]:
    """Both kinds must keep the same promises."""
    if request.param == "folder":
        yield FolderTarget(tmp_path / "backups")
        return
    store = _store(s3_server)
    yield BucketTarget(
        Bucket(store.endpoint, store.access_key, store.secret_key, store.bucket, region=store.region, secure=False), "/a/mesh"
    )
