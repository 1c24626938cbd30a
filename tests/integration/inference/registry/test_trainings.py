"""One training at a time for each model, whatever becomes of its trainer."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import trainings_pb2 as trn
from labelmesh_chassis.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from labelmesh_chassis.identity import Role

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Door, Person, digits_manifest, new_id
from tests.integration.inference.service import Inference, until
from tests.support.serving import ServedModels

RUNNING, SUCCEEDED, FAILED, LOST = (
    trn.TRAINING_STATE_RUNNING,
    trn.TRAINING_STATE_SUCCEEDED,
    trn.TRAINING_STATE_FAILED,
    trn.TRAINING_STATE_LOST,
)


def silence(inference: Inference, started: trn.StartTrainingResponse) -> None:
    """What a trainer's silence for longer than its lease comes to, without waiting for it."""
    inference.sql("UPDATE trainings SET lease_expires_at = now() - interval '1 ms' WHERE id = :id", id=started.training.id)


def finished(manager: Person, started: trn.StartTrainingResponse, model: str, **more: object) -> trn.FinishTrainingResponse:
    """Ends a training as trainers do: again while the model server has not loaded its version."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return manager.finish(started, digits_manifest(model), **more)
        except Unavailable as refusal:
            if refusal.reason != "VERSION_NOT_AVAILABLE" or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


# --- one at a time ---


def test_a_training_started_sixteen_times_at_once_from_two_replicas_is_one(
    manager: Person, start_inference: StartInference, model_name: str
) -> None:
    others = start_inference().door.person(Role.MANAGER)

    def start(number: int) -> str:
        try:
            return (manager, others)[number % 2].start_training(model_name, only_first=number % 3 == 0).training.id
        except FailedPrecondition as refusal:
            return f"{refusal.reason} {refusal.metadata['training_id']}"

    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(start, range(16)))
    (training_id,) = {outcome for outcome in outcomes if not outcome.startswith("TRAINING_RUNNING")}
    assert outcomes.count(f"TRAINING_RUNNING {training_id}") == 15
    assert [training.id for training in manager.trainings_of(model_name)] == [training_id]


def test_the_same_start_sent_again_is_the_same_training_with_the_same_lease(manager: Person, model_name: str) -> None:
    request_id = new_id()
    with ThreadPoolExecutor(8) as threads:
        started = list(threads.map(lambda _: manager.start_training(model_name, request_id=request_id), range(8)))
    assert len({(answer.training.id, answer.lease) for answer in started}) == 1
    assert started[0].lease_duration.ToTimedelta().total_seconds() == 30
    with pytest.raises(InvalidArgument) as caught:
        manager.start_training(model_name, request_id=request_id, only_first=True)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_another_model_is_trained_meanwhile(manager: Person, model_name: str) -> None:
    assert manager.start_training(model_name).training.state == RUNNING
    assert manager.start_training(f"{model_name}.b").training.state == RUNNING


def test_only_the_first_means_that_there_is_no_version_yet(manager: Person) -> None:
    manager.register(version=1)
    with pytest.raises(FailedPrecondition) as caught:
        manager.start_training("digits", only_first=True)
    assert caught.value.reason == "MODEL_EXISTS"
    assert manager.start_training("digits").training.state == RUNNING


def test_a_version_gets_the_number_after_all_that_are_registered_served_or_promised(manager: Person, model_name: str) -> None:
    # 1 to 3 are served, none of them is registered.
    first = manager.start_training("digits")
    assert first.training.version == 4
    manager.finish(first, problem="no labels")
    assert manager.start_training("digits").training.version == 5
    assert manager.start_training(model_name).training.version == 1


def test_the_number_of_a_training_that_goes_on_is_registered_by_nobody_else(
    manager: Person, model_server: ServedModels, model_name: str
) -> None:
    started = manager.start_training(model_name)
    model_server.publish("digits", 1, name=model_name)
    until(lambda: manager.register(digits_manifest(model_name), 1, validate_only=True).passed)
    with pytest.raises(FailedPrecondition) as caught:
        manager.register(digits_manifest(model_name), 1)
    assert caught.value.reason == "VERSION_RESERVED"
    assert manager.register(digits_manifest(model_name)).checks[0].outcome == mod.Check.OUTCOME_FAILED
    assert finished(manager, started, model_name).version.version == 1
    model_server.withdraw(model_name, 1)


# --- silence ---


def test_a_trainer_that_falls_silent_loses_its_training_and_no_version_appears(
    manager: Person, inference: Inference, model_server: ServedModels, model_name: str
) -> None:
    started = manager.start_training(model_name)
    model_server.publish("digits", 1, name=model_name)
    manager.report(started, stage="training", epoch=1, epochs=5)
    silence(inference, started)
    lost = manager.training(started.training.id)
    assert (lost.state, lost.problem) == (LOST, "its trainer fell silent for longer than its lease")
    assert lost.HasField("end_time")
    for call in (
        lambda: manager.report(started, stage="training", epoch=2),
        lambda: manager.finish(started, digits_manifest(model_name)),
        lambda: manager.finish(started, problem="too late"),
    ):
        with pytest.raises(Aborted) as caught:
            call()
        assert caught.value.reason == "TRAINING_LOST"
    with pytest.raises(NotFound):
        manager.model(model_name)
    again = manager.start_training(model_name, only_first=True)
    assert (again.training.version, again.training.state) == (2, RUNNING)
    assert [training.state for training in manager.trainings_of(model_name)] == [RUNNING, LOST]
    model_server.withdraw(model_name, 1)


def test_a_trainer_that_reports_keeps_its_training(start_inference: StartInference, model_name: str) -> None:
    manager = start_inference(training_lease_s=1).door.person(Role.MANAGER)
    started = manager.start_training(model_name)
    for _ in range(5):
        time.sleep(0.4)
        assert manager.report(started).state == RUNNING
    time.sleep(1.1)
    with pytest.raises(Aborted):
        manager.report(started)


def test_a_training_lost_while_its_version_was_being_checked_registers_nothing(
    manager: Person, inference: Inference, model_server: ServedModels, model_name: str
) -> None:
    """The last word is spoken in the transaction that registers: another trainer may have begun while this one's model was tried."""
    started = manager.start_training(model_name)
    model_server.publish("digits", 1, name=model_name)
    until(lambda: _is_served(manager, model_name))
    with ThreadPoolExecutor(1) as threads:
        holding = inference.database.engine.connect()
        # Keeps the finish waiting where it registers.
        holding.exec_driver_sql("SELECT pg_advisory_xact_lock(1768842853, hashtext(%s))", (model_name,))
        finish = threads.submit(manager.finish, started, digits_manifest(model_name))
        until(lambda: _waits_for_lock(inference))
        silence(inference, started)
        holding.rollback()
        holding.close()
        with pytest.raises(MeshError) as caught:
            finish.result()
    assert caught.value.reason == "TRAINING_LOST"
    with pytest.raises(NotFound):
        manager.model(model_name)
    model_server.withdraw(model_name, 1)


