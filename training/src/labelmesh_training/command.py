"""`labelmesh train digits`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from labelmesh_client import Client, ConfigurationError, FailedPrecondition, LabelmeshError, Project
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument, positive
from labelmesh_client.command.importing import DIGITS_PROJECT
from labelmesh_client.command.progress import duration
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.repository import ModelRepository
from labelmesh_client.trainings import RunningTraining, Training, TrainingState

from labelmesh_training.comparison import Promote
from labelmesh_training.display import Display
from labelmesh_training.examples import ENOUGH_LABELS, Origin
from labelmesh_training.stopping import Stop
from labelmesh_training.training import DigitTraining, Plan, Trained

_EPOCHS = 8
_PATIENCE_S = 20.0
#: How often the training that others ran may get lost before we give up running it ourselves.
_ATTEMPTS = 3


class TrainingFailed(LabelmeshError):
    """A training that was watched did not end with a version."""


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Adds `labelmesh train`."""
    group = add_group(commands, "train", "Train models from what was labeled.")
    parser = add_command(
        group,
        "digits",
        "Train the network that reads handwritten digits, and have the new version served.",
        train_digits,
        more="Learns from what people labeled, measures with pictures that no version has learned from, and points “stable” to the new "
        "version when it is at least as good as the current one. While a training of the model runs, this shows how far it is instead.",
        examples=("labelmesh train digits", "labelmesh train digits --project MNIST --no-reference --promote never"),
    )
    parser.add_argument("--project", metavar="NAME", help=f"whose labels, by name or id (default: {DIGITS_PROJECT}, if there is one)")
    parser.add_argument("--model", metavar="NAME", default="digits", help="the model that gets a new version (default: digits)")
    parser.add_argument(
        "--reference",
        action=argparse.BooleanOptionalAction,
        default=None,
        help=f"learn from digits that come with their labels too (default: while there are fewer than {ENOUGH_LABELS:,} labels)",
    )
    parser.add_argument("--mnist", metavar="DIR", type=Path, help="a folder with MNIST's IDX files: learn from its training part too")
    parser.add_argument("--epochs", metavar="N", type=positive, default=_EPOCHS, help=f"passes over the pictures (default: {_EPOCHS})")
    parser.add_argument(
        "--promote",
        choices=[one.value for one in Promote],
        default=Promote.AUTO.value,
        help="point “stable” to the new version: when it is at least as good (auto, the default), always, or never",
    )
    parser.add_argument("--if-none", action="store_true", help="only when the model has no version yet")
    parser.add_argument("--repository", metavar="DIR", type=Path, help="the model server's folder (default: $LABELMESH_MODELS)")
    parser.add_argument(
        "--served-path", metavar="PATH", help="where the model server sees that folder, if elsewhere (default: as configured)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of everything that is drawn by chance (default: 1)")
    add_json_argument(parser)


def train_digits(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if arguments.reference is False and arguments.mnist is not None:
        raise ConfigurationError("--no-reference and --mnist contradict each other: MNIST is reference data.")
    repository = _repository(arguments, terminal)
    display = Display(terminal, json=arguments.json)
    plan = Plan(
        model=arguments.model,
        reference=True if arguments.if_none and arguments.reference is None else arguments.reference,
        mnist=arguments.mnist,
        epochs=arguments.epochs,
        promote=Promote(arguments.promote),
        seed=arguments.seed,
    )
    stop = Stop()
    with stop.by_signals(), open_client(arguments, terminal.environment) as client:
        client.services.connection.patience_s = _PATIENCE_S
        project = _project(client, arguments.project)
        for _ in range(_ATTEMPTS):
            try:
                training = client.trainings.start(plan.model, only_first=arguments.if_none)
            except FailedPrecondition as error:
                if error.reason == "MODEL_EXISTS":
                    terminal.say(f"{plan.model} has a version already; nothing was trained.")
                    return 0
                if error.reason != "TRAINING_RUNNING":
                    raise
                if _attend(client, error.metadata.get("training_id", ""), display):
                    return 0
                continue
            work = DigitTraining(client, repository, project, plan, display, stop)
            return _run(work, training, display, terminal, json=arguments.json)
    raise TrainingFailed(f"The trainings of {plan.model} that were waited for got lost, {_ATTEMPTS} in a row.")


def _repository(arguments: argparse.Namespace, terminal: Terminal) -> ModelRepository:
    path = arguments.repository or terminal.environment.get("LABELMESH_MODELS")
    if not path:
        raise ConfigurationError(
            "Where does the model server read its models? Say --repository DIR or set LABELMESH_MODELS. With the mesh on this machine, "
            "`./mesh labelmesh train digits` knows."
        )
    if not Path(path).is_dir():
        raise ConfigurationError(f"There is no model repository at {path}: it must be the folder that the model server reads.")
    repository = ModelRepository(path, served_path=arguments.served_path)
    repository.prepare()
    return repository


def _project(client: Client, name: str | None) -> Project | None:
    """The project that was named, which must be there; else the one of the demo digits, if there is one."""
    return client.project(name) if name is not None else client.find_project(DIGITS_PROJECT)


def _run(work: DigitTraining, training: RunningTraining, display: Display, terminal: Terminal, *, json: bool) -> int:
    try:
        trained = work.run(training)
    finally:
        display.clear()
    if json:
        terminal.print_json(_summary(trained))
        return 0
    for line in sentences(trained):
        terminal.print(line)
    return 0


def _attend(client: Client, training_id: str, display: Display) -> bool:
    """Shows a training that somebody else runs until it ends. False when it got lost; raises TrainingFailed when it failed."""
    display.note("A training of this model runs already; this is how far it is.")
    last: Training | None = None
    try:
        for last in client.trainings.watch(training_id):
            display.show(last.progress)
    finally:
        display.clear()
    if last is None or last.state is TrainingState.LOST:
        return False
    if last.state is not TrainingState.SUCCEEDED:
        raise TrainingFailed(f"The training that was running failed: {last.problem}")
    display.note(f"version {last.version} of {last.model} was trained")
    return True


def sentences(trained: Trained) -> Iterator[str]:
    """What came of it, for people."""
    held_out, counts = trained.evaluation.images, trained.division.counts
    whose = "the mesh" if trained.division.measured_on is Origin.MESH else "the reference data"
    right = f"{trained.evaluation.accuracy:.1%} right on {held_out:,} held-out pictures of {whose}"
    yield f"version {trained.version} of {trained.model}: {right} ({duration(trained.seconds)})"
    parts = [(counts["mesh"], "labeled in the mesh"), (counts["reference"], "of the reference data"), (counts["drawn"], "drawn by rule")]
    yield "  learned from " + ", ".join(f"{count:,} {what}" for count, what in parts if count)
    if trained.stable is not None:
        yield f"  version {trained.stable.version}, stable until now, has {trained.stable.accuracy:.1%} on the same pictures"
    if trained.promoted:
        yield f"  stable is now version {trained.version}"
    else:
        yield f"  stable stays as it was; `labelmesh model alias {trained.model} stable {trained.version}` changes it"


def _summary(trained: Trained) -> dict[str, object]:
    return {
        "event": "trained",
        "model": trained.model,
        "version": trained.version,
        "promoted": trained.promoted,
        "stable": trained.stable,
        "metrics": {**trained.evaluation.metrics(), **trained.division.metrics()},
        "seconds": round(trained.seconds, 1),
    }
