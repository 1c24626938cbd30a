"""The model server is killed, hangs, or is slow: callers are told so in time, the service recovers by itself, other models go on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.errors import DeadlineExceeded, MeshError, ResourceExhausted, Unavailable
from labelmesh_chassis.identity import Role
from labelmesh_local.objects import S3Server

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Person, digits_manifest
from tests.integration.inference.predictions.questions import PICTURE, RESULT, best, choice, digit, picture, predict, predict_batch, stored
from tests.integration.inference.predictions.stand_in import ASKED, MANIFEST, StandIn
from tests.integration.inference.service import until
from tests.support.serving import ServedModels


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServedModels]:
    """A model server that a test may harm."""
    server = ServedModels(tmp_path)
    server.publish("digits", 1)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def manager(own_server: ServedModels, start_inference: StartInference) -> Person:
    person = start_inference(own_server.target).door.person(Role.MANAGER)
    made = person.register(digits_manifest(batching=man.Batching(timeout=Duration(seconds=2))))
    assert made.passed, made.checks
    return person


def failure_of(ask: Callable[[], object]) -> tuple[MeshError, float]:
    """How a call failed, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises(MeshError) as caught:
        ask()
    return caught.value, time.monotonic() - started


def answers(manager: Person) -> bool:
    try:
        return best(predict(manager, picture(0.35))) == "3"
    except MeshError:
        return False


def test_a_killed_model_server_is_unavailable_at_once_and_found_again_when_it_is_back(manager: Person, own_server: ServedModels) -> None:
    assert answers(manager)
    own_server.kill()
    for ask in (lambda: predict(manager, digit(0.1)), lambda: predict_batch(manager, [digit(0.1)] * 40)):
        failure, took = failure_of(ask)
        assert isinstance(failure, Unavailable) and failure.reason == "MODEL_SERVER_UNAVAILABLE" and took < 3
        assert failure.retry_after is not None
    assert len(stored(manager)) == 1
    own_server.start()
    until(lambda: answers(manager))


def test_a_model_server_killed_in_the_middle_of_calls_fails_them_in_time(manager: Person, own_server: ServedModels) -> None:
    stop = threading.Event()
    outcomes: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            started = time.monotonic()
            try:
                outcomes.append(len(predict_batch(manager, [digit(0.1)] * 200)))
            except MeshError as failure:
                outcomes.append(failure)
            assert time.monotonic() - started < 5

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(ask) for _ in range(3)]
        until(lambda: len(outcomes) >= 3)
        own_server.kill()
        until(lambda: any(isinstance(outcome, Unavailable) for outcome in outcomes))
        stop.set()
        for each in running:
            each.result(30)
    assert all(isinstance(outcome, int | Unavailable | DeadlineExceeded) for outcome in outcomes), outcomes


def test_a_hanging_model_server_is_too_slow_after_the_models_time(manager: Person, own_server: ServedModels) -> None:
    assert answers(manager)
    own_server.pause()
    try:
        failure, took = failure_of(lambda: predict(manager, digit(0.1)))
        assert isinstance(failure, DeadlineExceeded | Unavailable) and 1.5 < took < 4
        failure, took = failure_of(lambda: predict_batch(manager, [digit(0.1)] * 100))
        assert isinstance(failure, DeadlineExceeded | Unavailable) and took < 5
        started = time.monotonic()
        with pytest.raises(MeshError) as caught:
            list(
                manager.predictions.PredictStream(
                    iter([pre.PredictStreamRequest(model=choice(), inputs=[digit(0.1)])]), metadata=manager.metadata, timeout=30
                )
            )
        assert isinstance(caught.value, DeadlineExceeded | Unavailable) and time.monotonic() - started < 5
        # The callers' own deadlines are kept too.
        failure, took = failure_of(lambda: predict(manager, digit(0.1), timeout=0.7))
        assert isinstance(failure, DeadlineExceeded) and took < 1.5
    finally:
        own_server.resume()
    until(lambda: answers(manager))


# --- one model among several ---


