"""`labelmesh annotations export`."""

from __future__ import annotations

import argparse
import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from labelmesh_client.annotation import Annotation, AuthorKind
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_project_argument
from labelmesh_client.command.files import appearing
from labelmesh_client.command.terminal import Terminal, as_json

_COLUMNS = [field.name for field in dataclasses.fields(Annotation)]


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    group = add_group(commands, "annotations", "Get the labels out.")
    parser = add_command(
        group,
        "export",
        "Write every annotation of a project in the order they were made.",
        export,
        examples=(
            "labelmesh annotations export --project digits > labels.jsonl",
            "labelmesh annotations export --project digits --format csv --author human --output labels.csv",
        ),
    )
    add_project_argument(parser)
    parser.add_argument(
        "--format", choices=("jsonl", "csv"), default="jsonl", help="JSON lines or CSV with a line of heads (default: jsonl)"
    )
    parser.add_argument("--author", choices=[kind.value for kind in AuthorKind], help="only labels of people, or of machines")
    parser.add_argument("--withdrawn", action="store_true", help="undone ones too")
    parser.add_argument("--output", "-o", metavar="FILE", type=Path, help="write to FILE, which appears only when it is complete")


def export(arguments: argparse.Namespace, terminal: Terminal) -> int:
    kind = AuthorKind(arguments.author) if arguments.author else None
    with open_client(arguments, terminal.environment) as client:
        annotations = client.project(arguments.project).annotations(author_kind=kind, withdrawn=arguments.withdrawn)
        if arguments.output is None:
            count = _write(annotations, arguments.format, terminal.stdout)
        else:
            with appearing(arguments.output) as file:
                count = _write(annotations, arguments.format, file)
    terminal.say(f"{count:,} annotations")
    return 0


def _write(annotations: Iterable[Annotation], form: str, out: TextIO) -> int:
    count = 0
    if form == "jsonl":
        for one in annotations:
            out.write(as_json(one) + "\n")
            count += 1
        return count
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in annotations:
        writer.writerow([_cell(getattr(one, column)) for column in _COLUMNS])
        count += 1
    return count


def _cell(value: object) -> str:
    return "" if value is None else as_json(value).strip('"')