def test_a_lease_of_somebody_else_proves_nothing(manager: Person, model_name: str) -> None:
    started = manager.start_training(model_name)
    forged = trn.StartTrainingResponse(training=started.training, lease="a" * 32)
    for call in (
        lambda: manager.report(forged),
        lambda: manager.finish(forged),
        lambda: manager.finish(forged, digits_manifest(model_name)),
    ):
        with pytest.raises(Aborted) as caught:
            call()
        assert caught.value.reason == "TRAINING_LOST"
    assert manager.report(started).state == RUNNING


# --- progress ---


def test_progress_is_kept_after_each_epoch(manager: Person, model_name: str) -> None:
    started = manager.start_training(model_name)
    manager.report(started, stage="reading labels", done=0.1)
    for epoch in (1, 2):
        for loss in (0.9, 0.5):
            manager.report(started, stage="training", epoch=epoch, epochs=2, done=epoch / 2, metrics={"loss": loss / epoch})
    manager.report(started)
    training = manager.training(started.training.id)
    assert (training.progress.stage, training.progress.done, dict(training.progress.metrics)) == ("training", 1.0, {"loss": 0.25})
    assert [(progress.epoch, progress.metrics["loss"]) for progress in training.history] == [(1, 0.5), (2, 0.25)]
    assert not manager.trainings_of(model_name)[0].history