def test_a_model_that_hangs_is_refused_when_it_has_its_calls_and_everything_else_goes_on(start_inference: StartInference) -> None:
    with StandIn(versions=(1, 2)) as server:
        inference = start_inference(server.target)
        manager = inference.door.person(Role.MANAGER)
        limits = man.Batching(max_batch_size=1, max_calls_in_flight=4, timeout=Duration(seconds=3))
        manifest = man.ModelManifest()
        manifest.CopyFrom(MANIFEST)
        manifest.batching.CopyFrom(limits)
        for version in (1, 2):
            made = manager.register(manifest, version)
            assert made.passed, made.checks
        known = predict(manager, ASKED, "m", version=1)
        server.hanging = {2}
        with ThreadPoolExecutor(12) as pool:
            calls = [pool.submit(failure_of, lambda: predict(manager, ASKED, "m", version=2)) for _ in range(12)]
            until(lambda: sum(call.done() for call in calls) >= 8)
            # What needs no model goes on meanwhile.
            started = time.monotonic()
            assert manager.model("m").model.name == "m" and [each.id for each in stored(manager)] == [known.id]
            assert time.monotonic() - started < 1
            failures = [call.result(20) for call in calls]
        refused = [(failure, took) for failure, took in failures if isinstance(failure, ResourceExhausted)]
        slow = [(failure, took) for failure, took in failures if isinstance(failure, DeadlineExceeded)]
        assert len(refused) == 8 and len(slow) == 4, failures
        assert all(failure.reason == "MODEL_BUSY" and failure.retry_after and took < 1.5 for failure, took in refused)
        assert all(failure.reason == "MODEL_TOO_SLOW" and 2.5 < took < 5 for failure, took in slow)
        server.release()
        until(lambda: best(predict(manager, ASKED, "m", version=2)) == "yes")


def test_object_storage_that_hangs_holds_up_only_who_needs_it(start_inference: StartInference, tmp_path: Path) -> None:
    store = S3Server(tmp_path / "objects")
    store.start()
    try:
        address = {"s3_endpoint": store.endpoint, "s3_access_key": store.access_key, "s3_secret_key": store.secret_key}
        manager = start_inference(**address).door.person(Role.MANAGER)
        assert manager.register(version=1).passed
        assert store.process is not None and store.process.pid is not None
        os.killpg(store.process.pid, signal.SIGSTOP)

        def ask(number: int) -> MeshError:
            wanted = pre.AnswerSettings(storage=PICTURE)
            return failure_of(lambda: predict(manager, picture(number / 50), settings=wanted, timeout=4))[0]

        with ThreadPoolExecutor(40) as pool:
            calls = [pool.submit(ask, number) for number in range(40)]
            until(lambda: sum(call.done() for call in calls) >= 10)
            for _ in range(10):
                started = time.monotonic()
                predict(manager, picture(0.99), settings=pre.AnswerSettings(storage=RESULT))
                assert time.monotonic() - started < 2
            failures = [call.result(20) for call in calls]
        busy = [failure for failure in failures if failure.reason == "OBJECT_STORE_BUSY"]
        assert len(busy) >= 24 and all(isinstance(failure, ResourceExhausted) and failure.retry_after for failure in busy), failures
        os.killpg(store.process.pid, signal.SIGCONT)
        assert predict(manager, picture(0.98), settings=pre.AnswerSettings(storage=PICTURE)).id
    finally:
        store.stop()


def test_a_version_that_is_no_more_served_is_unavailable_and_comes_back(manager: Person, own_server: ServedModels) -> None:
    assert answers(manager)
    own_server.publish("digits", 2)
    until(lambda: manager.register(digits_manifest(), 2).passed)
    own_server.withdraw("digits", 1)

    def gone() -> bool:
        try:
            predict(manager, digit(0.1), version=1)
        except Unavailable as failure:
            return failure.reason == "VERSION_NOT_AVAILABLE" and failure.retry_after is not None
        return False

    until(gone)
    assert best(predict(manager, digit(0.15), version=2)) == "2"
