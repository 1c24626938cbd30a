"""A running augmentation service beside a labeling service, and people who call it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from labelmesh_chassis.identity import Role
from labelmesh_local.objects import S3Server
from labelmesh_local.postgres import Postgres
from minio import Minio

from tests.integration.augment.service.people import Person
from tests.integration.augment.service.service import Augment, migrate_database
from tests.integration.labeling import people as labeling_people
from tests.integration.labeling import service as labeling_service
from tests.support.databases import FreshDatabases
from tests.support.identities import Signer
from tests.support.stores import StoreAddress


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def databases(postgres: Postgres, database_templates: dict[str, str]) -> Iterator[FreshDatabases]:
    """Those of the services that all tests share."""
    made = FreshDatabases(postgres, database_templates)
    yield made
    made.drop_all()


@pytest.fixture(scope="session")
def store(s3_server: S3Server) -> StoreAddress:
    """A bucket that all tests share."""
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    Minio(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, secure=False).make_bucket(bucket)
    return StoreAddress(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, bucket)


@pytest.fixture(scope="session")
def labeling(databases: FreshDatabases, store: StoreAddress, signer: Signer) -> Iterator[labeling_service.Labeling]:
    """The real one, which believes the same signer."""
    theirs = labeling_people.Signer()
    theirs.private_key = signer.private_key
    service = labeling_service.Labeling(databases("labeling", labeling_service.migrate_database), store, theirs)
    yield service
    service.close()


@pytest.fixture(scope="session")
def augment(databases: FreshDatabases, store: StoreAddress, signer: Signer, labeling: labeling_service.Labeling) -> Iterator[Augment]:
    """One for the session, with two workers. A test that breaks one or changes a setting starts one of its own."""
    service = Augment(databases("augment", migrate_database), store, signer, labeling.target)
    yield service
    service.close()


@pytest.fixture
def augment_url(fresh_database: FreshDatabases) -> str:
    return fresh_database("augment", migrate_database)


@pytest.fixture
def start_augment(augment_url: str, store: StoreAddress, signer: Signer, labeling: labeling_service.Labeling) -> Iterator[StartAugment]:
    """Starts services with settings of the test's own."""
    starter = StartAugment(augment_url, store, signer, labeling.target)
    yield starter
    for service in starter.started:
        service.close()


class StartAugment:
    """Calling it starts a service."""

    def __init__(self, database_url: str, store: StoreAddress, signer: Signer, labeling: str) -> None:
        self._arguments = (database_url, store, signer)
        self._labeling = labeling
        self.started: list[Augment] = []

    def __call__(self, *, labeling: str = "", **more: Any) -> Augment:
        self.started.append(Augment(*self._arguments, labeling or self._labeling, **more))
        return self.started[-1]


@pytest.fixture
def ada(augment: Augment) -> Person:
    return augment.door.person()


@pytest.fixture
def manager(augment: Augment) -> Person:
    return augment.door.person(Role.MANAGER)


@pytest.fixture
def labeling_manager(labeling: labeling_service.Labeling, manager: Person) -> labeling_people.Person:
    """The same person at labeling."""
    return labeling.door.person(Role.MANAGER, user_id=manager.id)


@pytest.fixture
def project(labeling_manager: labeling_people.Person) -> str:
    """One that is open to everyone."""
    return labeling_manager.create_project().id
