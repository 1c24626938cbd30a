"""`labelmesh labels`."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command
from labelmesh_client.command.files import appearing
from labelmesh_client.command.terminal import Terminal, as_json
from labelmesh_client.errors import ConfigurationError
from labelmesh_client.labels import LabeledImage

_COLUMNS = ("image_id", "name", "sha256", "class_id", "annotators", "agreeing", "width", "height", "media_type")
_ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "labels",
        "What people agreed on: each labeled image once, with the class that most annotators gave.",
        write_labels,
        more="Each annotator counts once, with the label they gave last; class_id is empty where several classes have the most. "
        "Every single annotation is what `labelmesh annotations export` writes. For managers, and API keys with the scope labeling.read.",
        examples=("labelmesh labels digits --out labels.csv", "labelmesh labels digits | head"),
    )
    parser.add_argument("project", metavar="PROJECT", help="by name or id")
    parser.add_argument(
        "--out", "-o", metavar="FILE", type=Path, help="write to FILE, .csv or .jsonl, which appears only when it is complete"
    )
    parser.add_argument("--format", choices=("jsonl", "csv"), help="JSON lines or CSV (default: as FILE ends, else jsonl)")


def write_labels(arguments: argparse.Namespace, terminal: Terminal) -> int:
    form = arguments.format or (_ENDINGS.get(arguments.out.suffix.lower()) if arguments.out is not None else "jsonl")
    if form is None:
        raise ConfigurationError(f"Is {arguments.out} to be CSV or JSON lines? Name it .csv or .jsonl, or say --format.")
    write = _write_csv if form == "csv" else _write_jsonl
    with open_client(arguments, terminal.environment) as client:
        project = client.project(arguments.project)
        if arguments.out is None:
            count, ties = _counted(project.labels(), lambda labels: write(labels, terminal.stdout))
        else:
            with appearing(arguments.out) as file:
                count, ties = _counted(project.labels(), lambda labels: write(labels, file))
    split = f", {ties:,} of them without a majority" if ties else ""
    terminal.say(f"{count:,} labeled images of “{project.display_name}”{split}")
    return 0


def _counted(labels: Iterable[LabeledImage], write: Callable[[Iterable[LabeledImage]], None]) -> tuple[int, int]:
    """How many images were written, and how many without a majority."""
    counts = [0, 0]

    def counting() -> Iterable[LabeledImage]:
        for one in labels:
            counts[0] += 1
            counts[1] += one.class_id is None
            yield one

    write(counting())
    return counts[0], counts[1]


def _record(one: LabeledImage) -> dict[str, object]:
    image = one.image
    values = (
        image.id,
        image.name,
        image.sha256,
        one.class_id,
        one.annotators,
        one.agreeing,
        image.width,
        image.height,
        image.media_type,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _write_jsonl(labels: Iterable[LabeledImage], out: TextIO) -> None:
    for one in labels:
        out.write(as_json(_record(one)) + "\n")


def _write_csv(labels: Iterable[LabeledImage], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in labels:
        writer.writerow(["" if value is None else value for value in _record(one).values()])
