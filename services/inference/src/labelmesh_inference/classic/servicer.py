"""ClassicService: one picture of a digit as numbers, one digit back."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.struct_pb2 import ListValue, Value
from labelmesh.inference.v1 import classic_pb2, classic_pb2_grpc, results_pb2
from labelmesh_chassis.errors import FailedPrecondition
from labelmesh_chassis.identity import identity_of

from labelmesh_inference.access import Caller
from labelmesh_inference.classic.drawing import Cell, picture_of
from labelmesh_inference.predictions.asking import Limits
from labelmesh_inference.predictions.predicting import Choice, Predicting, Storage, Wish

_WISH = Wish(Limits(top_k=1, threshold=0.0), Storage.RESULT_AND_PICTURE)


class ClassicServicer(classic_pb2_grpc.ClassicServiceServicer):
    """Asks one model, which should tell digits apart."""

    def __init__(self, predicting: Predicting, model: str) -> None:
        self._predicting = predicting
        self._choice = Choice(model)

    def ClassicPredict(
        self, request: classic_pb2.ClassicPredictRequest, context: grpc.ServicerContext
    ) -> classic_pb2.ClassicPredictResponse:
        picture = picture_of(rows_of(request.image))
        _, prediction = self._predicting.one(Caller.of(identity_of(context)), self._choice, picture, _WISH)
        return classic_pb2.ClassicPredictResponse(prediction=digit_of(prediction.result))


def rows_of(image: Iterable[ListValue]) -> list[list[Cell]]:
    """The rows of a request as plain values."""
    return [[_cell(value) for value in row.values] for row in image]


def digit_of(result: bytes) -> int:
    """The best class: its label where that is a number, else its index. FailedPrecondition (NOT_A_CLASSIFIER) where there is none."""
    classes = results_pb2.Result.FromString(result).classification.classes
    if not classes:
        raise FailedPrecondition("NOT_A_CLASSIFIER", "the model behind this interface does not tell classes apart")
    best = classes[0]
    return int(best.label) if best.label.isdecimal() and len(best.label) < 9 else best.index


def _cell(value: Value) -> Cell:
    match value.WhichOneof("kind"):
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return []
        case "struct_value":
            return {}
        case _:
            return None
