"""PredictionService: each method reads the request, calls one domain function and builds the reply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import grpc
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh.inference.v1 import predictions_pb2_grpc
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.identity import identity_of
from labelmesh_chassis.streams import stream_end

from labelmesh_inference.access import Caller
from labelmesh_inference.predictions import wire
from labelmesh_inference.predictions.inputs import Objects
from labelmesh_inference.predictions.pictures import object_key
from labelmesh_inference.predictions.predicting import Group, Predicting
from labelmesh_inference.predictions.storage import PredictionStore, Stored
from labelmesh_inference.predictions.streaming import Pipelines


@dataclass(frozen=True)
class PredictionParts:
    """What the servicer of predictions works with; shared by all calls."""

    predicting: Predicting
    store: PredictionStore
    objects: Objects
    pipelines: Pipelines


def _caller(context: grpc.ServicerContext) -> Caller:
    return Caller.of(identity_of(context))


class PredictionServicer(predictions_pb2_grpc.PredictionServiceServicer):
    """Asking models, and what they said."""

    def __init__(self, parts: PredictionParts) -> None:
        self._parts = parts

    def Predict(self, request: pre.PredictRequest, context: grpc.ServicerContext) -> pre.PredictResponse:
        source, wish, request_id, fingerprint = wire.source_of(request.input), wire.wish_of(request.settings), None, ""
        if request.request_id:
            request_id, fingerprint = UUID(request.request_id), wire.fingerprint(request)
        stored = self._parts.predicting.one(_caller(context), wire.choice_of(request.model), source, wish, request_id, fingerprint)
        return pre.PredictResponse(prediction=wire.prediction_message(*stored))

    def PredictBatch(self, request: pre.PredictBatchRequest, context: grpc.ServicerContext) -> pre.PredictBatchResponse:
        caller, predicting = _caller(context), self._parts.predicting
        target = predicting.target(caller, wire.choice_of(request.model))
        group = predicting.many(caller, target, wire.sources_of(request.inputs), wire.wish_of(request.settings))
        return pre.PredictBatchResponse(items=wire.item_messages(group))

    def PredictStream(
        self, request_iterator: Iterator[pre.PredictStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pre.PredictStreamResponse]:
        identity, predicting = identity_of(context), self._parts.predicting
        caller, ends = Caller.of(identity), stream_end(identity.expires_at, time_left())
        first = next(request_iterator, None)
        if first is None:
            return
        if not first.HasField("model"):
            raise InvalidArgument("MODEL_MISSING", "the first message names the model", field="model")
        choice, wish = wire.choice_of(first.model), wire.wish_of(first.settings)

        def answer(message: pre.PredictStreamRequest) -> tuple[int, list[pre.BatchItem]]:
            sources = wire.sources_of(message.inputs)
            group = predicting.many(caller, predicting.target(caller, choice), sources, wish, patient=True) if sources else None
            return len(sources), wire.item_messages(group) if isinstance(group, Group) else []

        predicting.target(caller, choice)
        index = 0
        for count, items in self._parts.pipelines.run(first, request_iterator, answer, ends):
            if count:
                yield pre.PredictStreamResponse(first_index=index, items=items)
            index += count

    def GetPrediction(self, request: pre.GetPredictionRequest, context: grpc.ServicerContext) -> pre.GetPredictionResponse:
        return pre.GetPredictionResponse(prediction=self._shown(self._parts.store.find(_caller(context), UUID(request.prediction_id))))

    def ListPredictions(self, request: pre.ListPredictionsRequest, context: grpc.ServicerContext) -> pre.ListPredictionsResponse:
        model = wire.plain(request.model, "model")
        page = self._parts.store.list(
            _caller(context), request.page_size, request.page_token, model=model, version=request.version, wrong=request.wrong
        )
        return pre.ListPredictionsResponse(predictions=map(self._shown, page.items), next_page_token=page.next_token)

    def Feedback(self, request: pre.FeedbackRequest, context: grpc.ServicerContext) -> pre.FeedbackResponse:
        label = wire.plain(request.label, "label")
        feedback = self._parts.store.judge(_caller(context), UUID(request.prediction_id), correct=request.correct, label=label)
        return pre.FeedbackResponse(feedback=wire.feedback_message(feedback))

    def _shown(self, stored: Stored) -> pre.Prediction:
        origin, prediction = stored
        address = ""
        if prediction.has_picture:
            address = self._parts.objects.presign_get(object_key(prediction.sha256.hex(), prediction.media_type))
        return wire.prediction_message(origin, prediction, address)
