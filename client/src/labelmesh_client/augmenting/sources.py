"""What a folder has to augment: its pictures by content, in the order of their names."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labelmesh_client.augmenting.headers import PICTURE_ENDINGS, read_format
from labelmesh_client.errors import SourceError
from labelmesh_client.images import MAX_FILE_BYTES

KINDS = "JPEG, PNG, GIF, WebP or TIFF"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A picture: its path below the folder with slashes, its size in bytes, and when it was changed (ns)."""

    name: str
    size: int
    changed: int


@dataclass(frozen=True)
class Problem:
    """A file or a result that cannot be, for people and (`reason`) for programs."""

    name: str
    problem: str
    reason: str


@dataclass
class SourceFolder:
    """What was found; `other_files` are those that are no pictures, by ending."""

    root: Path
    files: list[SourceFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    other_files: Counter[str] = field(default_factory=Counter)
    linked_folders: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.root / name


def scan(folder: Path, *, without: Iterable[Path] = ()) -> SourceFolder:
    """Looks through a folder and all folders below it, but for those of `without` and files of these names.

    Of each file the first 16 bytes are read. Hidden files and folders are passed over. Folders that are links are not entered, so there are
    no loops; a file that is one is taken only where it leads to a file inside the folder. Raises SourceError when the folder itself cannot
    be read.
    """
    try:
        root = folder.resolve(strict=True)
        if not root.is_dir():
            raise SourceError(f"{folder} is not a folder.")
        os.listdir(root)
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read: {error.strerror or error}.") from None
    found = SourceFolder(root)
    left_out = {str(path.resolve()) for path in without}
    for entry, name in _entries(root, left_out, found):
        _look_at(entry, name, found)
    found.files.sort(key=lambda file: file.name)
    found.problems.sort(key=lambda problem: problem.name)
    return found


def _entries(root: Path, left_out: set[str], found: SourceFolder) -> Iterator[tuple[os.DirEntry[str], str]]:
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".") and entry.path not in left_out]
        except OSError as error:
            found.problems.append(Problem(shown(prefix), f"the folder cannot be read: {error.strerror or error}", "UNREADABLE"))
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{prefix}{entry.name}/"))
            elif entry.is_symlink() and _leads_to_folder(entry):
                found.linked_folders.append(shown(prefix + entry.name))
            else:
                yield entry, prefix + entry.name


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a loop
        return False


def _look_at(entry: os.DirEntry[str], name: str, found: SourceFolder) -> None:
    ending = os.path.splitext(entry.name)[1].lower()
    is_named_so = ending in PICTURE_ENDINGS

    def refuse(problem: str, reason: str) -> None:
        found.problems.append(Problem(shown(name), problem, reason))

    try:
        path = Path(entry.path)
        if entry.is_symlink() and not path.resolve(strict=True).is_relative_to(found.root):
            refuse("it is a link that leads out of the folder", "UNREADABLE")
            return
        facts = entry.stat()
        is_picture = stat.S_ISREG(facts.st_mode) and read_format(path) is not None
    except (OSError, RuntimeError) as error:
        refuse(f"it cannot be read: {getattr(error, 'strerror', None) or 'it is a link in a loop'}", "UNREADABLE")
        return
    if not is_picture and not is_named_so:
        found.other_files[shown(ending) or "without ending"] += 1
    elif not stat.S_ISREG(facts.st_mode):
        refuse("it is not a regular file", "UNREADABLE")
    elif facts.st_size == 0:
        refuse("the file is empty", "EMPTY")
    elif not is_picture:
        refuse(f"by its content it is no {KINDS}", "NOT_AN_IMAGE")
    elif facts.st_size > MAX_FILE_BYTES:
        refuse(f"the file has {facts.st_size:,} bytes; at most {MAX_FILE_BYTES:,} (16 MiB) are taken", "TOO_LARGE")
    elif name != shown(name):
        refuse("its name is no text that other programs could read", "NAME_INVALID")
    else:
        found.files.append(SourceFile(name, facts.st_size, facts.st_mtime_ns))


def shown(name: str) -> str:
    """A file name as text that can be printed: bytes that are no text, and control characters, become replacement characters."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
