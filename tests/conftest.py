"""The real parts that tests stand on, started once for each session, on free loopback ports."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from labelmesh_local import ports
from labelmesh_local.objects import S3Server
from labelmesh_local.postgres import Postgres
from minio import Minio

from tests.support.databases import FreshDatabases
from tests.support.stores import StoreAddress


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server without fsync, shared by all tests of the session. A test that stops it starts one of its own instead."""
    server = Postgres(tmp_path_factory.mktemp("postgres"), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def database_templates() -> dict[str, str]:
    """Names of the migrated template databases of this session, by schema."""
    return {}


@pytest.fixture
def fresh_database(postgres: Postgres, database_templates: dict[str, str]) -> Iterator[FreshDatabases]:
    """Makes databases for one test: `fresh_database("auth", migrate_auth)` returns a SQLAlchemy URL. Dropped afterwards."""
    databases = FreshDatabases(postgres, database_templates)
    yield databases
    databases.drop_all()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server shared by all tests of the session."""
    server = S3Server(tmp_path_factory.mktemp("s3") / "objects")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def object_store_settings(s3_server: S3Server) -> StoreAddress:
    """An empty bucket of the test's own."""
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    Minio(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, secure=False).make_bucket(bucket)
    return StoreAddress(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, bucket)


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    return ports.free_port()
