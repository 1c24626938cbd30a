"""A prediction is made, stored, found again and judged."""

from __future__ import annotations

import hashlib
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.errors import InvalidArgument, MeshError, NotFound, PermissionDenied
from labelmesh_chassis.identity import Role
from labelmesh_chassis.objects import ObjectStore
from sqlalchemy import text

from tests.integration.inference.people import Door, Person, new_id
from tests.integration.inference.predictions.questions import (
    NONE,
    PICTURE,
    RESULT,
    best,
    digit,
    jpeg,
    judge,
    look_up,
    objects,
    picture,
    pixel_manifest,
    png,
    predict,
    predict_batch,
    stored,
    tensor,
)
from tests.integration.inference.service import Inference
from tests.support.stores import StoreAddress

pytestmark = pytest.mark.usefixtures("digits")


def reason_of(caught: pytest.ExceptionInfo[MeshError]) -> str:
    return caught.value.reason


def test_a_picture_is_answered_with_where_the_answer_comes_from(ada: Person) -> None:
    content = png(0.72, (40, 30))
    found = predict(ada, pre.Input(image=content))
    assert best(found) == "7" and found.result.classification.classes[0].score > 0.9
    assert len(found.result.classification.classes) == 10 and found.result.classification.doubt < 0.1
    assert (found.model, found.version, found.alias, found.batch_size) == ("digits", 1, "stable", 1)
    assert (found.media_type, found.width, found.height) == ("image/png", 40, 30)
    assert found.input_sha256 == hashlib.sha256(content).hexdigest()
    assert found.caller_id == ada.id and found.create_time.seconds > 1_600_000_000
    timing = found.timing
    assert timing.preparation.ToMicroseconds() > 0 and timing.model.ToMicroseconds() > 0 and not timing.HasField("fetch")
    parts = (timing.preparation, timing.waiting, timing.model)
    assert sum(part.ToMicroseconds() for part in parts) <= timing.total.ToMicroseconds()


def test_what_was_answered_is_what_is_stored(ada: Person) -> None:
    found = predict(ada, picture(0.3), settings=pre.AnswerSettings(top_k=3))
    again = look_up(ada, found.id)
    address = again.picture_url
    again.picture_url = ""
    assert again == found and len(found.result.classification.classes) == 3
    assert address.startswith("/objects/")


def test_the_picture_can_be_read_at_its_address(ada: Person, object_store_settings: StoreAddress) -> None:
    content = png(0.44, (9, 9))
    address = look_up(ada, predict(ada, pre.Input(image=content)).id).picture_url
    with urllib.request.urlopen(f"http://{object_store_settings.endpoint}{address.removeprefix('/objects')}", timeout=5) as reply:
        assert reply.read() == content and reply.headers["content-type"] == "image/png"


def test_a_picture_is_stored_once_however_often_and_by_whomever_it_is_asked_about(
    ada: Person, manager: Person, object_store_settings: StoreAddress, inference: Inference
) -> None:
    content = png(0.5, (31, 33))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda person: predict(person, pre.Input(image=content)), [ada, manager] * 6))
    assert len({each.id for each in found}) == 12
    sha256 = hashlib.sha256(content).hexdigest()
    assert objects(object_store_settings) == {f"predictions/{sha256}.png": content}
    assert inference.sql("SELECT count(*) FROM pictures")[0][0] == 1


