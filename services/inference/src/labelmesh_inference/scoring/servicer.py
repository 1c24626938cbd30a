"""ScoringService: reads the request, scores, and says how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import grpc
from labelmesh.inference.v1 import scoring_pb2, scoring_pb2_grpc
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.identity import identity_of
from labelmesh_chassis.streams import stream_end

from labelmesh_inference.access import Caller
from labelmesh_inference.predictions.wire import choice_of
from labelmesh_inference.scoring.scoring import Order, Progress, Scoring


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """Predictions that flow into labeling."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def ScoreProject(
        self, request: scoring_pb2.ScoreProjectRequest, context: grpc.ServicerContext
    ) -> Iterator[scoring_pb2.ScoreProjectResponse]:
        identity = identity_of(context)
        order = Order(UUID(request.project_id), choice_of(request.model), request.suggest, request.order)
        ends = stream_end(identity.expires_at, time_left())
        for progress in self._scoring.run(Caller.of(identity), order, request.cursor, ends):
            yield _progress_message(progress)


def _progress_message(progress: Progress) -> scoring_pb2.ScoreProjectResponse:
    return scoring_pb2.ScoreProjectResponse(
        scored_count=progress.scored,
        failed_count=progress.failed,
        unknown_class_count=progress.unknown_class,
        awaiting_count=progress.awaiting,
        mean_doubt=progress.mean_doubt,
        cursor=progress.cursor,
        done=progress.done,
        model=progress.model,
        version=progress.version,
    )
