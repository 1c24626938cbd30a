"""Asking models: one picture, several at once, or as they come."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelmesh.inference.v1 import predictions_pb2

from labelmesh_client.batches import by_weight
from labelmesh_client.errors import LabelmeshError, error_of_status
from labelmesh_client.inputs import Input, ProjectImage, input_message, tried, weight
from labelmesh_client.results import Result, result_from_wire
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment

_PAGE = 500
#: What one call takes, less what framing needs.
MAX_BATCH_BYTES = 24 * 1024 * 1024 - 64 * 1024
MAX_BATCH_INPUTS = 1024


class Storage(StrEnum):
    """What the server keeps of a prediction."""

    NONE = "none"
    RESULT = "result"
    RESULT_AND_PICTURE = "result and picture"


_STORAGE = {
    None: predictions_pb2.STORAGE_UNSPECIFIED,
    Storage.NONE: predictions_pb2.STORAGE_NONE,
    Storage.RESULT: predictions_pb2.STORAGE_RESULT,
    Storage.RESULT_AND_PICTURE: predictions_pb2.STORAGE_RESULT_AND_PICTURE,
}


@dataclass(frozen=True)
class Question:
    """Which model is asked, and how it is to answer.

    By version, by alias, or by the model's traffic when neither is given; the same `sticky_key` gets the same alias (by default the
    caller's account). `top_k` 0 and `threshold` None mean what the model's manifest says. `storage` None keeps the result, of a single
    picture the picture too.
    """

    model: str
    alias: str = ""
    version: int = 0
    sticky_key: str = ""
    top_k: int = 0
    threshold: float | None = None
    storage: Storage | None = None

    @staticmethod
    def of(model: str | Question) -> Question:
        """A question as it is, or a plain one for a model's name."""
        return model if isinstance(model, Question) else Question(model)

    def choice(self) -> predictions_pb2.ModelChoice:
        return predictions_pb2.ModelChoice(model=self.model, alias=self.alias, version=self.version, sticky_key=self.sticky_key)

    def settings(self) -> predictions_pb2.AnswerSettings:
        return predictions_pb2.AnswerSettings(top_k=self.top_k, threshold=self.threshold, storage=_STORAGE[self.storage])


@dataclass(frozen=True)
class Timing:
    """Where the time went, in seconds: getting the picture, preparing it, waiting for company in a batch, the model; and all of it."""

    fetch_s: float
    preparation_s: float
    waiting_s: float
    model_s: float
    total_s: float

    @staticmethod
    def from_wire(message: predictions_pb2.Timing) -> Timing:
        parts = (message.fetch, message.preparation, message.waiting, message.model, message.total)
        return Timing(*(part.ToNanoseconds() / 1e9 for part in parts))


@dataclass(frozen=True)
class PredictionFeedback:
    """What people said of a prediction: whether the best answer was right, and what would have been, where that is known."""

    correct: bool
    label: str
    author_id: str
    create_time: datetime | None

    @staticmethod
    def from_wire(message: predictions_pb2.PredictionFeedback) -> PredictionFeedback:
        return PredictionFeedback(message.correct, message.label, message.author_id, moment(message, "create_time"))


@dataclass(frozen=True)
class Prediction:
    """A model's answer.

    `id` is empty where it was not stored; `version` is the one that answered; `alias` led to it, if one did; `width` and `height` are
    pixels of the upright picture; `batch_size` inputs shared the call to the model; `picture_url` is set for stored ones that were read.
    """

    id: str
    model: str
    version: int
    alias: str
    result: Result | None
    timing: Timing
    input_sha256: str
    media_type: str
    width: int
    height: int
    project_image: ProjectImage | None
    source_url: str
    caller_id: str
    create_time: datetime | None
    feedback: PredictionFeedback | None
    picture_url: str
    batch_size: int

    @staticmethod
    def from_wire(message: predictions_pb2.Prediction) -> Prediction:
        image = message.project_image
        return Prediction(
            id=message.id,
            model=message.model,
            version=message.version,
            alias=message.alias,
            result=result_from_wire(message.result),
            timing=Timing.from_wire(message.timing),
            input_sha256=message.input_sha256,
            media_type=message.media_type,
            width=message.width,
            height=message.height,
            project_image=ProjectImage(image.project_id, image.image_id) if message.HasField("project_image") else None,
            source_url=message.source_url,
            caller_id=message.caller_id,
            create_time=moment(message, "create_time"),
            feedback=PredictionFeedback.from_wire(message.feedback) if message.HasField("feedback") else None,
            picture_url=message.picture_url,
            batch_size=message.batch_size,
        )


#: What became of one input among several: an answer, or why there is none.
Answer = Prediction | LabelmeshError


def predict(services: Services, question: Question, given: Input) -> Prediction:
    """One answer. Raises InvalidArgument for what is no picture, ResourceExhausted (MODEL_BUSY), Unavailable, DeadlineExceeded; SourceError
    for a path that cannot be read."""
    # With an id of its own the call can be sent again without being stored twice.
    request = predictions_pb2.PredictRequest(
        request_id=str(uuid.uuid4()), model=question.choice(), input=input_message(given), settings=question.settings()
    )
    return Prediction.from_wire(services.predictions.Predict(request).prediction)


def predict_batch(services: Services, question: Question, given: Iterable[Input]) -> Iterator[Answer]:
    """An answer or an error for each input, in their order; batches of up to 24 MiB go one after the other as the caller reads.

    What is wrong with all (no such model, the model server is away) is raised.
    """
    for part in by_weight(map(tried, given), weight, lambda: MAX_BATCH_BYTES, MAX_BATCH_INPUTS):
        messages = [one for one in part if not isinstance(one, LabelmeshError)]
        answers: Iterator[Answer] = iter(())
        if messages:
            request = predictions_pb2.PredictBatchRequest(model=question.choice(), inputs=messages, settings=question.settings())
            answers = map(answer_of, services.predictions.PredictBatch(request).items)
        for one in part:
            yield one if isinstance(one, LabelmeshError) else next(answers)


class Predictions:
    """Stored predictions: the caller's own, everybody's for managers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def get(self, prediction_id: str) -> Prediction:
        """A stored prediction; NotFound also for those of others, unless the caller manages."""
        request = predictions_pb2.GetPredictionRequest(prediction_id=prediction_id)
        return Prediction.from_wire(self._services.predictions.GetPrediction(request).prediction)

    def list(self, model: str = "", *, version: int = 0, wrong: bool = False) -> Iterator[Prediction]:
        """Newest first; of one model, one version, only those that were found wrong."""
        token = ""
        while True:
            request = predictions_pb2.ListPredictionsRequest(page_size=_PAGE, page_token=token, model=model, version=version, wrong=wrong)
            page = self._services.predictions.ListPredictions(request)
            yield from map(Prediction.from_wire, page.predictions)
            token = page.next_page_token
            if not token:
                return

    def feedback(self, prediction_id: str, *, correct: bool, label: str = "") -> PredictionFeedback:
        """Says whether a prediction was right, and what would have been; said again, the last word counts."""
        request = predictions_pb2.FeedbackRequest(prediction_id=prediction_id, correct=correct, label=label)
        return PredictionFeedback.from_wire(self._services.predictions.Feedback(request).feedback)


def answer_of(item: predictions_pb2.BatchItem) -> Answer:
    """What became of one input."""
    if item.WhichOneof("item") == "prediction":
        return Prediction.from_wire(item.prediction)
    return error_of_status(item.error)
