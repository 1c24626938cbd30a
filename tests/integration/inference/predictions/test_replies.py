"""A model whose reply is not what its manifest says: an error that names the tensor, for those inputs alone, and nothing stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.errors import FailedPrecondition, MeshError
from labelmesh_chassis.identity import Role

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Person
from tests.integration.inference.predictions.questions import best, predict, predict_batch, stored, tensor
from tests.integration.inference.predictions.stand_in import ASKED, MANIFEST, StandIn, sure
from tests.unit.inference.serving.lean_server import Refused


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def manager(server: StandIn, start_inference: StartInference) -> Person:
    person = start_inference(server.target).door.person(Role.MANAGER)
    made = person.register(MANIFEST)
    assert made.passed, made.checks
    return person


def of_each(row: Any, dtype: Any = np.float32) -> Any:
    """A reply that says the same of every row."""
    return lambda rows: {"y": np.array([row] * rows, dtype=dtype)}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (of_each([0.2, 0.3, 0.5]), "[3] for one input; wanted is [2]"),
        (of_each([1.0]), "[1] for one input"),
        (of_each([]), "[0] for one input"),
        (of_each([[0.5, 0.5]]), "[1, 2] for one input"),
        (of_each(0.5), "[] for one input"),
        (of_each([np.nan, 0.5]), "nan"),
        (of_each([np.inf, 0.5]), "inf"),
        (of_each([3.0, -9.0]), "-9 to 3"),
        (of_each([b"no", b"yes"], object), "string"),
        (of_each([True, False], bool), "bool"),
        (of_each([1j, 2j], np.complex64), "complex64"),
        (of_each([200, 55], np.uint8), "55 to 200"),
        (lambda rows: {"z": np.zeros((rows, 2), np.float32)}, "no output y"),
        (lambda rows: {"y": np.zeros((rows + 1, 2), np.float32)}, "the first dimension must be the batch"),
        (lambda rows: {"y": np.float32(1)}, "the first dimension must be the batch"),
    ],
)
def test_a_reply_against_the_manifest_is_an_error_that_names_it(manager: Person, server: StandIn, reply: Any, words: str) -> None:
    server.reply = reply
    with pytest.raises(FailedPrecondition) as caught:
        predict(manager, ASKED, "m")
    assert caught.value.reason == "MANIFEST_MISMATCH"
    assert words.removeprefix("the ") in caught.value.message and ("y" in caught.value.message)
    assert stored(manager) == []
    server.reply = sure
    assert best(predict(manager, ASKED, "m")) == "yes"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_of_every_floating_type_are_read(manager: Person, server: StandIn, dtype: Any) -> None:
    server.reply = of_each([0.75, 0.25], dtype)
    assert best(predict(manager, ASKED, "m")) == "no"


def test_one_bad_row_of_a_reply_fails_alone(manager: Person, server: StandIn) -> None:
    def reply(rows: int) -> Mapping[str, Any]:
        scores = np.tile(np.array([0.25, 0.75], np.float32), (rows, 1))
        scores[rows // 2, 0] = np.nan
        return {"y": scores}

    server.reply = reply
    items = predict_batch(manager, [ASKED] * 9, "m")
    assert [item.WhichOneof("item") for item in items] == ["prediction"] * 4 + ["error"] + ["prediction"] * 4
    assert "nan" in items[4].error.message and len(stored(manager)) == 8


def test_an_input_that_the_model_refuses_fails_alone(manager: Person, server: StandIn) -> None:
    def model(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        if (inputs["x"] < 0).any():
            raise Refused(StatusCode.INVALID_ARGUMENT, "x must not be negative")
        return sure(len(inputs["x"]))

    server.model = model
    bad = pre.Input(tensor=tensor([-1.0, 2.0]))
    items = predict_batch(manager, [ASKED, bad, ASKED, ASKED], "m")
    assert [item.WhichOneof("item") for item in items] == ["prediction", "error", "prediction", "prediction"]
    assert "x must not be negative" in items[1].error.message
    with pytest.raises(MeshError) as caught:
        predict(manager, bad, "m")
    assert caught.value.reason == "INPUT_REFUSED"
