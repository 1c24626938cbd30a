"""`labelmesh model`: what there is, who gets which version, and what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import islice

from labelmesh_client.command import model_adding, scoring
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument, not_negative, positive
from labelmesh_client.command.plugins import add_model_commands
from labelmesh_client.command.terminal import Terminal, shown_time
from labelmesh_client.errors import ConfigurationError
from labelmesh_client.models import Model, ModelVersion, Routing, Shadow, TensorSpec
from labelmesh_client.trainings import Training, TrainingState

_SHOWN_REVISIONS = 5
_SHOWN_METRICS = 4
_USUAL_METRICS = ("accuracy", "validation_accuracy", "loss", "validation_loss", "f1", "precision", "recall", "map")


def add(commands: Commands[argparse.ArgumentParser], chosen: str = "") -> None:
    """`chosen` is the command under `labelmesh model` as it was typed, empty for none."""
    group = add_group(
        commands,
        "model",
        "See, add and steer models.",
        more="API keys need the scope inference.read to look, inference.predict to say what was right, and inference.manage to change.",
    )
    add_json_argument(add_command(group, "list", "Models and their versions.", list_models))
    show_parser = add_command(group, "show", "Everything about one model.", show_model)
    show_parser.add_argument("name", metavar="NAME")
    add_json_argument(show_parser)
    model_adding.add(group)
    scoring.add(group)
    _add_steering(group)
    _add_looking_back(group)
    add_model_commands(group, chosen)


def _add_steering(group: Commands[argparse.ArgumentParser]) -> None:
    alias = add_command(
        group,
        "alias",
        "Point an alias at a version.",
        set_alias,
        examples=("labelmesh model alias digits stable 3", "labelmesh model alias digits canary none"),
    )
    alias.add_argument("name", metavar="NAME")
    alias.add_argument("alias", metavar="ALIAS", help="stable, canary, or any other")
    alias.add_argument("version", metavar="VERSION", help="its number, or none to remove the alias")
    traffic = add_command(
        group,
        "traffic",
        "Say which share of calls each alias gets.",
        set_traffic,
        more="Weights are relative to their sum. Without any, everything goes to stable. "
        "Calls with the same sticky key stay with their alias.",
        examples=(
            "labelmesh model traffic digits stable=90 canary=10",
            "labelmesh model traffic digits --shadow canary=0.1",
            "labelmesh model traffic digits",
        ),
    )
    traffic.add_argument("name", metavar="NAME")
    traffic.add_argument("weights", metavar="ALIAS=WEIGHT", nargs="*", type=weight)
    traffic.add_argument(
        "--shadow", metavar="ALIAS=SHARE", type=shadow, help="this alias answers a share of calls too, 0 to 1, unseen, to compare"
    )
    rollback = add_command(group, "rollback", "Set aliases and traffic as they were before the last change.", roll_back)
    rollback.add_argument("name", metavar="NAME")
    rollback.add_argument("--to", metavar="REVISION", type=positive, default=0, help="as they were at this revision")


def _add_looking_back(group: Commands[argparse.ArgumentParser]) -> None:
    report = add_command(group, "report", "How a shadow's answers differ from those that callers got.", show_report)
    report.add_argument("name", metavar="NAME")
    add_json_argument(report)
    feedback = add_command(
        group,
        "feedback",
        "Say whether a stored prediction was right.",
        give_feedback,
        examples=("labelmesh model feedback 0a1b... --correct", "labelmesh model feedback 0a1b... --label 7"),
    )
    feedback.add_argument("prediction", metavar="PREDICTION", help="its id")
    said = feedback.add_mutually_exclusive_group(required=True)
    said.add_argument("--correct", action="store_true", help="the best answer was right")
    said.add_argument("--label", metavar="LABEL", help="it was wrong, and this would have been right")
    said.add_argument("--wrong", action="store_true", help="it was wrong, and nobody knows what would have been right")
    trainings = add_command(
        group,
        "trainings",
        "Trainings, newest first.",
        list_trainings,
        examples=("labelmesh model trainings --model digits", "labelmesh model trainings --model digits --watch"),
    )
    trainings.add_argument("--model", "-m", metavar="NAME", default="", help="only those of one model")
    trainings.add_argument("--limit", metavar="N", type=positive, default=20, help="at most N (default: 20)")
    trainings.add_argument("--watch", action="store_true", help="a line whenever the newest has come further, until it ends")
    add_json_argument(trainings)


def weight(text: str) -> tuple[str, int]:
    """`stable=90`. Raises ValueError."""
    alias, _, number = text.partition("=")
    return _named(alias), not_negative(number)


def shadow(text: str) -> Shadow:
    """`canary=0.1`. Raises ValueError."""
    alias, _, share = text.partition("=")
    if not 0 <= float(share) <= 1:
        raise ValueError(text)
    return Shadow(_named(alias), float(share))


def _named(alias: str) -> str:
    if not alias:
        raise ValueError(alias)
    return alias


# --- looking ---


def list_models(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        models = list(client.models.list())
    if arguments.json:
        for model in models:
            terminal.print_json(model)
        return 0
    rows = [
        (model.name, str(version.version), version.state, ",".join(version.aliases) or "-", _metrics(version.metrics), _registered(version))
        for model in models
        for version in model.versions
    ]
    terminal.table(("MODEL", "VERSION", "STATE", "ALIASES", "METRICS", "REGISTERED"), rows, right=(1,))
    _say_problem(terminal, next(iter(models), None))
    if not models:
        terminal.say("There are no models yet; `labelmesh train` makes one, `labelmesh model add` brings one.")
    return 0


def show_model(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        model = client.models.get(arguments.name)
        routings = list(islice(client.models.routings(arguments.name), _SHOWN_REVISIONS))
    if arguments.json:
        terminal.print_json(model)
        return 0
    terminal.print(f"{model.name}: {model.display_name}" if model.display_name else model.name)
    if model.description:
        terminal.print(model.description)
    terminal.print(f"traffic: {_traffic(model.routing)}")
    terminal.print("")
    rows = [
        (
            str(version.version),
            version.state,
            ",".join(version.aliases) or "-",
            _metrics(version.metrics),
            f"{version.predictions:,}",
            f"{version.feedback_correct:,} of {version.feedback:,}" if version.feedback else "-",
            _registered(version),
        )
        for version in model.versions
    ]
    terminal.table(("VERSION", "STATE", "ALIASES", "METRICS", "PREDICTIONS", "FOUND RIGHT", "REGISTERED"), rows, right=(0, 4))
    for version in model.versions:
        if version.state_message:
            terminal.print(f"version {version.version}: {version.state_message}")
    _show_contract(terminal, model)
    terminal.print("")
    terminal.table(
        ("REVISION", "CHANGE", "WHEN"),
        [(str(one.revision), one.change or "-", shown_time(one.change_time)) for one in routings],
        right=(0,),
    )
    _say_problem(terminal, model)
    return 0


def _show_contract(terminal: Terminal, model: Model) -> None:
    newest = next((one for one in model.versions if one.manifest is not None), None)
    if newest is None:
        return
    terminal.print("")
    if newest.signature is not None:
        takes, gives = (", ".join(map(_tensor, part)) for part in (newest.signature.inputs, newest.signature.outputs))
        terminal.print(f"version {newest.version} takes {takes} and gives {gives} ({newest.signature.name})")
    if newest.manifest is not None and newest.manifest.labels:
        labels = newest.manifest.labels
        terminal.print(f"{len(labels):,} labels: {', '.join(labels[:12])}{' ...' if len(labels) > 12 else ''}")


def _tensor(spec: TensorSpec) -> str:
    shape = "" if spec.shape is None else "[" + ",".join("?" if size < 0 else str(size) for size in spec.shape) + "]"
    return f"{spec.name}: {spec.data_type}{shape}"


def _metrics(metrics: Mapping[str, float]) -> str:
    """The first few, the usual ones before others."""
    names = [name for name in _USUAL_METRICS if name in metrics] or sorted(metrics)
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in names[:_SHOWN_METRICS]) or "-"


def _registered(version: ModelVersion) -> str:
    return shown_time(version.register_time, "not registered")


def _traffic(routing: Routing) -> str:
    total = sum(routing.splits.values())
    shares = ", ".join(f"{alias} {each / total:.0%}" for alias, each in routing.splits.items() if total)
    text = shares or "everything to stable"
    text += "".join(f"; {alias} is version {version}" for alias, version in sorted(routing.aliases.items()))
    if routing.shadow is not None:
        text += f"; {routing.shadow.alias} shadows {routing.shadow.share:.0%}"
    return f"{text} (revision {routing.revision})"


def _say_problem(terminal: Terminal, model: Model | None) -> None:
    if model is not None and model.problem:
        terminal.say(f"The states are not known: {model.problem}")


# --- steering ---


def set_alias(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if arguments.version in ("none", "0"):
        version = 0
    elif arguments.version.isascii() and arguments.version.isdecimal():
        version = int(arguments.version)
    else:
        raise ConfigurationError(f"{arguments.version!r} is no version; give its number, or none to remove the alias.")
    with open_client(arguments, terminal.environment) as client:
        routing = client.models.set_alias(arguments.name, arguments.alias, version)
    terminal.say(f"{arguments.name}: {_traffic(routing)}")
    return 0


def set_traffic(arguments: argparse.Namespace, terminal: Terminal) -> int:
    splits = dict(arguments.weights)
    if len(splits) < len(arguments.weights):
        raise ConfigurationError("An alias stands there twice.")
    with open_client(arguments, terminal.environment) as client:
        routing = client.models.set_traffic(arguments.name, splits, shadow=arguments.shadow)
    terminal.say(f"{arguments.name}: {_traffic(routing)}")
    return 0


def roll_back(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        routing = client.models.rollback(arguments.name, to_revision=arguments.to)
    terminal.say(f"{arguments.name}: {_traffic(routing)}")
    return 0


# --- looking back ---


def show_report(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        reports, dropped = client.models.shadow_report(arguments.name)
    if arguments.json:
        for report in reports:
            terminal.print_json(report)
        return 0
    for report in reports:
        share = f"{report.agreeing / report.calls:.1%}" if report.calls else "-"
        terminal.print(
            f"version {report.shadow_version} in the shadow of version {report.version}: {report.calls:,} calls, {share} agree, "
            f"{report.failed:,} failed, scores differ by {report.mean_score_difference:.3f} on average, "
            f"median {report.shadow_median_latency_s * 1000:.1f} ms beside {report.median_latency_s * 1000:.1f} ms"
        )
        for one in report.differences:
            terminal.print(f"  {shown_time(one.create_time)}  {one.answer}  the shadow: {one.shadow_answer}  {one.prediction_id}")
    if dropped:
        terminal.say(f"{dropped:,} shadow calls were left out because too many waited.")
    if not reports:
        terminal.say(f"Nothing was shadowed yet; `labelmesh model traffic {arguments.name} --shadow canary=0.1` begins.")
    return 0


def give_feedback(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        client.predictions.feedback(arguments.prediction, correct=arguments.correct, label=arguments.label or "")
    terminal.say("Noted.")
    return 0


def list_trainings(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        trainings = list(islice(client.trainings.list(arguments.model), 1 if arguments.watch else arguments.limit))
        if not trainings:
            terminal.say("There were no trainings yet; `labelmesh train` begins one.")
            return 1 if arguments.watch else 0
        if arguments.watch:
            last = trainings[0]
            for last in client.trainings.watch(trainings[0].id):
                _show_training(terminal, last, as_json=arguments.json)
            return 0 if last.state is TrainingState.SUCCEEDED else 1
    if arguments.json:
        for one in trainings:
            terminal.print_json(one)
        return 0
    rows = [
        (one.model, str(one.version), str(one.state), _progress(one), shown_time(one.start_time), one.problem[:60] or "-", one.id)
        for one in trainings
    ]
    terminal.table(("MODEL", "VERSION", "STATE", "PROGRESS", "STARTED", "PROBLEM", "ID"), rows, right=(1,))
    return 0


def _show_training(terminal: Terminal, training: Training, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(training)
    else:
        problem = f": {training.problem}" if training.problem else ""
        terminal.print(f"{training.model} version {training.version} {training.state}{problem}  {_progress(training)}")
    terminal.stdout.flush()


def _progress(training: Training) -> str:
    progress = training.progress
    if training.state is not TrainingState.RUNNING:
        return _metrics(next((one.metrics for one in (progress, *reversed(training.history)) if one.metrics), {}))
    parts = [f"{progress.done:.0%} {progress.stage}".strip()]
    if progress.epochs:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if progress.metrics:
        parts.append(_metrics(progress.metrics))
    return ", ".join(parts)
