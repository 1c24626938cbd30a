"""Registering versions and looking at them."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh_chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument, MeshError, NotFound, PermissionDenied, Unavailable
from labelmesh_chassis.identity import Role
from PIL import Image

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Door, Person, digits_manifest, new_id
from tests.integration.inference.registry.asking import request
from tests.integration.inference.service import NOWHERE, Inference, until
from tests.support.serving import ServedModels

CHECKS = ["served", "signature", "input", "output", "labels", "prediction"]
PASSED, FAILED, NOT_REACHED = mod.Check.OUTCOME_PASSED, mod.Check.OUTCOME_FAILED, mod.Check.OUTCOME_NOT_REACHED


def pixels(**more: Any) -> man.InputSpec:
    return man.InputSpec(kind=man.INPUT_KIND_PIXELS, **more)


def test_a_version_is_checked_from_its_manifest_to_a_prediction_and_the_first_becomes_stable(manager: Person) -> None:
    made = manager.register(version=2, metrics={"accuracy": 0.98})
    assert made.passed, made.checks
    assert [check.name for check in made.checks] == CHECKS
    assert (made.version.version, made.version.state) == (2, mod.VERSION_STATE_AVAILABLE)
    assert made.version.metrics == {"accuracy": 0.98}
    assert made.version.aliases == ["stable"]
    assert made.version.manifest.labels[7] == "7"
    assert made.version.signature.inputs[0].shape == [-1, 28, 28, 1]
    routing = manager.routing()
    assert (routing.revision, routing.change, routing.changed_by) == (1, "stable -> 2", manager.id)


def test_the_prediction_is_made_with_the_sample_that_was_sent(manager: Person) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((28, 28), 77, np.uint8)).save(file, "png")
    made = manager.register(version=1, sample_image=file.getvalue())
    # A mean brightness of 0.3 is a 3 to version 1; see tests/support/models.py.
    assert made.checks[-1].message.startswith("3 (")


@pytest.mark.parametrize(
    ("manifest", "version", "failed", "said"),
    [
        (digits_manifest(), 9, "served", "version 9 is not there; the versions of digits that can answer are: "),
        (digits_manifest("nobodys"), 0, "served", "does not know nobodys"),
        (digits_manifest(signature="other"), 1, "signature", "serving_default"),
        (digits_manifest(input=pixels(width=32, height=32, color=man.COLOR_MODE_GRAY)), 1, "input", "[32, 32, 1]"),
        (digits_manifest(classes=man.ClassesOutput(tensor="logits")), 1, "output", "no output logits; it has: scores"),
        (digits_manifest(labels=["even", "odd"]), 1, "labels", "classes 0 to 1, and the model gives 0 to 9"),
        (digits_manifest(input=man.InputSpec(kind=man.INPUT_KIND_ENCODED)), 1, "input", "takes string"),
    ],
)
def test_a_failed_check_is_an_answer_and_nothing_is_registered(
    manager: Person, manifest: man.ModelManifest, version: int, failed: str, said: str
) -> None:
    made = manager.register(manifest, version)
    assert not made.passed
    assert not made.HasField("version")
    outcomes = {check.name: check.outcome for check in made.checks}
    at = CHECKS.index(failed)
    assert list(outcomes.values()) == [PASSED] * at + [FAILED] + [NOT_REACHED] * (len(CHECKS) - at - 1)
    assert said in made.checks[at].message
    with pytest.raises(NotFound) as caught:
        manager.model(manifest.model)
    assert caught.value.reason == "MODEL_NOT_FOUND"


def test_a_reply_that_is_not_what_the_manifest_says_fails_the_prediction(manager: Person) -> None:
    # Boxes' scores taken for boxes: the signature has them all, and only an answer shows that they are not.
    boxes = man.BoxesOutput(boxes="detection_scores", scores="detection_boxes", order=man.BOX_ORDER_YXYX)
    made = manager.register(man.ModelManifest(model="boxes", input=pixels(), boxes=boxes))
    assert [check.outcome for check in made.checks][-2:] == [PASSED, FAILED]
    assert "detection_scores" in made.checks[-1].message or "detection_boxes" in made.checks[-1].message


BOXES = man.BoxesOutput(
    boxes="detection_boxes",
    scores="detection_scores",
    classes="detection_classes",
    count="num_detections",
    order=man.BOX_ORDER_YXYX,
)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (man.ModelManifest(model="boxes", input=pixels(), boxes=BOXES, labels=["animal", "person"], first_index=1), "2 boxes"),
        (man.ModelManifest(model="keypoints", input=pixels(), keypoints=man.KeypointsOutput(names=["a", "b", "c"])), "1 bodies"),
        (man.ModelManifest(model="mask", input=pixels(color=man.COLOR_MODE_GRAY, scale=1 / 255), mask=man.MaskOutput()), "a mask of"),
        (digits_manifest("encoded", input=man.InputSpec(kind=man.INPUT_KIND_ENCODED)), "("),
        (man.ModelManifest(model="add_one", input=man.InputSpec(kind=man.INPUT_KIND_TENSOR), raw=man.RawOutput()), "y []"),
    ],
)
def test_every_kind_of_model_is_tried_before_it_is_registered(manager: Person, manifest: man.ModelManifest, said: str) -> None:
    made = manager.register(manifest)
    assert made.passed, made.checks
    assert said in made.checks[-1].message


def test_too_few_names_for_a_models_points_are_found_out(manager: Person) -> None:
    made = manager.register(man.ModelManifest(model="keypoints", input=pixels(), keypoints=man.KeypointsOutput(names=["a", "b"])))
    assert made.checks[4].message == "the manifest names 2 points, and the model gives 3"


def test_only_checking_registers_nothing(manager: Person) -> None:
    made = manager.register(version=1, validate_only=True)
    assert made.passed
    assert not made.HasField("version")
    with pytest.raises(NotFound):
        manager.model()


def test_without_a_version_the_newest_that_can_answer_is_meant(manager: Person) -> None:
    assert manager.register().version.version == 3


def test_registering_again_with_the_same_manifest_keeps_what_there_is(manager: Person) -> None:
    first = manager.register(version=1, metrics={"accuracy": 0.9})
    again = manager.register(version=1)
    assert again.version == first.version
    assert manager.register(version=1, metrics={"loss": 0.2}).version.metrics == {"loss": 0.2}
    assert manager.routing().revision == 1


def test_a_registered_version_is_never_changed(manager: Person) -> None:
    manager.register(version=1)
    with pytest.raises(AlreadyExists) as caught:
        manager.register(digits_manifest(threshold=0.5), 1)
    assert caught.value.reason == "VERSION_REGISTERED"
    assert manager.model().model.versions[-1].manifest.threshold == 0


def test_a_request_sent_again_registers_once_and_another_one_under_its_id_is_refused(manager: Person) -> None:
    request_id = new_id()
    first = manager.register(version=1, aliases=["canary"], request_id=request_id)
    manager.set_alias("canary", 1)
    assert manager.register(version=1, aliases=["canary"], request_id=request_id).checks == first.checks
    assert manager.routing().revision == 1
    with pytest.raises(InvalidArgument) as caught:
        manager.register(version=2, request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_a_manifest_that_contradicts_itself_is_refused_with_the_field(manager: Person) -> None:
    with pytest.raises(InvalidArgument) as caught:
        manager.register(digits_manifest(input=pixels(width=28, height=28, color=man.COLOR_MODE_GRAY, mean=[1, 2, 3])))
    assert caught.value.violations[0].field == "manifest.input.mean"


def changes_by(person: Person) -> list[Callable[[], object]]:
    return [
        lambda: person.register(version=2),
        lambda: person.set_alias("canary", 1),
        lambda: person.set_traffic({}),
        lambda: person.roll_back(),
        lambda: person.start_training("digits"),
    ]


def test_everybody_looks_and_managers_and_their_programs_change(door: Door, manager: Person, ada: Person) -> None:
    manager.register(version=1)
    assert ada.model().model.name == "digits"
    reader = door.person(Role.MANAGER, scopes=["inference.read"])
    assert reader.model().model.name == "digits"
    for person, reason in ((ada, "ROLE_MISSING"), (reader, "SCOPE_MISSING")):
        for change in changes_by(person):
            with pytest.raises(PermissionDenied) as caught:
                change()
            assert caught.value.reason == reason
    assert door.person(scopes=["inference.manage"]).register(version=2).passed


# --- states ---


def test_versions_that_are_served_and_were_never_registered_are_listed_without_a_manifest(manager: Person) -> None:
    manager.register(version=2)
    versions = manager.model().model.versions
    assert [version.version for version in versions] == [3, 2, 1]
    assert [version.HasField("manifest") for version in versions] == [False, True, False]
    assert {version.state for version in versions} == {mod.VERSION_STATE_AVAILABLE}


def test_models_are_listed_by_name_page_by_page(manager: Person) -> None:
    manager.register(man.ModelManifest(model="mask", input=pixels(color=man.COLOR_MODE_GRAY), mask=man.MaskOutput()))
    manager.register()
    manager.register(man.ModelManifest(model="keypoints", input=pixels(), keypoints=man.KeypointsOutput()))
    first = manager.models.ListModels(mod.ListModelsRequest(page_size=2), metadata=manager.metadata)
    assert [model.name for model in first.models] == ["digits", "keypoints"]
    assert first.models[0].display_name == "Digits"
    rest = manager.models.ListModels(mod.ListModelsRequest(page_size=2, page_token=first.next_page_token), metadata=manager.metadata)
    assert [model.name for model in rest.models] == ["mask"]
    assert not rest.next_page_token


def test_a_version_that_the_model_server_gives_up_is_absent_and_gets_no_alias(
    manager: Person, model_server: ServedModels, model_name: str
) -> None:
    model_server.publish("digits", 1, 2, name=model_name)
    until(lambda: manager.register(digits_manifest(model_name), 2).passed)
    manager.register(digits_manifest(model_name), 1)
    model_server.withdraw(model_name, 1)

    def state() -> mod.ModelVersion:
        return next(version for version in manager.model(model_name).model.versions if version.version == 1)

    until(lambda: state().state == mod.VERSION_STATE_ABSENT)
    with pytest.raises(FailedPrecondition) as caught:
        manager.set_alias("canary", 1, model=model_name)
    assert caught.value.reason == "VERSION_NOT_AVAILABLE"
    with pytest.raises(Unavailable) as gone:
        manager.predictions.Predict(request(model_name, version=1), metadata=manager.metadata)
    assert gone.value.reason == "VERSION_NOT_AVAILABLE"
    assert manager.predictions.Predict(request(model_name), metadata=manager.metadata).prediction.version == 2
    model_server.publish("digits", 1, name=model_name, number=3)
    until(lambda: manager.model(model_name).model.versions[0].version == 3)
    model_server.withdraw(model_name, 2, 3)


def test_predictions_and_what_people_said_of_them_are_counted_by_version(inference: Inference, manager: Person) -> None:
    manager.register(version=1)
    for shard in (0, 1):
        inference.sql(
            "INSERT INTO prediction_counts (model, version, shard, predictions, feedback, feedback_correct) "
            "VALUES ('digits', 1, :shard, 10, 3, 2), ('digits', 3, :shard, 1, 0, 0)",
            shard=shard,
        )
    counts = {
        version.version: (version.predictions_count, version.feedback_count, version.feedback_correct_count)
        for version in manager.model().model.versions
    }
    assert counts == {3: (2, 0, 0), 2: (0, 0, 0), 1: (20, 6, 4)}


# --- without a model server ---


@pytest.fixture
def hanging_target() -> Iterator[str]:
    """An address that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["away", "hanging"])
