"""Finding the JPEG and PNG files of a folder."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labelmesh_client.errors import SourceError
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.importing import ImageFile

ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png"})


@dataclass
class FolderScan:
    """What a folder has: files to import in the order of their names, those that cannot be with the reason, and what was left aside."""

    files: list[ImageFile] = field(default_factory=list)
    #: Name and reason.
    unusable: list[tuple[str, str]] = field(default_factory=list)
    #: How many files have another ending, by ending.
    other_endings: Counter[str] = field(default_factory=Counter)
    #: Folders that are symbolic links: they are not entered.
    linked_folders: list[str] = field(default_factory=list)

    @property
    def total_bytes(self) -> int:
        return sum(min(file.size, MAX_FILE_BYTES) for file in self.files)


def scan_folder(folder: Path, *, recursive: bool = True) -> FolderScan:
    """Looks through a folder; names are paths below it with slashes. Reads no file's content.

    Hidden files and folders are passed over. Folders that are symbolic links are not entered, so there are no loops; a file that is one
    is taken only if it leads to a file inside the folder. Raises SourceError when the folder itself cannot be read.
    """
    try:
        root = folder.resolve(strict=True)
        if not root.is_dir():
            raise SourceError(f"{folder} is not a folder.")
        os.listdir(root)
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read: {error.strerror or error}.") from None
    scan = FolderScan()
    for entry, name in _entries(root, "", recursive, scan):
        _look_at(root, entry, name, scan)
    return scan


def _entries(folder: Path, prefix: str, recursive: bool, scan: FolderScan) -> Iterator[tuple[os.DirEntry[str], str]]:
    waiting = [(folder, prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            scan.unusable.append((_shown(prefix.rstrip("/")), f"the folder cannot be read: {error.strerror or error}"))
            continue
        below = []
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                below.append((Path(entry.path), name + "/"))
            elif entry.is_symlink() and _leads_to_folder(entry):
                scan.linked_folders.append(_shown(name))
            else:
                yield entry, name
        if recursive:
            waiting.extend(reversed(below))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a loop
        return False


def _look_at(root: Path, entry: os.DirEntry[str], name: str, scan: FolderScan) -> None:
    ending = os.path.splitext(entry.name)[1].lower()
    if ending not in ENDINGS:
        scan.other_endings[_shown(ending) or "without"] += 1
        return
    shown = _shown(name)
    try:
        path = Path(entry.path)
        if entry.is_symlink():
            path = path.resolve(strict=True)
            if not path.is_relative_to(root):
                scan.unusable.append((shown, "it is a link that leads out of the folder"))
                return
        facts = path.stat()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is a link in a loop"
        scan.unusable.append((shown, f"it cannot be read: {reason}"))
        return
    if not stat.S_ISREG(facts.st_mode):
        scan.unusable.append((shown, "it is not a regular file"))
        return
    scan.files.append(ImageFile(shown, facts.st_size, lambda: _read(path)))


def _read(path: Path) -> bytes:
    """At most one byte more than is taken, should the file have grown; without following a link that appeared meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _shown(name: str) -> str:
    """A file name as text that can be printed and sent: bytes that are no text, and control characters, become replacement characters."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