def test_what_is_stored_is_what_was_asked_for(ada: Person, object_store_settings: StoreAddress, inference: Inference) -> None:
    unstored = predict(ada, picture(0.1), settings=pre.AnswerSettings(storage=NONE))
    assert unstored.id == "" and best(unstored) == "1" and inference.sql("SELECT count(*) FROM predictions")[0][0] == 0
    result = predict(ada, picture(0.2), settings=pre.AnswerSettings(storage=RESULT))
    assert look_up(ada, result.id).picture_url == "" and objects(object_store_settings) == {}
    numbers = predict(ada, digit(0.3), settings=pre.AnswerSettings(storage=PICTURE))
    assert best(look_up(ada, numbers.id)) == "3" and objects(object_store_settings) == {}
    (item,) = predict_batch(ada, [picture(0.4)])
    assert look_up(ada, item.prediction.id).picture_url == "" and objects(object_store_settings) == {}
    (item,) = predict_batch(ada, [picture(0.4)], settings=pre.AnswerSettings(storage=PICTURE))
    assert look_up(ada, item.prediction.id).picture_url != "" and len(objects(object_store_settings)) == 1


# --- the same call again ---


def test_the_same_request_id_gives_the_stored_answer_again(ada: Person, inference: Inference) -> None:
    request_id = new_id()
    first = predict(ada, picture(0.6), request_id=request_id)
    assert predict(ada, picture(0.6), request_id=request_id) == first
    assert inference.sql("SELECT count(*) FROM predictions")[0][0] == 1


def test_a_call_sent_many_times_at_once_under_one_request_id_has_one_answer(ada: Person, inference: Inference) -> None:
    request_id = new_id()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: predict(ada, picture(0.6), request_id=request_id), range(8)))
    assert all(each == found[0] for each in found)
    assert inference.sql("SELECT count(*) FROM predictions")[0][0] == 1
    assert inference.sql("SELECT sum(predictions) FROM prediction_counts")[0][0] == 1


def test_a_request_id_used_for_another_call_is_refused_and_another_callers_is_their_own(ada: Person, manager: Person) -> None:
    request_id = new_id()
    first = predict(ada, picture(0.6), request_id=request_id)
    with pytest.raises(InvalidArgument) as caught:
        predict(ada, picture(0.7), request_id=request_id)
    assert reason_of(caught) == "REQUEST_ID_REUSED"
    assert predict(manager, picture(0.6), request_id=request_id).id != first.id


# --- choosing ---


