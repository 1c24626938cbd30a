"""One training of digits from its start in the mesh to a version that is served, or to nothing at all."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from labelmesh_client import Client, LabelmeshError, NotFound, Project, SourceError
from labelmesh_client.models import Model
from labelmesh_client.repository import ModelRepository
from labelmesh_client.trainings import RunningTraining, TrainingProgress

from labelmesh_training.comparison import STABLE, Comparison, Promote, ask_version, is_promoted
from labelmesh_training.display import Display
from labelmesh_training.evaluation import Evaluation, evaluate
from labelmesh_training.examples import (
    ENOUGH_LABELS,
    ENOUGH_PER_CLASS,
    NEEDED_LABELS,
    NEEDED_PER_CLASS,
    Division,
    Example,
    divide,
    has,
)
from labelmesh_training.keeping import Keeper, TrainingLost
from labelmesh_training.labels import MOST_LABELS, MeshLabels, read_labels
from labelmesh_training.manifests import digits_manifest
from labelmesh_training.preparation import SIDE
from labelmesh_training.publishing import Publication, problem_of, publish
from labelmesh_training.reference import bundled_digits, mnist_digits
from labelmesh_training.stopping import Stop
from labelmesh_training.strokes import drawn_digits
from labelmesh_training.values import Pictures
from labelmesh_training.warm_up import warm_up_record

if TYPE_CHECKING:
    from labelmesh_training.network import DigitNetwork, Epoch

#: Digits drawn by rule that are learned from beside reference digits.
_DRAWN = 1000
#: Pictures in an epoch: few labels are seen several times, each time otherwise; many are not all seen in each.
_LEAST_DRAWS, _MOST_DRAWS = 8000, 40_000
#: Batches of the warm-up calls: one picture, and what the service packs together.
_WARM_UP_BATCHES = (1, 32)
_CHECKED_IMAGES = 16
#: Shares of the whole, for the bar: they end there.
_READ, _TRAINED, _EVALUATED, _WRITTEN = 0.08, 0.85, 0.9, 0.95
_WORKPLACE = ".training-"


@dataclass(frozen=True)
class Plan:
    """What is to be trained. `reference` None: where the mesh has few labels; `mnist` is a folder with MNIST's IDX files."""

    model: str
    reference: bool | None
    mnist: Path | None
    epochs: int
    promote: Promote
    seed: int


@dataclass(frozen=True)
class Trained:
    """A version that was made and is served. `stable` is how the version that was stable until now did on the same pictures."""

    model: str
    version: int
    evaluation: Evaluation
    division: Division
    labels: MeshLabels
    stable: Comparison | None
    promoted: bool
    seconds: float


