"""`labelmesh predict`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

from labelmesh_client.client import Client
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_json_argument, not_negative, positive, share
from labelmesh_client.command.pictures import Picture, find_pictures
from labelmesh_client.command.progress import Progress, duration
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import LabelmeshError
from labelmesh_client.predictions import Answer, Prediction, Question
from labelmesh_client.results import Classification, Detection, Detections, Poses, RawOutputs, Result, Segmentation

_PATIENCE_S = 60.0
#: What a line shows; JSON has all of it.
_SHOWN = 5
_WORTH_SHOWING = 0.01
_BAR = 30


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "predict",
        "Ask a model about pictures.",
        predict,
        more="A picture that is no good is named with the reason, and the rest is answered; then the exit code is 1. "
        "API keys need the scope inference.predict.",
        examples=(
            "labelmesh predict seven.png --model digits",
            "labelmesh predict night/ --model animals --threshold 0.8 --json > found.jsonl",
            "labelmesh predict 'night/**/*.jpg' https://example.org/fox.jpg --model animals --alias canary",
            "curl -s https://example.org/fox.jpg | labelmesh predict - --model animals",
        ),
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="JPEG and PNG files, folders, patterns, addresses, or - for stdin")
    add_question_arguments(parser, required=True)
    parser.add_argument(
        "--top-k", metavar="N", type=positive, default=0, help="at most N results of each picture (default: the model's own)"
    )
    parser.add_argument("--threshold", metavar="SCORE", type=share, help="nothing under this score, 0 to 1 (default: the model's own)")
    parser.add_argument(
        "--sticky-key", metavar="TEXT", default="", help="calls with the same key get the same alias (default: the account)"
    )
    add_json_argument(parser)


def add_question_arguments(parser: argparse.ArgumentParser, *, required: bool, model_help: str = "the model") -> None:
    """Which model is asked."""
    parser.add_argument("--model", "-m", metavar="NAME", required=required, help=model_help)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", metavar="N", type=not_negative, default=0, help="this version (default: as the model's traffic says)")
    which.add_argument("--alias", metavar="NAME", default="", help="the version that this alias leads to, e.g. canary")


def predict(arguments: argparse.Namespace, terminal: Terminal) -> int:
    pictures = find_pictures(arguments.files, terminal)
    question = Question(
        arguments.model,
        alias=arguments.alias,
        version=arguments.version,
        sticky_key=arguments.sticky_key,
        top_k=arguments.top_k,
        threshold=arguments.threshold,
    )
    with open_client(arguments, terminal.environment) as client:
        if len(pictures) > 1:
            client.services.connection.patience_s = _PATIENCE_S
        progress = Progress(
            terminal.stderr, total=len(pictures), total_bytes=len(pictures), unit="pictures", bar=not terminal.stdout.isatty()
        )
        failed = 0
        for picture, answer in _answers(client, question, pictures):
            failed += isinstance(answer, LabelmeshError)
            if arguments.json:
                terminal.print_json(_as_json(picture, answer))
            elif isinstance(answer, LabelmeshError):
                progress.note(f"{picture.name}: {answer.message}")
            elif len(pictures) == 1:
                _show_one(terminal, answer)
            else:
                terminal.print(f"{picture.name}  {in_a_line(answer.result)}")
            progress.advance(1)
        progress.finish()
    if len(pictures) > 1 and not arguments.json:
        terminal.say(f"{len(pictures):,} pictures, {failed:,} without an answer ({duration(progress.seconds)})")
    return 1 if failed else 0


def _answers(client: Client, question: Question, pictures: list[Picture]) -> Iterator[tuple[Picture, Answer]]:
    if len(pictures) == 1 and pictures[0].given is not None:
        yield pictures[0], client.predict(question, pictures[0].given)
        return
    answers = client.predict_batch(question, (picture.given for picture in pictures if picture.given is not None))
    for picture in pictures:
        if picture.given is None:
            yield picture, LabelmeshError(picture.problem, reason="UNREADABLE")
        else:
            yield from ((picture, answer) for answer in islice(answers, 1))


def _as_json(picture: Picture, answer: Answer) -> dict[str, object]:
    if isinstance(answer, LabelmeshError):
        return {"file": picture.name, "error": answer.message, "reason": answer.reason}
    return {"file": picture.name, "prediction": answer}


def _show_one(terminal: Terminal, prediction: Prediction) -> None:
    """The whole answer."""
    match prediction.result:
        case Classification(classes=classes) if classes:
            width = max(len(one.label) for one in classes)
            for one in classes:
                terminal.print(f"{one.label:<{width}}  {one.score:6.1%}  {'#' * round(one.score * _BAR)}".rstrip())
        case Detections(detections=found) if found:
            for detection in found:
                terminal.print(_detected(detection))
        case result:
            terminal.print(in_a_line(result))
    timing = prediction.timing
    parts = [
        f"{name} {seconds * 1000:.1f} ms"
        for name, seconds in (
            ("fetching", timing.fetch_s),
            ("preparing", timing.preparation_s),
            ("waiting", timing.waiting_s),
            ("model", timing.model_s),
        )
        if seconds >= 0.00005
    ]
    through = f" ({prediction.alias})" if prediction.alias else ""
    terminal.say(f"{prediction.model} version {prediction.version}{through}, {timing.total_s * 1000:.1f} ms: {', '.join(parts)}")
    if prediction.id:
        terminal.say(f"stored as {prediction.id}")


def in_a_line(result: Result | None) -> str:
    """A result for people, on one line."""
    match result:
        case Classification(classes=classes):
            worth = [one for place, one in enumerate(classes[:_SHOWN]) if place == 0 or one.score >= _WORTH_SHOWING]
            shown = ", ".join(f"{one.label} {one.score:.1%}" for one in worth)
            return shown or "nothing above the threshold"
        case Detections(detections=found, below_threshold=below):
            more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            weak = f" ({below} below the threshold)" if below and not found else ""
            return ("; ".join(map(_detected, found[:_SHOWN])) + more or "nothing found") + weak
        case Poses(poses=poses):
            return f"{len(poses)} {'body' if len(poses) == 1 else 'bodies'}" + (f", best {poses[0].score:.1%}" if poses else "")
        case Segmentation(segments=segments):
            return ", ".join(f"{one.label} {one.share:.1%} of the picture" for one in segments[:_SHOWN]) or "an empty mask"
        case RawOutputs(tensors=tensors):
            return ", ".join(f"{name}: {tensor.data_type}{list(tensor.shape)}" for name, tensor in tensors.items())
    return "an answer that this version of the command does not know"


def _detected(one: Detection) -> str:
    box = one.box
    return f"{one.label} {one.score:.1%} at {box.x_min:.0%},{box.y_min:.0%} to {box.x_max:.0%},{box.y_max:.0%}"