def test_a_version_or_an_alias_can_be_named(ada: Person) -> None:
    named = predict(ada, picture(0.5), version=3)
    assert (named.version, named.alias, best(named)) == (3, "", "7")
    canary = predict(ada, picture(0.5), alias="canary")
    assert (canary.version, canary.alias, best(canary)) == (2, "canary", "6")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"model": "nobodys"}, "MODEL_NOT_FOUND"),
        ({"alias": "purple"}, "ALIAS_NOT_FOUND"),
        ({"version": 77}, "VERSION_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_said(ada: Person, named: dict[str, str], reason: str) -> None:
    with pytest.raises(NotFound) as caught:
        predict(ada, picture(0.5), **named)  # type: ignore[arg-type]
    assert reason_of(caught) == reason


# --- where inputs come from ---


def test_an_object_of_the_mesh_is_read_by_its_address(ada: Person, object_store_settings: StoreAddress) -> None:
    store = ObjectStore(
        object_store_settings.endpoint, object_store_settings.access_key, object_store_settings.secret_key, object_store_settings.bucket
    )
    store.put("somewhere/picture.png", png(0.8), "image/png")
    found = predict(ada, pre.Input(object_url=store.presign_get("somewhere/picture.png")))
    assert best(found) == "8" and found.timing.fetch.ToMicroseconds() > 0
    assert found.source_url.endswith("/somewhere/picture.png")
    with pytest.raises(NotFound):
        predict(ada, pre.Input(object_url=store.presign_get("somewhere/nothing.png")))
    with pytest.raises(InvalidArgument) as caught:
        predict(ada, pre.Input(object_url="http://127.0.0.1:1/objects/x"))
    assert reason_of(caught) == "OBJECT_URL_REFUSED"


@pytest.mark.parametrize("address", ["http://127.0.0.1/a.png", "http://localhost/a.png", "file:///etc/passwd", "http://169.254.169.254/"])
def test_an_address_inside_is_not_asked(ada: Person, address: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        predict(ada, pre.Input(url=address))
    assert reason_of(caught).startswith("URL_")


def test_a_key_that_may_not_read_images_asks_about_none_of_a_project(door: Door) -> None:
    key = door.person(Role.MANAGER, scopes=["inference.predict"])
    image = pre.ProjectImage(project_id=new_id(), image_id=new_id())
    with pytest.raises(PermissionDenied) as caught:
        predict(key, pre.Input(project_image=image))
    assert caught.value.metadata["scope"] == "labeling.read"
    assert best(predict(key, picture(0.2))) == "2"


def test_a_key_that_is_bound_to_projects_sees_no_predictions_of_other_projects_images(door: Door, inference: Inference) -> None:
    owner, mine, other = door.person(Role.MANAGER), new_id(), new_id()
    scopes = ["inference.read", "inference.predict", "inference.manage"]
    bound, free = (door.person(Role.MANAGER, user_id=owner.id, scopes=scopes, projects=projects) for projects in ([mine], []))
    sent, of_mine, of_other = (predict(owner, picture(0.4)).id for _ in range(3))
    with inference.database.connection() as connection:
        for prediction_id, project_id in ((of_mine, mine), (of_other, other)):
            values = {"id": prediction_id, "project_id": project_id, "image_id": new_id()}
            connection.execute(text("UPDATE predictions SET project_id = :project_id, image_id = :image_id WHERE id = :id"), values)
    assert [found.id for found in stored(bound)] == [found.id for found in stored(bound, model="digits")] == [of_mine, sent]
    assert [found.id for found in stored(free)] == [found.id for found in stored(owner, model="digits")] == [of_other, of_mine, sent]
    assert look_up(bound, of_mine).id == of_mine and look_up(free, of_other).id == of_other
    for asked in (look_up, lambda person, prediction_id: judge(person, prediction_id, correct=False)):
        with pytest.raises(NotFound) as caught:
            asked(bound, of_other)
        assert reason_of(caught) == "PREDICTION_NOT_FOUND"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (pre.Input(image=b"no picture"), "NOT_AN_IMAGE"),
        (pre.Input(image=png(0.1)[:-20]), "TRUNCATED"),
        (pre.Input(tensor=tensor(np.zeros((28, 28)))), "WRONG_SHAPE"),
        (pre.Input(), "INVALID_FIELDS"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_its_reason(ada: Person, asked: pre.Input, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        predict(ada, asked)
    assert reason_of(caught) == reason and caught.value.violations


# --- other models ---


def test_every_kind_of_answer_is_typed_and_stored(ada: Person, manager: Person) -> None:
    kinds = {
        "encoded": man.ModelManifest(model="encoded", input=man.InputSpec(kind=man.INPUT_KIND_ENCODED), classes=man.ClassesOutput()),
        "boxes": pixel_manifest(
            "boxes",
            boxes=man.BoxesOutput(
                boxes="detection_boxes",
                scores="detection_scores",
                classes="detection_classes",
                count="num_detections",
                order=man.BOX_ORDER_YXYX,
            ),
            labels=["animal", "person"],
            first_index=1,
            threshold=0.85,
        ),
        "keypoints": pixel_manifest("keypoints", keypoints=man.KeypointsOutput(names=["a", "b", "c"])),
        "mask": pixel_manifest(
            "mask",
            input=man.InputSpec(kind=man.INPUT_KIND_PIXELS, color=man.COLOR_MODE_GRAY, scale=1 / 255),
            mask=man.MaskOutput(),
            labels=["dark", "bright"],
        ),
        "add_one": man.ModelManifest(model="add_one", input=man.InputSpec(kind=man.INPUT_KIND_TENSOR), raw=man.RawOutput()),
    }
    for manifest in kinds.values():
        made = manager.register(manifest)
        assert made.passed, made.checks
    found = {name: predict(ada, pre.Input(image=jpeg()), name) for name in kinds if name != "add_one"}
    found["add_one"] = predict(ada, pre.Input(tensor=tensor(41.0)), "add_one")

    assert best(found["encoded"]) == "7"
    (animal,) = found["boxes"].result.detections.detections
    assert animal.label == "animal" and (animal.box.x_min, animal.box.y_max) == pytest.approx((0.2, 0.5))
    assert found["boxes"].result.detections.below_threshold_count == 1
    point = found["keypoints"].result.poses.poses[0].keypoints[0]
    assert (point.name, point.x) == ("a", 0.25)
    mask = found["mask"].result.segmentation
    assert (mask.width, mask.height, mask.segments[0].label, mask.segments[0].share) == (64, 48, "bright", 1.0)
    (raw,) = found["add_one"].result.raw.tensors
    assert (raw.name, np.frombuffer(raw.tensor.content, np.float32).tolist()) == ("y", [42.0])
    for each in found.values():
        again = look_up(ada, each.id)
        assert again.result == each.result and again.width == each.width


# --- finding and judging ---


def test_people_find_their_own_predictions_and_managers_everybodys(ada: Person, manager: Person, door: Door) -> None:
    own = predict(ada, picture(0.1))
    other = predict(manager, picture(0.2))
    assert [each.id for each in stored(ada)] == [own.id]
    assert [each.id for each in stored(manager)] == [other.id, own.id]
    with pytest.raises(NotFound) as caught:
        look_up(ada, other.id)
    assert reason_of(caught) == "PREDICTION_NOT_FOUND"
    with pytest.raises(NotFound):
        judge(ada, other.id, correct=False)
    assert look_up(manager, own.id).id == own.id
    reading = door.person(Role.MANAGER, user_id=ada.id, scopes=["inference.read"])
    assert [each.id for each in stored(reading)] == [own.id]
    with pytest.raises(NotFound):
        look_up(reading, other.id)


def test_pages_are_the_list_without_gaps_newest_first(ada: Person, manager: Person) -> None:
    items = predict_batch(ada, [digit(number / 10) for number in range(10)] * 3) + predict_batch(ada, [digit(0.5)] * 5, version=2)
    ids = [item.prediction.id for item in items]
    newest = sorted(ids, reverse=True)
    assert newest[5:] == list(reversed(ids[:30]))
    for person in (ada, manager):
        assert [each.id for each in stored(person, page_size=4)] == newest
        assert [each.id for each in stored(person, page_size=7, model="digits")] == newest
        assert [each.id for each in stored(person, page_size=4, model="digits", version=2)] == newest[:5]
        assert stored(person, model="other") == []
    with pytest.raises(InvalidArgument):
        stored(ada, version=2)
    token = ada.predictions.ListPredictions(pre.ListPredictionsRequest(page_size=1), metadata=ada.metadata).next_page_token
    with pytest.raises(InvalidArgument) as caught:
        ada.predictions.ListPredictions(pre.ListPredictionsRequest(model="digits", page_token=token), metadata=ada.metadata)
    assert reason_of(caught) == "PAGE_TOKEN_INVALID"


def test_the_last_word_about_a_prediction_counts(ada: Person, manager: Person) -> None:
    first, second = predict(ada, picture(0.1)), predict(ada, picture(0.2))
    assert judge(ada, first.id, correct=True).correct
    said = judge(manager, first.id, correct=False, label="7")
    assert (said.correct, said.label, said.author_id) == (False, "7", manager.id)
    judge(ada, second.id, correct=True)
    found = look_up(ada, first.id)
    assert found.feedback == said
    assert [each.id for each in stored(ada, wrong=True)] == [first.id]
    version = next(version for version in manager.model().model.versions if version.version == 1)
    assert (version.predictions_count, version.feedback_count, version.feedback_correct_count) == (2, 2, 1)


def test_nobody_judges_what_is_not_there(ada: Person) -> None:
    with pytest.raises(NotFound):
        judge(ada, new_id(), correct=True)
