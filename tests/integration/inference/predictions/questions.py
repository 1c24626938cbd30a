"""What tests ask models, and how."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh.inference.v1 import tensors_pb2
from minio import Minio
from PIL import Image

from tests.integration.inference.people import Person
from tests.support.stores import StoreAddress

NONE, RESULT, PICTURE = pre.STORAGE_NONE, pre.STORAGE_RESULT, pre.STORAGE_RESULT_AND_PICTURE


def png(brightness: float, size: tuple[int, int] = (28, 28)) -> bytes:
    """A picture of one brightness, 0 to 1. The tiny digits say its tenth; see tests/support/models.py."""
    held = io.BytesIO()
    Image.new("L", size, round(brightness * 255)).save(held, "PNG")
    return held.getvalue()


def jpeg(size: tuple[int, int] = (64, 48), color: tuple[int, int, int] = (200, 200, 200)) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, color).save(held, "JPEG", quality=95)
    return held.getvalue()


def tensor(array: Any) -> tensors_pb2.Tensor:
    """float32 numbers as a message."""
    values = np.asarray(array, np.float32)
    return tensors_pb2.Tensor(data_type=tensors_pb2.DATA_TYPE_FLOAT32, shape=values.shape, content=values.tobytes())


def digit(brightness: float) -> pre.Input:
    """A tensor in the form of the tiny digits."""
    return pre.Input(tensor=tensor(np.full((28, 28, 1), brightness)))


def picture(brightness: float) -> pre.Input:
    return pre.Input(image=png(brightness))


def choice(model: str = "digits", **more: Any) -> pre.ModelChoice:
    return pre.ModelChoice(model=model, **more)


def predict(
    person: Person,
    asked: pre.Input,
    model: str = "digits",
    *,
    request_id: str = "",
    settings: pre.AnswerSettings | None = None,
    timeout: float = 30,
    **named: Any,
) -> pre.Prediction:
    """One answer."""
    request = pre.PredictRequest(model=choice(model, **named), input=asked, settings=settings, request_id=request_id)
    answer: pre.Prediction = person.predictions.Predict(request, metadata=person.metadata, timeout=timeout).prediction
    return answer


def predict_batch(
    person: Person, inputs: list[pre.Input], model: str = "digits", *, settings: pre.AnswerSettings | None = None, **named: Any
) -> list[pre.BatchItem]:
    """Several answers."""
    request = pre.PredictBatchRequest(model=choice(model, **named), inputs=inputs, settings=settings)
    return list(person.predictions.PredictBatch(request, metadata=person.metadata, timeout=60).items)


def best(prediction: pre.Prediction) -> str:
    """The label of the best class."""
    return prediction.result.classification.classes[0].label


def stored(person: Person, **filters: Any) -> list[pre.Prediction]:
    """All stored predictions, page by page."""
    found: list[pre.Prediction] = []
    token = ""
    for _ in range(1000):
        request = pre.ListPredictionsRequest(page_token=token, **filters)
        answer = person.predictions.ListPredictions(request, metadata=person.metadata)
        found += answer.predictions
        token = answer.next_page_token
        if not token:
            return found
    raise AssertionError("the list has no end")


def look_up(person: Person, prediction_id: str) -> pre.Prediction:
    request = pre.GetPredictionRequest(prediction_id=prediction_id)
    answer: pre.Prediction = person.predictions.GetPrediction(request, metadata=person.metadata).prediction
    return answer


def judge(person: Person, prediction_id: str, *, correct: bool, label: str = "") -> pre.PredictionFeedback:
    request = pre.FeedbackRequest(prediction_id=prediction_id, correct=correct, label=label)
    answer: pre.PredictionFeedback = person.predictions.Feedback(request, metadata=person.metadata).feedback
    return answer


def objects(store: StoreAddress) -> dict[str, bytes]:
    """What lies in the bucket under predictions/, by key."""
    client = Minio(store.endpoint, store.access_key, store.secret_key, secure=False)
    found: dict[str, bytes] = {}
    for entry in client.list_objects(store.bucket, prefix="predictions/", recursive=True):
        reply = client.get_object(store.bucket, entry.object_name or "")
        found[entry.object_name or ""] = reply.read()
        reply.close()
        reply.release_conn()
    return found


def pixel_manifest(model: str, **more: Any) -> man.ModelManifest:
    """A manifest of a model that takes pictures of any size."""
    return man.ModelManifest(model=model, **{"input": man.InputSpec(kind=man.INPUT_KIND_PIXELS), **more})
