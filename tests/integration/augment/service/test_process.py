"""The service as a process: its start, its end, and what is the same after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelmesh.augment.v1 import augmentations_pb2 as aug

from tests.integration.augment.service import pictures
from tests.integration.augment.service.people import Door, pipeline
from tests.integration.augment.service.service import ServiceProcess, jwks_server, metric, until
from tests.support.identities import Signer
from tests.support.stores import StoreAddress

RANDOM = pipeline({"transform": "horizontal_flip", "probability": 0.5}, "rotate", "elastic", "colour_jitter", "gaussian_noise", "cutout")


@pytest.fixture
def service(augment_url: str, store: StoreAddress, signer: Signer, tmp_path: Path) -> Iterator[ServiceProcess]:
    with jwks_server(signer) as jwks_url:
        process = ServiceProcess(augment_url, store, jwks_url, tmp_path / "log")
        process.start()
        yield process
        process.stop()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_restart_changes_no_byte_of_any_result(service: ServiceProcess, signer: Signer) -> None:
    images = [pictures.jpeg(), pictures.png(), pictures.jpeg(seed=2)]

    def results() -> list[aug.Augmented]:
        door = Door(service.target, signer)
        made = [door.person().apply(image, RANDOM, seed=5, copy=copy) for image in images for copy in range(3)]
        door.close()
        return made

    before = results()
    service.kill()
    service.start()
    assert results() == before


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_the_end_of_the_service_leaves_no_worker(service: ServiceProcess, how: str) -> None:
    until(lambda: metric(service.ops, "workers_up") == 2)
    workers = service.workers()
    assert len(workers) == 2
    getattr(service, how)()
    until(lambda: not any(map(runs, workers)), timeout_s=5)


def test_workers_that_are_killed_under_load_cost_no_call(service: ServiceProcess, signer: Signer) -> None:
    until(lambda: metric(service.ops, "workers_up") == 2)
    door = Door(service.target, signer)
    person = door.person()
    image = pictures.jpeg(500, 500)
    results: list[aug.StreamResult] = []
    thread = threading.Thread(target=lambda: results.extend(person.stream([image] * 150, RANDOM, seed=1, a_message=4)))
    thread.start()
    for _ in range(3):
        until(lambda: len(service.workers()) == 2 and metric(service.ops, "workers_up") == 2)
        os.kill(service.workers()[0], signal.SIGKILL)
        time.sleep(0.3)
    thread.join(timeout=90)
    assert [result.index for result in results] == list(range(150))
    assert {result.WhichOneof("result") for result in results} == {"augmented"}
    assert len({result.augmented.image for result in results}) == 1
    door.close()


def test_a_service_that_is_asked_to_stop_ends_what_is_in_work(service: ServiceProcess, signer: Signer) -> None:
    door = Door(service.target, signer)
    slow = pipeline(*[{"transform": "gaussian_blur", "parameters": {"sigma": [20, 20]}}] * 5)
    answers: list[int] = []
    person = door.person()
    thread = threading.Thread(target=lambda: answers.append(person.apply(pictures.jpeg(1600, 1600), slow).width))
    thread.start()
    until(lambda: metric(service.ops, "worker_weight") > 0)
    service.stop()
    thread.join(timeout=20)
    assert answers == [1600]
    door.close()


def test_the_memory_of_workers_is_small_again_after_large_pictures(service: ServiceProcess, signer: Signer) -> None:
    door = Door(service.target, signer)
    person = door.person()
    for seed in range(4):
        person.preview(pictures.jpeg(200, 200, seed), RANDOM, count=4)

    def resident() -> float:
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (service.pid, *service.workers())]
        return max(pages) * 4096 / 2**20

    before = resident()
    large = pictures.jpeg(4000, 3000)
    for seed in range(2):
        person.preview(large, RANDOM, count=2, seed=seed)
    assert resident() < before + 150
    door.close()


def test_a_start_without_settings_says_all_that_is_missing() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LABELMESH_")}
    done = subprocess.run([sys.executable, "-m", "labelmesh_augment"], env=kept, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    for name in ("LABELMESH_DATABASE_URL", "LABELMESH_LABELING", "LABELMESH_IDENTITY_JWKS_URL", "LABELMESH_S3_ENDPOINT"):
        assert name in done.stderr
