"""AugmentationService: each method reads the request, calls one domain function and builds the reply."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from labelmesh.augment.v1 import augmentations_pb2 as aug
from labelmesh.augment.v1 import augmentations_pb2_grpc
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.identity import identity_of
from labelmesh_chassis.streams import LONGEST_S, stream_end

from labelmesh_augment.access import Caller
from labelmesh_augment.augmenting import wire
from labelmesh_augment.augmenting.asking import Asking, Call, Choice, Drawn
from labelmesh_augment.augmenting.streaming import Item, Stream, Streams

_PREVIEWS = 8
_MAX_SIDE = 384


def call_of(asking: Asking, context: grpc.ServicerContext) -> Call:
    """The call being served; what it has waiting is dropped when its caller goes."""
    left = time_left()
    call = asking.call(Caller.of(identity_of(context)), LONGEST_S if left is None else left)
    if not context.add_callback(call.ticket.cancel):
        call.ticket.cancel()
    return call


class AugmentationServicer(augmentations_pb2_grpc.AugmentationServiceServicer):
    """Pictures in, pictures out."""

    def __init__(self, asking: Asking, streams: Streams) -> None:
        self._asking = asking
        self._streams = streams

    def Preview(self, request: aug.PreviewRequest, context: grpc.ServicerContext) -> aug.PreviewResponse:
        how, call = wire.how_of(request), call_of(self._asking, context)
        inline = self._asking.pipeline(how) if how is not None and not isinstance(how, Drawn) else None
        warnings = self._asking.warnings(inline.pipeline, len(request.further)) if inline is not None else ()
        choice = Choice(request.seed, request.first_copy, request.count or _PREVIEWS, request.max_side or _MAX_SIDE)
        answered = self._asking.previews(call, inline, wire.wanted_of(request.sample, request.further), choice)
        return wire.preview_response(answered, warnings)

    def Apply(self, request: aug.ApplyRequest, context: grpc.ServicerContext) -> aug.ApplyResponse:
        how, call = wire.how_of(request), call_of(self._asking, context)
        if how is None:
            raise InvalidArgument("PIPELINE_MISSING", "a pipeline, a saved one or a recipe is needed", field="pipeline")
        wanted = wire.wanted_of(request.sample, request.further)
        return wire.apply_response(self._asking.apply(call, how, wanted, Choice(request.seed, request.copy)))

    def ApplyStream(
        self, request_iterator: Iterator[aug.ApplyStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[aug.ApplyStreamResponse]:
        identity = identity_of(context)
        first = next(request_iterator, None)
        if first is None:
            return
        how = wire.how_of(first)
        if how is None or isinstance(how, Drawn):
            raise InvalidArgument("PIPELINE_MISSING", "the first message names the pipeline", field="pipeline")
        ends = stream_end(identity.expires_at, time_left())
        stream = Stream(call_of(self._asking, context), self._asking.pipeline(how), first.seed, ends)

        def messages() -> Iterator[list[Item]]:
            yield list(wire.items_of(first))
            for message in request_iterator:
                yield list(wire.items_of(message))

        for results in self._streams.run(stream, messages()):
            yield wire.stream_response(results)