def test_everybody_watches_a_training_to_its_end(manager: Person, ada: Person, model_name: str) -> None:
    started = manager.start_training(model_name)
    request = trn.WatchTrainingRequest(training_id=started.training.id)
    seen = ada.trainings.WatchTraining(request, metadata=ada.metadata, timeout=20)
    assert next(seen).training.state == RUNNING
    manager.report(started, stage="training", epoch=1, epochs=2)
    assert next(seen).training.progress.epoch == 1
    manager.finish(started, problem="out of memory")
    last = next(seen).training
    assert (last.state, last.problem) == (FAILED, "out of memory")
    assert list(seen) == []
    with pytest.raises(PermissionDenied):
        ada.report(started)


def test_whoever_watches_a_lost_training_is_told(manager: Person, inference: Inference, model_name: str) -> None:
    started = manager.start_training(model_name)
    request = trn.WatchTrainingRequest(training_id=started.training.id)
    seen = manager.trainings.WatchTraining(request, metadata=manager.metadata, timeout=20)
    next(seen)
    silence(inference, started)
    assert [message.training.state for message in seen] == [LOST]


def test_a_watch_ends_before_its_deadline_and_asks_to_be_renewed(manager: Person, model_name: str) -> None:
    started = manager.start_training(model_name)
    request = trn.WatchTrainingRequest(training_id=started.training.id)
    with pytest.raises(Unavailable) as caught:
        list(manager.trainings.WatchTraining(request, metadata=manager.metadata, timeout=2))
    assert caught.value.reason == "STREAM_RENEW"


def test_watchers_leave_workers_for_the_others(start_inference: StartInference, model_name: str) -> None:
    manager = start_inference(watchers=1).door.person(Role.MANAGER)
    request = trn.WatchTrainingRequest(training_id=manager.start_training(model_name).training.id)
    first = manager.trainings.WatchTraining(request, metadata=manager.metadata, timeout=30)
    next(first)
    with pytest.raises(ResourceExhausted) as caught:
        next(manager.trainings.WatchTraining(request, metadata=manager.metadata, timeout=30))
    assert caught.value.reason == "TOO_MANY_WATCHERS"
    first.cancel()


def test_what_is_not_there_is_not_found(manager: Person) -> None:
    nobodys = trn.StartTrainingResponse(training=trn.Training(id=new_id()), lease="x")
    calls: list[Callable[[], object]] = [
        lambda: manager.training(new_id()),
        lambda: manager.report(nobodys),
        lambda: manager.finish(nobodys),
        lambda: next(manager.trainings.WatchTraining(trn.WatchTrainingRequest(training_id=new_id()), metadata=manager.metadata, timeout=9)),
    ]
    for call in calls:
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.reason == "TRAINING_NOT_FOUND"


def test_trainings_are_listed_newest_first_page_by_page(manager: Person, model_name: str) -> None:
    made = []
    for _ in range(5):
        started = manager.start_training(model_name)
        manager.finish(started, problem="a test")
        made.append(started.training.id)
    manager.start_training(f"{model_name}.b")
    assert [training.id for training in manager.trainings_of(model_name, page_size=2)] == made[::-1]
    assert len(manager.trainings_of(page_size=4)) == 6


# --- the end ---


