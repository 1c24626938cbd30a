"""A running auth service with three accounts: ada (annotator), mia (manager), root (admin)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from labelmesh_auth.hashing import HashingPool
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import Role

from tests.integration.auth.mesh import PASSWORD, Auth, FakeClock, add_user, migrate_auth
from tests.support.databases import FreshDatabases


@pytest.fixture(scope="session")
def password_hash() -> str:
    """The hash of PASSWORD with the service's parameters, made once."""
    hashing = HashingPool(workers=1, queue=0)
    made = hashing.hash(PASSWORD)
    hashing.close()
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def auth_url(fresh_database: FreshDatabases) -> str:
    return fresh_database("auth", migrate_auth)


@pytest.fixture
def database(auth_url: str) -> Iterator[Database]:
    opened = Database(auth_url, application_name="test", pool_size=4)
    yield opened
    opened.close()


@pytest.fixture
def user_ids(database: Database, password_hash: str) -> dict[str, str]:
    """The accounts' ids by name."""
    roles = {"ada": Role.ANNOTATOR, "mia": Role.MANAGER, "root": Role.ADMIN}
    return {name: add_user(database, password_hash, name, role) for name, role in roles.items()}


@pytest.fixture
def start_auth(auth_url: str, clock: FakeClock, user_ids: dict[str, str]) -> Iterator[Callable[..., Auth]]:
    """Starts replicas with settings of the test's own."""
    started: list[Auth] = []

    def start(**overrides: Any) -> Auth:
        started.append(Auth(auth_url, clock, **overrides))
        return started[-1]

    yield start
    for replica in started:
        replica.stop()


@pytest.fixture
def auth(start_auth: Callable[..., Auth]) -> Auth:
    return start_auth()
