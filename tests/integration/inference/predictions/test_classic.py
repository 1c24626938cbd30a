"""The classic interface: numbers in, a digit out, both stored."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseDict
from labelmesh.inference.v1 import classic_pb2
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from labelmesh_chassis.identity import Role

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Door, Person
from tests.integration.inference.predictions.questions import look_up, objects, pixel_manifest, stored
from tests.support.stores import StoreAddress


def classic(person: Person, rows: object) -> int:
    """As a client sends it, from JSON."""
    request = ParseDict({"image": rows}, classic_pb2.ClassicPredictRequest())
    answer: int = person.classic.ClassicPredict(request, metadata=person.metadata).prediction
    return answer


@pytest.mark.usefixtures("digits")
def test_numbers_become_a_digit_and_picture_and_prediction_are_stored(door: Door, object_store_settings: StoreAddress) -> None:
    key = door.person(scopes=["inference.predict", "inference.read"])
    assert classic(key, [[90] * 28] * 28) == 3
    assert classic(key, [[0.75] * 28] * 28) == 7
    found = stored(key)
    assert [each.result.classification.classes[0].label for each in found] == ["7", "3"]
    assert all(each.media_type == "image/png" and look_up(key, each.id).picture_url for each in found)
    assert len(objects(object_store_settings)) == 2


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("rows", "reason", "words"),
    [
        ([], "WRONG_SHAPE", "0 rows"),
        ([[0] * 28] * 27, "WRONG_SHAPE", "27 rows"),
        ([*[[0] * 28] * 27, [0] * 27], "WRONG_SHAPE", "row 27 of the image has 27 numbers"),
        ([[0] * 28, [*[0] * 27, "x"], *[[0] * 28] * 26], "WRONG_TYPE", 'row 1 of the image has the text "x"'),
        ([[*[0] * 27, None], *[[0] * 28] * 27], "WRONG_TYPE", "row 0 of the image has null"),
        ([[[0]] * 28] * 28, "WRONG_TYPE", "a list"),
    ],
)
def test_what_is_no_drawing_is_refused_with_its_row(ada: Person, rows: object, reason: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        classic(ada, rows)
    assert caught.value.reason == reason and words in caught.value.message
    assert stored(ada) == []


def test_without_its_model_the_interface_says_so(ada: Person) -> None:
    with pytest.raises(NotFound) as caught:
        classic(ada, [[0] * 28] * 28)
    assert caught.value.reason == "MODEL_NOT_FOUND"


def test_a_model_without_classes_is_none_for_this_interface(start_inference: StartInference) -> None:
    manager = start_inference(classic_model="mask").door.person(Role.MANAGER)
    manifest = pixel_manifest(
        "mask", input=man.InputSpec(kind=man.INPUT_KIND_PIXELS, color=man.COLOR_MODE_GRAY, scale=1 / 255), mask=man.MaskOutput()
    )
    assert manager.register(manifest).passed
    with pytest.raises(FailedPrecondition) as caught:
        classic(manager, [[0] * 28] * 28)
    assert caught.value.reason == "NOT_A_CLASSIFIER"
