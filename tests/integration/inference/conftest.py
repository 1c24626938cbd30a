"""A running inference service before a model server with tiny models, and people who call it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from labelmesh_chassis.identity import Role

from tests.integration.inference.people import Door, Person
from tests.integration.inference.service import Inference, migrate_database
from tests.support.databases import FreshDatabases
from tests.support.identities import Signer
from tests.support.serving import ServedModels
from tests.support.stores import StoreAddress

StartInference = Callable[..., Inference]


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    """One for the session with all the tiny models, digits in three versions. A test that stops it starts one of its own instead, and
    one that changes what is served takes a name of its own (`model_name`)."""
    server = ServedModels(tmp_path_factory.mktemp("model-server"))
    server.publish("digits", 1, 2, 3)
    for name in ("encoded", "boxes", "keypoints", "mask", "add_one", "slow"):
        server.publish(name, 1)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def model_name() -> str:
    """A name that no other test uses."""
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def inference_url(fresh_database: FreshDatabases) -> str:
    return fresh_database("inference", migrate_database)


@pytest.fixture
def start_inference(
    inference_url: str, object_store_settings: StoreAddress, signer: Signer, model_server: ServedModels
) -> Iterator[StartInference]:
    """Starts replicas of the service in this process, with settings of the test's own."""
    started: list[Inference] = []

    def start(target: str = "", **more: Any) -> Inference:
        started.append(Inference(inference_url, object_store_settings, signer, target or model_server.target, **more))
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture
def inference(start_inference: StartInference) -> Inference:
    return start_inference()


@pytest.fixture
def door(inference: Inference) -> Door:
    return inference.door


@pytest.fixture
def manager(door: Door) -> Person:
    return door.person(Role.MANAGER)


@pytest.fixture
def ada(door: Door) -> Person:
    return door.person()