def test_what_a_training_made_is_checked_registered_and_stable_in_one_step(
    manager: Person, model_server: ServedModels, model_name: str
) -> None:
    started = manager.start_training(model_name)
    with pytest.raises(Unavailable) as caught:
        manager.finish(started, digits_manifest(model_name))
    assert (caught.value.reason, caught.value.retry_after) == ("VERSION_NOT_AVAILABLE", 1)
    assert manager.training(started.training.id).state == RUNNING
    model_server.publish("digits", 1, name=model_name)
    done = finished(manager, started, model_name, metrics={"accuracy": 0.97}, aliases=["candidate"])
    assert (done.training.state, done.version.version, done.version.training_id) == (SUCCEEDED, 1, started.training.id)
    assert (dict(done.version.metrics), list(done.version.aliases)) == ({"accuracy": 0.97}, ["candidate", "stable"])
    assert manager.routing(model_name).revision == 1
    # Said again because the answer was lost, it is answered again.
    assert manager.finish(started, digits_manifest(model_name)) == done
    with pytest.raises(FailedPrecondition) as ended:
        manager.finish(started, problem="no")
    assert ended.value.reason == "TRAINING_ENDED"
    with pytest.raises(Aborted):
        manager.report(started, stage="more")
    assert manager.start_training(model_name).training.version == 2
    model_server.withdraw(model_name, 1)


def test_a_later_version_gets_no_alias_that_was_not_asked_for(manager: Person, model_server: ServedModels, model_name: str) -> None:
    for number in (1, 2):
        started = manager.start_training(model_name)
        model_server.publish("digits", number, name=model_name)
        done = finished(manager, started, model_name)
        assert list(done.version.aliases) == (["stable"] if number == 1 else [])
    model_server.withdraw(model_name, 1, 2)


def test_an_end_told_eight_times_at_once_is_one_version(manager: Person, model_server: ServedModels, model_name: str) -> None:
    started = manager.start_training(model_name)
    model_server.publish("digits", 1, name=model_name)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: finished(manager, started, model_name, aliases=["candidate"]), range(8)))
    assert {answer.training.state for answer in answers} == {SUCCEEDED}
    assert manager.routing(model_name).revision == 1
    assert len(manager.model(model_name).model.versions) == 1
    model_server.withdraw(model_name, 1)


def test_a_model_that_is_not_what_its_manifest_says_ends_the_training_as_failed(
    manager: Person, model_server: ServedModels, model_name: str
) -> None:
    started = manager.start_training(model_name)
    model_server.publish("digits", 1, name=model_name)
    for _ in range(2):
        until(lambda: _is_served(manager, model_name))
        with pytest.raises(FailedPrecondition) as caught:
            manager.finish(started, digits_manifest(model_name, labels=["even", "odd"]))
        assert caught.value.reason == "CHECKS_FAILED"
        assert "classes 0 to 1, and the model gives 0 to 9" in caught.value.message
    training = manager.training(started.training.id)
    assert training.state == FAILED
    assert training.problem.startswith("labels: ")
    with pytest.raises(NotFound):
        manager.model(model_name)
    assert manager.start_training(model_name).training.version == 2
    model_server.withdraw(model_name, 1)


def test_a_manifest_of_another_model_does_not_end_a_training(manager: Person, model_name: str) -> None:
    started = manager.start_training(model_name)
    with pytest.raises(InvalidArgument) as caught:
        manager.finish(started, digits_manifest("digits"))
    assert caught.value.violations[0].field == "manifest.model"
    assert manager.training(started.training.id).state == RUNNING


def test_a_training_that_failed_says_why_and_makes_room(manager: Person, model_name: str) -> None:
    started = manager.start_training(model_name)
    for _ in range(2):
        failed = manager.finish(started, problem="not enough labels: 12 of 100")
        assert (failed.training.state, failed.training.problem) == (FAILED, "not enough labels: 12 of 100")
        assert not failed.HasField("version")
    assert manager.start_training(model_name).training.version == 2


def test_a_program_with_the_scope_trains_and_one_without_does_not(door: Door, model_name: str) -> None:
    assert door.person(scopes=["inference.manage"]).start_training(model_name).training.state == RUNNING
    with pytest.raises(PermissionDenied) as caught:
        door.person(Role.MANAGER, scopes=["inference.predict"]).start_training(f"{model_name}.b")
    assert caught.value.reason == "SCOPE_MISSING"


def _is_served(manager: Person, model: str) -> bool:
    return manager.register(digits_manifest(model), 1, validate_only=True).checks[0].outcome == mod.Check.OUTCOME_PASSED


def _waits_for_lock(inference: Inference) -> bool:
    return bool(inference.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
