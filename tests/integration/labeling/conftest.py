"""A running labeling service, a manager, and an open project."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from labelmesh_chassis.identity import Role

from tests.integration.labeling.people import Door, Person, Signer
from tests.integration.labeling.service import Labeling, migrate_database
from tests.support.databases import FreshDatabases
from tests.support.stores import StoreAddress


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def labeling_url(fresh_database: FreshDatabases) -> str:
    return fresh_database("labeling", migrate_database)


@pytest.fixture
def start_labeling(labeling_url: str, object_store_settings: StoreAddress, signer: Signer) -> Iterator[Callable[..., Labeling]]:
    """Starts services in this process, with a source of chance and settings of the test's own."""
    started: list[Labeling] = []

    def start(**more: Any) -> Labeling:
        started.append(Labeling(labeling_url, object_store_settings, signer, **more))
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture
def labeling(start_labeling: Callable[..., Labeling]) -> Labeling:
    """One whose chance is the same in every run."""
    return start_labeling(chance=random.Random(7))


@pytest.fixture
def door(labeling: Labeling) -> Door:
    return labeling.door


@pytest.fixture
def manager(door: Door) -> Person:
    return door.person(Role.MANAGER)


@pytest.fixture
def ada(door: Door) -> Person:
    return door.person()


@pytest.fixture
def bob(door: Door) -> Person:
    return door.person()


@pytest.fixture
def project(manager: Person) -> str:
    """An open project of ten classes that shows no repeats."""
    return manager.create_project(repeat_rate=0).id
