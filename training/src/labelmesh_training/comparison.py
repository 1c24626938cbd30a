"""A new version beside the one that answers now, on the same pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labelmesh_client import LabelmeshError
from labelmesh_client.inputs import ProjectImage
from labelmesh_client.predictions import Answer, Question, Storage, predict_batch
from labelmesh_client.results import Classification
from labelmesh_client.services import Services

from labelmesh_training.examples import Example

#: The alias that callers get who ask for none.
STABLE = "stable"
#: So many pictures in one call: progress is seen, and no call comes near its deadline.
_BATCH = 256


class Promote(StrEnum):
    """When `stable` is to point to a new version: when it is at least as good, always, or never."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class Comparison:
    """How the version behind `stable` did on held-out pictures: its accuracy, 0 to 1, with those it failed at counted as wrong."""

    version: int
    accuracy: float
    failed: int


def ask_version(services: Services, model: str, version: int, project_id: str, examples: Sequence[Example]) -> Comparison:
    """Asks through the mesh, without a trace in the stored predictions. Raises LabelmeshError when the version cannot be asked at all."""
    question = Question(model, version=version, top_k=1, threshold=0.0, storage=Storage.NONE)
    right, failed = 0, 0
    for start in range(0, len(examples), _BATCH):
        part = examples[start : start + _BATCH]
        given = [one.file or ProjectImage(project_id, one.image_id) for one in part]
        for example, label in zip(part, labels_of(predict_batch(services, question, given)), strict=True):
            failed += label is None
            right += label == str(example.label)
    return Comparison(version, right / len(examples), failed)


def labels_of(answers: Iterable[Answer]) -> Iterable[str | None]:
    """The best class of each answer; None where there is none."""
    for answer in answers:
        if isinstance(answer, LabelmeshError) or not isinstance(answer.result, Classification) or answer.result.best is None:
            yield None
        else:
            yield answer.result.best.label


def is_promoted(promote: Promote, accuracy: float, stable: Comparison | None, *, has_stable: bool) -> bool:
    """Whether `stable` is to point to a version of this accuracy. Where the current one could not be asked, it stays."""
    if promote is not Promote.AUTO:
        return promote is Promote.ALWAYS
    if stable is None:
        return not has_stable
    return accuracy >= stable.accuracy
