"""The contract's messages about predictions to values and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.errors import InvalidArgument, MeshError, to_status

from labelmesh_inference.predictions.asking import Limits
from labelmesh_inference.predictions.inputs import ObjectAddress, ProjectImage, Source, WebAddress, size_of
from labelmesh_inference.predictions.predicting import Choice, Group, Storage, Wish
from labelmesh_inference.predictions.results import Result
from labelmesh_inference.predictions.storage import Feedback, Origin, Prediction
from labelmesh_inference.serving.values import Tensor
from labelmesh_inference.wire import result_message, tensor_of

_MOST_INPUT_BYTES = 24 * 1024 * 1024


def source_of(message: pre.Input) -> Source:
    """What a request points at."""
    kind = message.WhichOneof("input")
    if kind == "tensor":
        return tensor_of(message.tensor)
    if kind == "image":
        return message.image
    if kind == "project_image":
        return ProjectImage(UUID(message.project_image.project_id), UUID(message.project_image.image_id))
    if kind == "object_url":
        return ObjectAddress(_plain(message.object_url, "input.object_url"))
    return WebAddress(_plain(message.url, "input.url"))


def sources_of(messages: Iterable[pre.Input]) -> list[Source]:
    """The inputs of a batch; InvalidArgument (TOO_LARGE) where files and tensors have more than 24 MiB together."""
    sources = [source_of(message) for message in messages]
    total = sum(size_of(source) for source in sources if isinstance(source, bytes | Tensor))
    if total > _MOST_INPUT_BYTES:
        raise InvalidArgument("TOO_LARGE", "the inputs have more than 24 MiB together; send them in several calls", field="inputs")
    return sources


def choice_of(message: pre.ModelChoice) -> Choice:
    """The model that a request names."""
    return Choice(message.model, message.alias, message.version, message.sticky_key)


def wish_of(message: pre.AnswerSettings) -> Wish:
    """How a request wants to be answered."""
    threshold = message.threshold if message.HasField("threshold") else None
    return Wish(Limits(message.top_k, threshold), Storage(message.storage))


def fingerprint(request: Message) -> str:
    """The same for the same request."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def encoded(result: Result) -> bytes:
    """A result as it is stored and sent."""
    return result_message(result).SerializeToString()


def prediction_message(origin: Origin, prediction: Prediction, picture_url: str = "") -> pre.Prediction:
    """A prediction as clients get it."""
    message = pre.Prediction()
    _fill(message, _common(origin), prediction)
    message.picture_url = picture_url
    return message


def item_messages(group: Group) -> list[pre.BatchItem]:
    """What became of each input of a group."""
    common = _common(group.origin)
    messages = []
    for outcome in group.outcomes:
        message = pre.BatchItem()
        if isinstance(outcome, MeshError):
            message.error.CopyFrom(status_message(outcome))
        else:
            _fill(message.prediction, common, outcome)
        messages.append(message)
    return messages


def _common(origin: Origin) -> bytes:
    """What the predictions of one call have in common, serialized: made once, and cheaper to read than to set."""
    message = pre.Prediction(
        model=origin.model, alias=origin.alias, caller_id=str(origin.caller_id), create_time=_timestamp(origin.created_at)
    )
    return message.SerializeToString()


def _fill(message: pre.Prediction, common: bytes, prediction: Prediction) -> None:
    message.MergeFromString(common)
    message.id = prediction.id
    message.version = prediction.version
    message.input_sha256 = prediction.sha256.hex()
    message.batch_size = prediction.batch_size
    message.result.MergeFromString(prediction.result)
    timing, message_timing = prediction.timing, message.timing
    if timing.fetch_s:
        _set(message_timing.fetch, timing.fetch_s)
    _set(message_timing.preparation, timing.preparation_s)
    _set(message_timing.waiting, timing.waiting_s)
    _set(message_timing.model, timing.model_s)
    _set(message_timing.total, timing.total_s)
    if prediction.media_type:
        message.media_type = prediction.media_type
        message.width, message.height = prediction.width, prediction.height
    if prediction.source_url:
        message.source_url = prediction.source_url
    image = prediction.project_image
    if image is not None:
        message.project_image.project_id, message.project_image.image_id = str(image.project_id), str(image.image_id)
    if prediction.feedback is not None:
        message.feedback.CopyFrom(feedback_message(prediction.feedback))


def status_message(failure: MeshError) -> status_pb2.Status:
    """Why one input failed, with the details that an error of Predict has."""
    return to_status(failure)


def feedback_message(feedback: Feedback) -> pre.PredictionFeedback:
    """What somebody said of a prediction."""
    return pre.PredictionFeedback(
        correct=feedback.correct, label=feedback.label, author_id=str(feedback.author_id), create_time=_timestamp(feedback.created_at)
    )


def plain(value: str, field: str) -> str:
    """The text; InvalidArgument when it holds U+0000, which no database of ours can keep."""
    return _plain(value, field)


def _plain(value: str, field: str) -> str:
    if "\0" in value:
        raise InvalidArgument("TEXT_INVALID", "the text holds the character U+0000", field=field)
    return value


def _set(message: Duration, seconds: float) -> None:
    """Whole microseconds, as they are stored: asked for again, an answer is the same."""
    microseconds = round(seconds * 1e6)
    if microseconds >= 1_000_000:
        message.seconds, microseconds = divmod(microseconds, 1_000_000)
    # Set also where it is nothing, so that it is there.
    message.nanos = microseconds * 1000


def _timestamp(value: datetime) -> Timestamp:
    return Timestamp(seconds=int(value.timestamp()), nanos=value.microsecond * 1000)