def test_without_the_model_server_models_are_shown_with_unknown_states_and_soon(
    manager: Person, start_inference: StartInference, hanging_target: str, kind: str
) -> None:
    manager.register(version=1)
    manager.set_traffic({"stable": 1})
    other = start_inference(NOWHERE if kind == "away" else hanging_target)
    lonely = other.door.person(Role.MANAGER)
    for longest_s in (4.0, 0.5):
        started = time.monotonic()
        answer = lonely.model()
        assert time.monotonic() - started < longest_s
        assert [version.state for version in answer.model.versions] == [mod.VERSION_STATE_UNKNOWN]
        assert "model server" in answer.model_server_problem or "in time" in answer.model_server_problem
    listed = lonely.models.ListModels(mod.ListModelsRequest(), metadata=lonely.metadata)
    assert listed.model_server_problem
    for call in (lambda: lonely.register(version=1), lambda: lonely.set_alias("canary", 1), lambda: lonely.start_training("digits")):
        with pytest.raises(MeshError) as caught:
            call()
        assert caught.value.reason in ("MODEL_SERVER_UNAVAILABLE", "MODEL_TOO_SLOW")
    # One can go back without it.
    assert lonely.roll_back().change == "rolled back to revision 1"


def test_a_model_server_that_hung_or_was_killed_is_away_and_then_back_while_the_service_stays_ready(
    start_inference: StartInference, tmp_path: Path
) -> None:
    own = ServedModels(tmp_path)
    own.publish("digits", 1)
    own.start()
    try:
        service = start_inference(own.target)
        manager = service.door.person(Role.MANAGER)
        manager.register()
        own.pause()
        until(lambda: manager.model().model.versions[0].state == mod.VERSION_STATE_UNKNOWN)
        # Somebody had to find that out; nobody who looks now waits for it.
        started = time.monotonic()
        assert manager.model().model_server_problem
        assert time.monotonic() - started < 0.5
        own.resume()
        until(lambda: manager.model().model.versions[0].state == mod.VERSION_STATE_AVAILABLE)
        own.kill()
        until(lambda: manager.model().model.versions[0].state == mod.VERSION_STATE_UNKNOWN)
        health: Any = health_pb2_grpc.HealthStub(service.door.channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        own.start()
        until(lambda: manager.model().model.versions[0].state == mod.VERSION_STATE_AVAILABLE)
        assert not manager.model().model_server_problem
        assert manager.register().passed
    finally:
        own.stop()
