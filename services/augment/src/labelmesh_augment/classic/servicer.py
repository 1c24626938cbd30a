"""ClassicService: an address in, a page or a picture out."""

from __future__ import annotations

import secrets

import grpc
from google.api.httpbody_pb2 import HttpBody
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh.augment.v1 import classic_pb2, classic_pb2_grpc
from labelmesh_chassis.errors import InvalidArgument, MeshError

from labelmesh_augment.augmenting.asking import Asking, Choice, Inline, Wanted
from labelmesh_augment.augmenting.servicer import call_of
from labelmesh_augment.augmenting.sources import WebAddress
from labelmesh_augment.classic.page import Outcome, Shown, error_page, result_page
from labelmesh_augment.classic.typical import TYPICAL
from labelmesh_augment.classic.words import told
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_augment.pipelines.wire import recipe_of, stored

# The HTTP status of a page, for the gateway.
STATUS_HEADER = "x-labelmesh-status"
_HTML = "text/html; charset=utf-8"
_SIDE = 720
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class ClassicServicer(classic_pb2_grpc.ClassicServiceServicer):
    """One pipeline for everybody."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        pipeline = normalised(TYPICAL)
        self._how = Inline(pipeline, stored(pipeline))

    def ClassicAugment(self, request: classic_pb2.ClassicAugmentRequest, context: grpc.ServicerContext) -> HttpBody:
        seed = request.seed if request.HasField("seed") else secrets.randbits(32)
        if request.format == "image":
            return self._picture(request.url, seed, context)
        try:
            return _page(self._shown(request, seed, context))
        except MeshError as problem:
            status = _STATUSES.get(problem.code, 500)
            context.send_initial_metadata(((STATUS_HEADER, str(status)),))
            return _page(error_page(request.url, status, problem.reason, problem.message, problem.retry_after))

    def _picture(self, url: str, seed: int, context: grpc.ServicerContext) -> HttpBody:
        answered = self._asking.apply(call_of(self._asking, context), self._how, _wanted(url), Choice(seed))
        augmented = aug.Augmented.FromString(answered.results[0])
        return HttpBody(content_type=augmented.media_type, data=augmented.image)

    def _shown(self, request: classic_pb2.ClassicAugmentRequest, seed: int, context: grpc.ServicerContext) -> str:
        if request.format not in ("", "page"):
            raise InvalidArgument("FORMAT_UNKNOWN", 'the format can be "page", which it also is when left out, or "image"', field="format")
        choice = Choice(seed, max_side=_SIDE)
        answered = self._asking.previews(call_of(self._asking, context), self._how, _wanted(request.url), choice)
        before, after = map(aug.Preview.FromString, answered.results)
        steps = told(recipe_of(after.recipe))
        return result_page(Outcome(request.url, seed, secrets.randbits(32), _small(before), _small(after), steps))


def _wanted(url: str) -> tuple[Wanted, ...]:
    if not url.strip():
        raise InvalidArgument("URL_MISSING", "give the address of an image, e.g. https://example.org/cat.jpg", field="url")
    return (Wanted(WebAddress(url.strip())),)


def _small(preview: aug.Preview) -> Shown:
    return Shown(preview.image, preview.media_type, preview.width, preview.height, preview.full_width, preview.full_height)


def _page(html: str) -> HttpBody:
    return HttpBody(content_type=_HTML, data=html.encode())
