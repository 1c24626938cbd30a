"""`labelmesh stats`."""

from __future__ import annotations

import argparse
from datetime import datetime

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_json_argument, add_project_argument
from labelmesh_client.command.terminal import Terminal, shown_time
from labelmesh_client.projects import Project
from labelmesh_client.statistics import ProjectStatistics

_WATCH_PATIENCE_S = 60.0


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "stats",
        "How far a project is, and what you did in it.",
        show,
        examples=("labelmesh stats --project digits --watch", "labelmesh stats --project digits --annotators"),
    )
    add_project_argument(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--watch", action="store_true", help="a line whenever something changes, until Ctrl-C")
    what.add_argument("--annotators", action="store_true", help="everybody's numbers (for managers and keys)")
    add_json_argument(parser)


def show(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        project = client.project(arguments.project)
        if arguments.watch:
            client.services.connection.patience_s = _WATCH_PATIENCE_S
            return _watch(project, arguments.json, terminal)
        if arguments.annotators:
            return _annotators(project, arguments.json, terminal)
        numbers = project.statistics()
    if arguments.json:
        terminal.print_json(numbers)
        return 0
    terminal.print(f"{project.display_name}: {_line(numbers.project)}")
    own = numbers.own
    consistency = "no repeats yet" if own.consistency is None else f"{own.consistency:.0%} of {own.repeats:,} repeats labeled the same"
    terminal.print(f"you: {own.labels_given:,} labels on {own.distinct_images_labeled:,} images; {consistency}")
    return 0


def _watch(project: Project, as_json: bool, terminal: Terminal) -> int:
    for numbers in project.watch_statistics():
        if as_json:
            terminal.print_json(numbers)
        else:
            terminal.print(f"{datetime.now():%H:%M:%S}  {_line(numbers)}")
        terminal.stdout.flush()
    return 0


def _annotators(project: Project, as_json: bool, terminal: Terminal) -> int:
    everybody = list(project.annotator_statistics())
    if as_json:
        for one in everybody:
            terminal.print_json(one)
        return 0
    rows = [
        (
            one.author_id,
            f"{one.labels_given:,}",
            f"{one.distinct_images_labeled:,}",
            f"{one.repeats:,}",
            "-" if one.consistency is None else f"{one.consistency:.0%}",
            shown_time(one.last_label_time),
        )
        for one in everybody
    ]
    terminal.table(("ANNOTATOR", "LABELS", "IMAGES", "REPEATS", "CONSISTENT", "LAST"), rows, right=(1, 2, 3, 4))
    return 0


def _line(numbers: ProjectStatistics) -> str:
    share = f" ({numbers.images_completed / numbers.images:.0%})" if numbers.images else ""
    return (
        f"{numbers.images_completed:,} of {numbers.images:,} images labeled{share}, {numbers.images_awaiting:,} awaiting, "
        f"{numbers.images_held:,} held; {numbers.labels:,} labels by people, {numbers.machine_labels:,} by machines"
    )
