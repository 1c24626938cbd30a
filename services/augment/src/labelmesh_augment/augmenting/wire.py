"""Questions of callers as values, and workers' answers as messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, to_status

from labelmesh_augment.augmenting.asking import Answered, Drawn, How, Inline, Reference, Timing, Wanted
from labelmesh_augment.augmenting.sources import ObjectAddress, ProjectImage, Source, WebAddress
from labelmesh_augment.augmenting.streaming import Failed, Item, Result
from labelmesh_augment.pipelines.pipeline import Finding
from labelmesh_augment.pipelines.wire import findings_messages, pipeline_of, recipe_of

# A channel takes 32 MiB.
_MAX_ANSWER_BYTES = 30 * 1024 * 1024
# The tag of a message in field 1: of `augmented`, `results` and the like.
_FIELD_1 = b"\x0a"


def how_of(request: aug.ApplyRequest | aug.PreviewRequest | aug.ApplyStreamRequest) -> How | None:
    """How pictures are to be augmented; None where nothing is said."""
    match request.WhichOneof("how"):
        case "pipeline":
            return Inline(pipeline_of(request.pipeline), request.pipeline.SerializeToString())
        case "saved":
            return Reference(UUID(request.saved.project_id), request.saved.name, request.saved.version)
        case "recipe" if isinstance(request, aug.ApplyRequest):
            return Drawn(recipe_of(request.recipe), request.recipe.SerializeToString())
        case _:
            return None


def wanted_of(sample: aug.Sample, further: Iterable[aug.Sample]) -> tuple[Wanted, ...]:
    """The picture and further ones."""
    return tuple([_wanted_of(one) for one in (sample, *further)])


def items_of(request: aug.ApplyStreamRequest) -> Sequence[Item]:
    """What one message of a stream asks for."""
    return [Item(wanted_of(item.sample, item.further), tuple(item.copies) or (0,)) for item in request.items]


def apply_response(answered: Answered) -> aug.ApplyResponse:
    """One result."""
    response = aug.ApplyResponse.FromString(_FIELD_1 + _sized(answered.results[0]))
    _set_timing(response.timing, answered.timing)
    return response


def preview_response(answered: Answered, warnings: Sequence[Finding]) -> aug.PreviewResponse:
    """Small pictures. FailedPrecondition (RESULT_TOO_LARGE) where they are too many for one answer, with their masks."""
    if sum(map(len, answered.results)) > _MAX_ANSWER_BYTES:
        raise FailedPrecondition("RESULT_TOO_LARGE", "the previews and their masks are too large for one answer; ask for fewer at once")
    original, *previews = map(aug.Preview.FromString, answered.results)
    response = aug.PreviewResponse(original=original, previews=previews, warnings=findings_messages(warnings))
    response.input_sha256 = hashlib.sha256(answered.content).hexdigest()
    _set_timing(response.timing, answered.timing)
    return response


def stream_response(results: Sequence[Result]) -> aug.ApplyStreamResponse:
    """Results in their order."""
    return aug.ApplyStreamResponse.FromString(b"".join([_FIELD_1 + _sized(_result(result)) for result in results]))


def _result(result: Result) -> bytes:
    if isinstance(result, Failed):
        return aug.StreamResult(index=result.index, copy=result.copy, error=to_status(result.problem)).SerializeToString()
    return result


def _sized(message: bytes) -> bytes:
    """A message as a field's value: its length as a varint, then its bytes."""
    length, head = len(message), bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + message


def _wanted_of(sample: aug.Sample) -> Wanted:
    return Wanted(_source_of(sample.source), sample.labels.SerializeToString() if sample.HasField("labels") else b"")


def _source_of(source: aug.Source) -> Source:
    match source.WhichOneof("source"):
        case "image":
            return source.image
        case "project_image":
            return ProjectImage(UUID(source.project_image.project_id), UUID(source.project_image.image_id))
        case "object_url":
            return ObjectAddress(source.object_url)
        case "url":
            return WebAddress(source.url)
        case _:
            raise InvalidArgument("SOURCE_MISSING", "a sample needs a source", field="sample.source")


def _set_timing(message: aug.Timing, timing: Timing) -> None:
    _set(message.fetch, timing.fetch_s)
    _set(message.waiting, timing.waiting_s)
    _set(message.work, timing.work_s)


def _set(message: Duration, seconds: float) -> None:
    message.FromMicroseconds(round(max(0.0, seconds) * 1e6))
