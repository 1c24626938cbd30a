"""`labelmesh model suggest` and `labelmesh model order`: predictions that flow into labeling."""

from __future__ import annotations

import argparse

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command
from labelmesh_client.command.predicting import add_question_arguments
from labelmesh_client.command.progress import Progress, duration
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError
from labelmesh_client.predictions import Question
from labelmesh_client.projects import Project
from labelmesh_client.scoring import ScoringProgress

_PATIENCE_S = 60.0
_DEFAULT = "the model (default: the one whose suggestions the project shows)"


def add(group: Commands[argparse.ArgumentParser]) -> None:
    suggest_parser = add_command(
        group,
        "suggest",
        "Put a model's best class beside every image that awaits labels.",
        suggest,
        more="Annotators are shown it where the project says so. Done again, a version's suggestion stands once. "
        "For managers, and API keys with inference.predict, labeling.read and labeling.annotate.",
        examples=("labelmesh model suggest digits --model digits",),
    )
    order_parser = add_command(
        group,
        "order",
        "Order the images that await labels by a model's doubt: the one it doubts most comes first.",
        order,
        more="For managers, and API keys with inference.predict, labeling.read and labeling.prioritize.",
        examples=("labelmesh model order digits --model digits --alias canary",),
    )
    for parser in (suggest_parser, order_parser):
        parser.add_argument("project", metavar="PROJECT", help="by name or id")
        add_question_arguments(parser, required=False, model_help=_DEFAULT)
    suggest_parser.add_argument("--order", action="store_true", help="order the queue by the doubt too, in the same go")


def suggest(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _score(arguments, terminal, suggest=True, order=arguments.order)


def order(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _score(arguments, terminal, suggest=False, order=True)


def _score(arguments: argparse.Namespace, terminal: Terminal, *, suggest: bool, order: bool) -> int:
    with open_client(arguments, terminal.environment) as client:
        client.services.connection.patience_s = _PATIENCE_S
        project = client.project(arguments.project)
        question = Question(arguments.model or _model_of(project), alias=arguments.alias, version=arguments.version)
        awaiting = project.statistics().project.images_awaiting
        progress = Progress(terminal.stderr, total=awaiting, total_bytes=awaiting)
        last: ScoringProgress | None = None
        try:
            for last in project.score(question, suggest=suggest, order=order):
                progress.reach(last.scored + last.failed)
        finally:
            progress.finish()
    if last is None or last.scored + last.failed == 0:
        terminal.say(f"No image of “{project.display_name}” awaits labels.")
        return 0
    _conclude(terminal, project, last, progress.seconds, suggest=suggest, order=order)
    return 1 if last.scored == 0 else 0


def _model_of(project: Project) -> str:
    if not project.facts.suggestion_model:
        raise ConfigurationError(f"Which model? “{project.display_name}” names none whose suggestions it shows; say --model NAME.")
    return project.facts.suggestion_model


def _conclude(terminal: Terminal, project: Project, last: ScoringProgress, seconds: float, *, suggest: bool, order: bool) -> None:
    done = " and ".join([*(["suggested"] if suggest else []), *(["ordered by doubt"] if order else [])])
    pace = f", {last.scored / seconds:,.0f}/s" if seconds >= 1 else ""
    terminal.print(
        f"{last.scored:,} images of “{project.display_name}” {done} by {last.model} version {last.version}, "
        f"mean doubt {last.mean_doubt:.1%} ({duration(seconds)}{pace})"
    )
    if suggest and last.unknown_class:
        terminal.print(f"{last.unknown_class:,} of them got no suggestion: the project does not have their best class.")
    if last.failed:
        terminal.print(f"{last.failed:,} images could not be scored.")
