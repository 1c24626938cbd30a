"""The service as a process, and changes of routing under load."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelmesh_chassis.identity import Role

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Door, Person
from tests.integration.inference.registry.asking import request
from tests.integration.inference.service import NOWHERE, Inference, ServiceProcess, jwks_server, until
from tests.support.identities import Signer
from tests.support.serving import ServedModels
from tests.support.stores import StoreAddress


@pytest.fixture
def processes(
    inference_url: str, object_store_settings: StoreAddress, signer: Signer, model_server: ServedModels, tmp_path: Path
) -> Iterator[list[ServiceProcess]]:
    """Two replicas: one before the model server, one that cannot reach it."""
    with jwks_server(signer) as jwks_url:
        targets = model_server.target, NOWHERE
        both = [ServiceProcess(inference_url, object_store_settings, jwks_url, target, tmp_path / "log") for target in targets]
        yield both
        for process in both:
            process.stop()


def test_the_service_starts_and_is_ready_without_its_model_server(processes: list[ServiceProcess], signer: Signer) -> None:
    lonely = processes[1]
    lonely.start()

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{lonely.ops}/healthz", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    until(ready)
    lonely.stop()


def test_what_was_acknowledged_is_there_after_a_crash(processes: list[ServiceProcess], signer: Signer, model_name: str) -> None:
    service = processes[0]
    service.start()
    door = Door(service.target, signer)
    manager = door.person(Role.MANAGER)
    manager.register(version=1)
    manager.register(version=2)
    changed = manager.set_alias("stable", 2)
    started = manager.start_training(model_name)
    manager.report(started, stage="training", epoch=1)
    service.kill()
    service.start()
    assert manager.routing() == changed
    assert manager.report(started, stage="training", epoch=2).history[0].epoch == 1
    door.close()


def answering(person: Person) -> int:
    """The version that answers a call now."""
    return int(person.predictions.Predict(request("digits"), metadata=person.metadata).prediction.version)


def test_a_roll_out_and_its_rollback_under_load_fail_no_call_and_are_obeyed_at_once(
    inference: Inference, start_inference: StartInference, manager: Person
) -> None:
    for version in (1, 2):
        manager.register(version=version)
    elsewhere = start_inference().door.person()
    here = inference.door.person()
    assert answering(here) == answering(elsewhere) == 1
    stopping = threading.Event()
    answered: list[int] = []

    def ask(person: Person) -> None:
        while not stopping.is_set():
            answered.append(answering(person))

    threads = [threading.Thread(target=ask, args=(person,)) for person in (here, elsewhere, elsewhere)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            manager.set_alias("stable", 2)
            assert answering(here) == 2
            time.sleep(0.95)
            assert answering(elsewhere) == 2
            manager.roll_back()
            assert answering(here) == 1
            time.sleep(0.95)
            assert answering(elsewhere) == 1
    finally:
        stopping.set()
        for thread in threads:
            thread.join(timeout=20)
    assert all(not thread.is_alive() for thread in threads)
    assert set(answered) == {1, 2}
    assert len(answered) > 200
