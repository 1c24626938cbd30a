"""A version that was written gets in front of the model server and into the mesh, or is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labelmesh.inference.v1 import manifests_pb2
from labelmesh_client import Aborted, LabelmeshError
from labelmesh_client.repository import ModelRepository
from labelmesh_client.trainings import LOADING_S, RunningTraining, Trainings, TrainingState

from labelmesh_training.keeping import TrainingLost


@dataclass(frozen=True)
class Publication:
    """What the mesh is told of a version, the aliases it gets, and the versions that must go on being served beside it."""

    manifest: manifests_pb2.ModelManifest
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    keep: tuple[int, ...]


def publish(
    trainings: Trainings,
    repository: ModelRepository,
    training: RunningTraining,
    folder: Path,
    publication: Publication,
    on_published: Callable[[], None],
    *,
    patience_s: float = LOADING_S,
) -> None:
    """Moves the folder into the repository as the training's version, and ends the training once the model server has it.

    When that fails, the version goes again, if it is certain that nobody registered it. What the mesh cannot be asked about stays: it is
    whole, and gets no traffic unless it was registered. Raises TrainingLost and other LabelmeshErrors; the mesh has been told then.
    """
    model, version = publication.manifest.model, training.version
    repository.publish(model, version, folder, publication.keep, move=True)
    try:
        on_published()
        training.finish(publication.manifest, metrics=publication.metrics, aliases=publication.aliases, patience_s=patience_s)
    except BaseException as error:
        if _is_over(trainings, training, error):
            repository.remove(model, version, publication.keep)
        if isinstance(error, Aborted):
            raise TrainingLost from error
        raise


def _is_over(trainings: Trainings, training: RunningTraining, error: BaseException) -> bool:
    """Whether the training ended without a version, which it is made to where it goes on."""
    try:
        if not isinstance(error, Aborted | TrainingLost):
            training.fail(problem_of(error))
        return trainings.get(training.id).state in (TrainingState.FAILED, TrainingState.LOST)
    except LabelmeshError:
        return False


def problem_of(error: BaseException) -> str:
    """What is kept of a training that failed, for people."""
    match error:
        case KeyboardInterrupt():
            return "it was stopped"
        case LabelmeshError():
            return str(error)
    return f"{type(error).__name__}: {error}"
