"""Finding the pictures that a command is to look at: files, folders, patterns, addresses, and stdin."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import SourceError
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.inputs import Input, Url
from labelmesh_client.sources.folder import scan_folder


@dataclass(frozen=True)
class Picture:
    """Something to look at: its name for people, and how a model is asked about it, or why it cannot be."""

    name: str
    given: Input | None
    problem: str = ""


def find_pictures(names: Iterable[str], terminal: Terminal) -> list[Picture]:
    """What the arguments name, each once and in their order; folders with what is in them.

    Nothing is read but stdin. Raises SourceError where there is nothing at all, or stdin is named twice.
    """
    found: dict[str, Picture] = {}
    for name in names:
        if name == "-" and name in found:
            raise SourceError("stdin can be read once only; name it (-) once.")
        for picture in _named(name, terminal):
            found.setdefault(picture.name, picture)
    if not found:
        raise SourceError("There are no JPEG or PNG files there.")
    return list(found.values())


def _named(name: str, terminal: Terminal) -> Iterator[Picture]:
    path = Path(name)
    if name == "-":
        yield Picture("stdin", _stdin(terminal))
    elif name.startswith(("http://", "https://")):
        yield Picture(name, Url(name))
    elif path.is_dir():
        scan = scan_folder(path)
        for file in scan.files:
            yield Picture(str(path / file.name), path / file.name)
        for shown, problem in scan.unusable:
            yield Picture(str(path / shown), None, problem)
    elif not path.exists() and glob.has_magic(name):
        # A shell does this by itself; not every one, and not within quotes.
        for match in sorted(glob.glob(name, recursive=True)):
            if not Path(match).is_dir():
                yield Picture(match, Path(match))
    elif path.exists():
        yield Picture(name, path)
    else:
        yield Picture(name, None, "there is no such file")


def _stdin(terminal: Terminal) -> bytes:
    content: bytes = terminal.stdin.buffer.read(MAX_FILE_BYTES + 1)
    return content