class DigitTraining:
    """Trains with a running training of the mesh. Whatever happens, it ends with a version or with none, never with a part of one."""

    def __init__(
        self,
        client: Client,
        repository: ModelRepository,
        project: Project | None,
        plan: Plan,
        display: Display,
        stop: Stop,
    ) -> None:
        self._client = client
        self._repository = repository
        self._project = project
        self._plan = plan
        self._display = display
        self._stop = stop

    def run(self, training: RunningTraining) -> Trained:
        """Raises LabelmeshError; before that, and at Ctrl-C, the mesh is told that the training failed."""
        started = time.monotonic()
        # TensorFlow takes seconds to import, in which labels can be read already.
        pool = ThreadPoolExecutor(1, thread_name_prefix="tensorflow")
        try:
            with Keeper(training, self._display.show, stopped=self._stop.asked) as keeper:
                try:
                    return self._run(training, keeper, pool.submit(_load_tensorflow), started)
                except TrainingLost:
                    raise  # The mesh knows, and hears nothing from us any more.
                except BaseException as error:
                    # While it is kept alive still, and without waiting for anything.
                    with suppress(LabelmeshError):
                        training.fail(problem_of(error))
                    raise
        finally:
            pool.shutdown(wait=False)

    def _run(self, training: RunningTraining, keeper: Keeper, loading: Future[None], started: float) -> Trained:
        labels = self._read(keeper)
        division = self._divide(labels)
        loading.result()
        with self._stop.deferred():
            network = self._learn(division, keeper)
            keeper.say(TrainingProgress("evaluating", done=_TRAINED))
            held_out = division.held_out_pictures
            probabilities = network.probabilities(held_out.images)
        evaluation = evaluate(probabilities, held_out.labels)
        model = self._model()
        stable = self._compare(model, division, keeper)
        promoted = is_promoted(self._plan.promote, evaluation.accuracy, stable, has_stable=_stable_version(model) > 0)
        keeper.say(TrainingProgress(f"writing version {training.version}", done=_EVALUATED))
        metrics = evaluation.metrics() | division.metrics() | {"ties": float(labels.ties), "epochs": float(self._plan.epochs)}
        if stable is not None:
            metrics["stable_accuracy"] = stable.accuracy
        with self._workplace() as folder:
            with self._stop.deferred():
                self._write(network, folder, held_out, probabilities)
            keeper.confirm()
            publication = Publication(
                digits_manifest(self._plan.model),
                metrics,
                (STABLE,) if promoted else (),
                model.needed_versions if model is not None else (),
            )
            saying = TrainingProgress("waiting for the model server", done=_WRITTEN)
            publish(self._client.trainings, self._repository, training, folder, publication, lambda: keeper.say(saying))
        return Trained(
            self._plan.model, training.version, evaluation, division, labels, stable, promoted or model is None, time.monotonic() - started
        )

    # --- data ---

    def _read(self, keeper: Keeper) -> MeshLabels:
        if self._project is None:
            return MeshLabels()
        keeper.say(TrainingProgress("reading labels"))
        total = max(1, self._project.facts.images_count)
        labels = read_labels(self._project, lambda count: keeper.note(_READ * min(1.0, count / total)))
        for note in _remarks(labels):
            self._display.note(note)
        return labels

    def _divide(self, labels: MeshLabels) -> Division:
        reference, drawn = self._reference(labels), Pictures.none(SIDE)
        if reference:
            drawn = drawn_digits(_DRAWN, np.random.default_rng(self._plan.seed))
        return divide(labels.examples, reference, drawn)

    def _reference(self, labels: MeshLabels) -> list[Example]:
        wanted = self._plan.reference
        where = f"“{self._project.display_name}”" if self._project is not None else "the mesh"
        if wanted is False:
            if not has(labels.examples, NEEDED_LABELS, NEEDED_PER_CLASS):
                raise SourceError(
                    f"{len(labels.examples):,} labeled digits in {where} are too few to learn from: {NEEDED_LABELS} are needed, and "
                    f"{NEEDED_PER_CLASS} of each digit. Label more in the browser, or leave out --no-reference: then handwritten digits "
                    "that come with their labels are learned from too.",
                    reason="TOO_FEW_LABELS",
                )
            return []
        if wanted is None and self._plan.mnist is None:
            if has(labels.examples, ENOUGH_LABELS, ENOUGH_PER_CLASS):
                return []
            self._display.note(
                f"{len(labels.examples):,} labeled digits in {where}: with fewer than {ENOUGH_LABELS:,}, or {ENOUGH_PER_CLASS} of a digit, "
                "reference digits are learned from too (--no-reference leaves them out)"
            )
        found = list(bundled_digits())
        if self._plan.mnist is not None:
            found += mnist_digits(self._plan.mnist)
        return found

    # --- learning ---

    def _learn(self, division: Division, keeper: Keeper) -> DigitNetwork:
        from labelmesh_training.network import DigitNetwork

        epochs = self._plan.epochs
        draws = min(max(2 * len(division.learned), _LEAST_DRAWS), _MOST_DRAWS)
        images = float(len(division.learned))
        keeper.say(TrainingProgress("training", epochs=epochs, done=_READ, metrics={"images": images}))

        def on_epoch(epoch: Epoch) -> None:
            metrics = {
                "loss": epoch.loss,
                "accuracy": epoch.accuracy,
                "validation_loss": epoch.validation_loss,
                "validation_accuracy": epoch.validation_accuracy,
                "images": images,
            }
            done = _READ + (_TRAINED - _READ) * epoch.number / epochs
            keeper.say(TrainingProgress("training", epoch.number, epochs, done, metrics))

        network = DigitNetwork(self._plan.seed)
        network.train(
            division.learned,
            division.weights,
            division.held_out_pictures,
            epochs=epochs,
            draws=draws,
            on_step=lambda done: keeper.note(_READ + (_TRAINED - _READ) * done),
            on_epoch=on_epoch,
        )
        return network

    # --- comparing ---

    def _model(self) -> Model | None:
        try:
            return self._client.models.get(self._plan.model)
        except NotFound:
            return None

    def _compare(self, model: Model | None, division: Division, keeper: Keeper) -> Comparison | None:
        version = _stable_version(model)
        if not version:
            return None
        keeper.say(TrainingProgress(f"comparing with version {version}", done=_TRAINED))
        project_id = self._project.id if self._project is not None else ""
        try:
            return ask_version(self._client.services, self._plan.model, version, project_id, division.held_out)
        except TrainingLost:
            raise
        except LabelmeshError as error:
            self._display.note(f"version {version}, which is stable, could not be asked: {error}")
            return None

    # --- writing ---

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """An empty folder on the repository's file system, gone afterwards. What killed trainings of this model left there goes too:
        the mesh lets one training of a model run at a time."""
        prefix = f"{_WORKPLACE}{self._plan.model}-"
        for left in self._repository.path.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._repository.path, prefix=prefix))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, network: DigitNetwork, folder: Path, held_out: Pictures, probabilities: Any) -> None:
        from labelmesh_training.version_folder import check_answers, write_extras

        network.save(folder)
        records = (
            warm_up_record(self._plan.model, "serving_default", {"images": np.zeros((count, SIDE, SIDE, 1), np.float32)})
            for count in _WARM_UP_BATCHES
        )
        write_extras(folder, digits_manifest(self._plan.model), records)
        check_answers(folder, held_out.images[:_CHECKED_IMAGES], probabilities[:_CHECKED_IMAGES])


def _load_tensorflow() -> None:
    importlib.import_module("labelmesh_training.network")


def _stable_version(model: Model | None) -> int:
    return model.routing.aliases.get(STABLE, 0) if model is not None else 0


def _remarks(labels: MeshLabels) -> Iterator[str]:
    """What was left out, for people."""
    if labels.ties:
        yield f"{labels.ties:,} pictures left out: the people who labeled them do not agree on one class"
    if labels.other_classes:
        names = ", ".join(name for name, _ in labels.other_classes.most_common(5))
        yield f"{labels.other_classes.total():,} pictures left out: their class is no digit ({names})"
    if labels.unreadable:
        name, problem = labels.unreadable[0]
        yield f"{len(labels.unreadable):,} pictures left out: they could not be read, e.g. {name}: {problem}"
    if labels.cut_off:
        yield f"only the first {MOST_LABELS:,} labeled pictures are used"
