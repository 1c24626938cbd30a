"""Predictions that flow into labeling: suggestions beside the images, and an order of the queue by the model's doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labelmesh.inference.v1 import scoring_pb2

from labelmesh_client.predictions import Question
from labelmesh_client.services import Services
from labelmesh_client.streams import resumed


@dataclass(frozen=True)
class ScoringProgress:
    """How far a scoring is.

    `scored` images since the beginning, `failed` that could not be, `unknown_class` whose best class the project does not have;
    `awaiting` labels as of now; `mean_doubt` 0 to 1; the model and version that answered last.
    """

    scored: int
    failed: int
    unknown_class: int
    awaiting: int
    mean_doubt: float
    done: bool
    model: str
    version: int

    @staticmethod
    def from_wire(message: scoring_pb2.ScoreProjectResponse) -> ScoringProgress:
        return ScoringProgress(
            scored=message.scored_count,
            failed=message.failed_count,
            unknown_class=message.unknown_class_count,
            awaiting=message.awaiting_count,
            mean_doubt=message.mean_doubt,
            done=message.done,
            model=message.model,
            version=message.version,
        )


def score_project(
    services: Services,
    project_id: str,
    question: Question,
    revive: Callable[[], object],
    *,
    suggest: bool,
    order: bool,
    patience_s: float = 60.0,
) -> Iterator[ScoringProgress]:
    """Asks a classifier about every image that awaits labels, and writes what was asked for into labeling; how far it is, again and again.

    Stopped early, what was written stays. Broken streams are taken up again where they ended. Raises FailedPrecondition
    (NOT_A_CLASSIFIER, NO_CLASS_IN_COMMON) for a model that does not fit the project.
    """
    cursor = ""

    def ask() -> Iterator[scoring_pb2.ScoreProjectResponse]:
        request = scoring_pb2.ScoreProjectRequest(
            project_id=project_id, model=question.choice(), suggest=suggest, order=order, cursor=cursor
        )
        return iter(services.scoring.ScoreProject(request))

    for message in resumed(services.connection, ask, revive, patience_s=patience_s):
        cursor = message.cursor
        yield ScoringProgress.from_wire(message)
        if message.done:
            return
