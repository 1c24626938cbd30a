"""The part of augmentation that the client speaks to, in memory: what it answers depends on what it is sent alone."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh.augment.v1 import pipelines_pb2 as pipes

from tests.unit.client.server import Behaviour, ScriptedServer, Serve, refuse


def status_of(code: grpc.StatusCode, message: str, reason: str = "", retry_after_s: float | None = None) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    if reason:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="labelmesh"))
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(retry_after_s * 1e9))
        status.details.add().Pack(retry)
    return status


def media_type_of(content: bytes) -> str:
    for magic, media_type in ((b"\x89PNG", "image/png"), (b"GIF8", "image/gif"), (b"II", "image/tiff"), (b"RIFF", "image/webp")):
        if content.startswith(magic):
            return media_type
    return "image/jpeg"


class Augmenter:
    """Answers with the content, the seed, the copy and the further pictures written into the file. Labels move right by the copy's number.

    Pictures with `bad` in them are no images. `breaks` says after how many results each stream breaks off, and how; the last goes on.
    """

    def __init__(self, breaks: tuple[tuple[int, str], ...] = ()) -> None:
        self.breaks = list(breaks)
        self.lock = threading.Lock()
        #: Content and copy of each result that was made.
        self.made: list[tuple[bytes, int]] = []
        self.streams: list[aug.ApplyStreamRequest] = []
        self.saved: dict[str, list[pipes.SavedPipeline]] = {}

    def serve(self, serve: Serve) -> ScriptedServer:
        return serve(self.behaviours())

    def behaviours(self) -> dict[str, Behaviour]:
        return {
            "AugmentationService.ApplyStream": self.stream,
            "AugmentationService.Apply": self.apply,
            "AugmentationService.Preview": self.preview,
            "PipelineService.ListTransforms": self.transforms,
            "PipelineService.ValidatePipeline": self.validate,
            "PipelineService.SavePipeline": self.save,
            "PipelineService.ListPipelines": self.list,
            "PipelineService.GetPipeline": self.get,
            "PipelineService.DeletePipeline": self.delete,
        }

    # --- augmenting ---

    def result(self, sample: aug.Sample, how: Any, seed: int, copy: int, further: Any = ()) -> aug.Augmented | status_pb2.Status:
        content = sample.source.image or sample.source.url.encode()
        for place, one in enumerate([sample, *further]):
            if b"deadly" in one.source.image:
                return status_of(grpc.StatusCode.UNAVAILABLE, "Workers died over this.", "WORKER_LOST", 1)
            if b"bad" in one.source.image:
                status = status_of(grpc.StatusCode.INVALID_ARGUMENT, "it is no image", "NOT_AN_IMAGE")
                bad = error_details_pb2.BadRequest()
                bad.field_violations.add(field="sample.source" if place == 0 else f"further[{place - 1}].source", description="no image")
                status.details.add().Pack(bad)
                return status
        with self.lock:
            self.made.append((content, copy))
        others = b"".join(b"+" + one.source.image for one in further)
        made = aug.Augmented(
            image=content + b"|%d|%d" % (seed, copy) + others,
            media_type="image/jpeg" if how.output.format == pipes.FORMAT_JPEG else media_type_of(content),
            width=100,
            height=80,
            frames=1,
            labels=sample.labels,
            input_sha256=hashlib.sha256(content).hexdigest(),
            seed=seed,
            copy=copy,
        )
        for box in made.labels.boxes:
            box.x += copy
            box.visible_share = 1
        for polygon in made.labels.polygons:
            for point in itertools.chain.from_iterable(ring.points for ring in polygon.rings):
                point.x += copy
        for keypoint in made.labels.keypoints:
            keypoint.x += copy
        made.recipe.versions["labelmesh-augment"] = "1"
        step = made.recipe.steps.add(transform="translate", path=[0])
        step.parameters.update({"x": copy / 7})
        return made

    def stream(self, requests: Iterator[aug.ApplyStreamRequest], context: grpc.ServicerContext) -> Iterator[aug.ApplyStreamResponse]:
        with self.lock:
            left, how_it_ends = self.breaks.pop(0) if self.breaks else (10**9, "")
        first = next(requests)
        self.streams.append(first)
        index = 0
        for request in itertools.chain([first], requests):
            for item in request.items:
                for copy in item.copies or [0]:
                    if left == 0 and how_it_ends == "busy":
                        busy = status_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "No free place.", "WORKERS_BUSY", 0.01)
                        yield aug.ApplyStreamResponse(results=[aug.StreamResult(index=index, copy=copy, error=busy)])
                        continue
                    if left == 0 and how_it_ends == "stopping":
                        stopping = status_of(grpc.StatusCode.UNAVAILABLE, "It ends.", "WORKERS_STOPPED", 0.01)
                        yield aug.ApplyStreamResponse(results=[aug.StreamResult(index=index, copy=copy, error=stopping)])
                        continue
                    if left == 0 and how_it_ends == "fatal":
                        refuse(context, grpc.StatusCode.PERMISSION_DENIED, "Not any more.", reason="SCOPE_MISSING")
                    if left == 0:
                        refuse(context, grpc.StatusCode.UNAVAILABLE, "Again.", reason=how_it_ends)
                    left -= 1
                    made = self.result(item.sample, first.pipeline, first.seed, copy, item.further)
                    result = aug.StreamResult(index=index, copy=copy)
                    if isinstance(made, status_pb2.Status):
                        result.error.CopyFrom(made)
                    else:
                        result.augmented.CopyFrom(made)
                    yield aug.ApplyStreamResponse(results=[result])
                index += 1

    def apply(self, request: aug.ApplyRequest, context: grpc.ServicerContext) -> Any:
        how = request.recipe if request.HasField("recipe") else request.pipeline
        made = self.result(request.sample, how, request.seed, request.copy, request.further)
        if isinstance(made, status_pb2.Status):
            return refuse(context, grpc.StatusCode.INVALID_ARGUMENT, made.message, reason="NOT_AN_IMAGE")
        if request.HasField("recipe"):
            made.recipe.CopyFrom(request.recipe)
        return aug.ApplyResponse(augmented=made)

    def preview(self, request: aug.PreviewRequest, context: grpc.ServicerContext) -> Any:
        reply = aug.PreviewResponse(input_sha256="ab" * 32)
        for copy in range(-1, request.count or 8):
            made = self.result(request.sample, request.pipeline, request.seed, max(copy, 0))
            if isinstance(made, status_pb2.Status):
                return refuse(context, grpc.StatusCode.INVALID_ARGUMENT, made.message, reason="NOT_AN_IMAGE")
            one = reply.original if copy < 0 else reply.previews.add()
            one.MergeFrom(
                aug.Preview(
                    image=made.image,
                    media_type=made.media_type,
                    width=50,
                    height=40,
                    full_width=100,
                    full_height=80,
                    labels=made.labels,
                    recipe=made.recipe,
                    copy=max(copy, 0),
                )
            )
        reply.warnings.add(field="steps", description="there is but one step", warning=True)
        return reply

    # --- pipelines ---

    def transforms(self, _: object, __: grpc.ServicerContext) -> pipes.ListTransformsResponse:
        reply = pipes.ListTransformsResponse()
        rotate = reply.transforms.add(name="rotate", title="Rotate", family=pipes.FAMILY_GEOMETRY, summary="Turns the picture.")
        rotate.labels_summary = "They follow."
        angle = rotate.parameters.add(
            name="angle", title="Angle", summary="How far.", kind=pipes.PARAMETER_KIND_NUMBER, ranged=True, unit="°"
        )
        angle.minimum, angle.maximum = -180, 180
        angle.default_value.list_value.extend([-15, 15])
        reply.transforms.add(name="mosaic", title="Mosaic", family=pipes.FAMILY_MIXING, summary="Four in one.", further_pictures=3)
        reply.transforms.add(name="one_of", title="One of", family=pipes.FAMILY_COMPOSITION, summary="Does one.", holds_steps=True)
        return reply

    def validate(self, request: pipes.ValidatePipelineRequest, _: grpc.ServicerContext) -> pipes.ValidatePipelineResponse:
        reply = pipes.ValidatePipelineResponse(valid=True, pipeline=request.pipeline)
        for place, step in enumerate(request.pipeline.steps):
            if step.transform not in ("rotate", "mosaic", "one_of", "horizontal_flip"):
                reply.valid = False
                reply.findings.add(field=f"steps[{place}].transform", description=f"there is no transform “{step.transform}”")
        if not reply.valid:
            reply.ClearField("pipeline")
        return reply

    def save(self, request: pipes.SavePipelineRequest, _: grpc.ServicerContext) -> pipes.SavePipelineResponse:
        versions = self.saved.setdefault(request.name, [])
        one = pipes.SavedPipeline(project_id=request.project_id, name=request.name, version=len(versions) + 1, note=request.note)
        one.pipeline.CopyFrom(request.pipeline)
        versions.append(one)
        return pipes.SavePipelineResponse(pipeline=one)

    def list(self, request: pipes.ListPipelinesRequest, _: grpc.ServicerContext) -> pipes.ListPipelinesResponse:
        if request.name:
            return pipes.ListPipelinesResponse(pipelines=reversed(self.saved.get(request.name, [])))
        return pipes.ListPipelinesResponse(pipelines=[versions[-1] for _, versions in sorted(self.saved.items())])

    def get(self, request: pipes.GetPipelineRequest, context: grpc.ServicerContext) -> Any:
        versions = self.saved.get(request.name, [])
        if not versions or request.version > len(versions):
            return refuse(context, grpc.StatusCode.NOT_FOUND, "There is no such pipeline.", reason="PIPELINE_NOT_FOUND")
        return pipes.GetPipelineResponse(pipeline=versions[request.version - 1])

    def delete(self, request: pipes.DeletePipelineRequest, _: grpc.ServicerContext) -> pipes.DeletePipelineResponse:
        self.saved.pop(request.name, None)
        return pipes.DeletePipelineResponse()
