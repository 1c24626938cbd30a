"""`labelmesh priorities set`."""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_project_argument
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import SourceError
from labelmesh_client.projects import Project

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PATIENCE_S = 60.0
#: A file with more faulty lines than this is not what it should be; the first ones say enough.
_SHOWN_PROBLEMS = 20


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    group = add_group(commands, "priorities", "Set what is labeled next.")
    parser = add_command(
        group,
        "set",
        "Set the priorities of images; higher is handed out earlier, and the very next call obeys.",
        set_priorities,
        more="Each line of FILE is IMAGE,PRIORITY; IMAGE is an id, the SHA-256 of the file, or the name it was imported under. "
        "A first line of heads is passed over. Nothing is set unless every line can be.",
        examples=(
            "labelmesh priorities set uncertain.csv --project digits",
            "python score.py | labelmesh priorities set - --project digits",
        ),
    )
    parser.add_argument("file", metavar="FILE", help="a CSV file, or - for stdin")
    add_project_argument(parser)


def set_priorities(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if arguments.file == "-":
        wanted = read_priorities(terminal.stdin, "stdin")
    else:
        try:
            with Path(arguments.file).open(encoding="utf-8-sig", newline="") as file:
                wanted = read_priorities(file, arguments.file)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise SourceError(f"{arguments.file} cannot be read: {reason}.") from None
    if not wanted:
        raise SourceError(f"{arguments.file} has no priorities.")
    with open_client(arguments, terminal.environment) as client:
        client.services.connection.patience_s = _PATIENCE_S
        project = client.project(arguments.project)
        count = project.set_priorities(_by_id(project, wanted, arguments.file))
    terminal.say(f"{count:,} priorities set in “{project.display_name}”.")
    return 0


def read_priorities(lines: Iterable[str], source: str) -> list[tuple[int, str, float]]:
    """Line number, image and priority of each line. Raises SourceError naming the lines that are wrong."""
    found: list[tuple[int, str, float]] = []
    problems: list[str] = []
    try:
        reader = csv.reader(lines)
        for cells in reader:
            if not cells or cells == [""]:
                continue
            number = _number(cells[1]) if len(cells) == 2 else None
            if number is not None:
                found.append((reader.line_num, cells[0].strip(), number))
            elif reader.line_num > 1 or len(cells) != 2 or _is_number(cells[1]):
                problems.append(f"line {reader.line_num} is not IMAGE,PRIORITY with a finite number: {','.join(cells)[:80]}")
    except csv.Error as error:
        raise SourceError(f"{source} is not CSV: {error}.") from None
    _raise(source, problems)
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_id(project: Project, wanted: list[tuple[int, str, float]], source: str) -> list[tuple[str, float]]:
    """The same by image id. Contents are asked for; names need the list of all images."""
    ids = {image: image for _, image, _ in wanted if _ID.fullmatch(image)}
    ids.update(project.find_images({image for _, image, _ in wanted if _SHA256.fullmatch(image)}))
    names = {image for _, image, _ in wanted if not _ID.fullmatch(image) and not _SHA256.fullmatch(image)}
    several: set[str] = set()
    if names:
        for one in project.images():
            if one.name in names:
                if one.name in ids:
                    several.add(one.name)
                ids[one.name] = one.id
    problems = [
        f"line {line}: several images are named “{image}”; use the id"
        if image in several
        else f"line {line}: the project has no image {image}"
        for line, image, _ in wanted
        if image in several or image not in ids
    ]
    first_line: dict[str, int] = {}
    for line, image, _ in wanted:
        if image in ids and first_line.setdefault(ids[image], line) != line:
            problems.append(f"line {line}: the image {image} stands in line {first_line[ids[image]]} already")
    _raise(source, problems)
    return [(ids[image], priority) for _, image, priority in wanted]


def _raise(source: str, problems: list[str]) -> None:
    if problems:
        more = f"\n  and {len(problems) - _SHOWN_PROBLEMS:,} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise SourceError(f"{source} has faulty lines; nothing was set.\n  " + "\n  ".join(problems[:_SHOWN_PROBLEMS]) + more)
