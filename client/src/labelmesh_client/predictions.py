"""Asking models: one picture, several at once, or as they come."""

from __future__ import annotations

import random
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelmesh.inference.v1 import predictions_pb2

from labelmesh_client.batches import by_weight
from labelmesh_client.errors import LabelmeshError, ResourceExhausted, error_of_status
from labelmesh_client.inputs import Input, ProjectImage, input_message, tried, weight
from labelmesh_client.results import Result, result_from_wire
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment

_PAGE = 500
#: What one call takes, less what framing needs.
MAX_BATCH_BYTES = 24 * 1024 * 1024 - 64 * 1024
MOST_BATCH_INPUTS = 1024
#: A model that is busy is given this long at least.
_BUSY_PAUSE_S = 0.1


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


def predict_batch(
    services: Services, question: Question, given: Iterable[Input], *, workers: int = 2, most_inputs: int = 64, patience_s: float = 60.0
) -> Iterator[Answer]:
    """An answer or an error for each input, in their order.

    Calls of up to `most_inputs` (1 to 1,024) and 24 MiB go out as the caller reads, `workers` (1 to 16) of them at once, each in memory.
    Inputs that a busy model turned away are sent again for `patience_s` seconds. What is wrong with all (no such model, the model server is
    away) is raised.
    """
    if not 1 <= workers <= 16 or not 1 <= most_inputs <= MOST_BATCH_INPUTS:
        raise ValueError("workers must be 1 to 16, most_inputs 1 to 1,024")
    pending: deque[Future[list[Answer]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="labelmesh-predict")
    try:
        for part in by_weight(map(tried, given), weight, lambda: MAX_BATCH_BYTES, most_inputs):
            pending.append(pool.submit(_ask_batch, services, question, part, patience_s))
            while len(pending) > workers or (pending and pending[0].done()):
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ask_batch(
    services: Services, question: Question, part: Sequence[predictions_pb2.Input | LabelmeshError], patience_s: float
) -> list[Answer]:
    answers: dict[int, Answer] = {}
    open_inputs: dict[int, predictions_pb2.Input] = {}
    for place, one in enumerate(part):
        if isinstance(one, LabelmeshError):
            answers[place] = one
        else:
            open_inputs[place] = one
    give_up = time.monotonic() + patience_s
    while open_inputs:
        request = predictions_pb2.PredictBatchRequest(
            model=question.choice(), inputs=list(open_inputs.values()), settings=question.settings()
        )
        wait = 0.0
        try:
            items = services.predictions.PredictBatch(request).items
        except ResourceExhausted as error:
            if not _is_worth_waiting(error, give_up):
                raise
            wait = error.retry_after or 0.0
        else:
            for place, item in zip(list(open_inputs), items, strict=True):
                answer = answer_of(item)
                if isinstance(answer, LabelmeshError) and _is_worth_waiting(answer, give_up):
                    wait = max(wait, answer.retry_after or 0.0)
                else:
                    answers[place] = answer
                    del open_inputs[place]
        if open_inputs:
            services.connection.pause(max(wait, _BUSY_PAUSE_S) * random.uniform(1.0, 1.5))
    return [answers[place] for place in range(len(part))]


def _is_worth_waiting(error: LabelmeshError, give_up: float) -> bool:
    if not isinstance(error, ResourceExhausted) or error.retry_after is None:
        return False
    return time.monotonic() + max(error.retry_after, _BUSY_PAUSE_S) < give_up


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
