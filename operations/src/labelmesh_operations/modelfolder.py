"""A model repository as a folder: `MODEL/VERSION/` with a SavedModel in each, and `models.config` that says what is served.

A version appears by one rename, so that a model server never sees half of one; the configuration comes last.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from labelmesh_operations.catalog import Entry
from labelmesh_operations.errors import Damaged, OperationError, spoken
from labelmesh_operations.hashing import CHUNK_BYTES, HashingReader, drain

CONFIG = "models.config"
EMPTY_CONFIG = b"""\
# Written by labelmesh; changes by hand are lost. Remove this line to keep the file to yourself.
model_config_list {
}
"""
_INCOMING = ".incoming-"
_MODEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")
_BASE_PATH = re.compile(rb'^(?P<before>\s*base_path: ")(?P<path>[^"\\\n]+)(?P<after>")', re.MULTILINE)

Opener = Callable[[Entry], AbstractContextManager[BinaryIO]]


def versions(root: Path) -> list[tuple[str, str]]:
    """Model and version of everything that lies there whole, in order."""
    if not root.is_dir():
        return []
    return [
        (model.name, version.name)
        for model in sorted(root.iterdir())
        if _MODEL.fullmatch(model.name) and model.is_dir()
        for version in sorted(model.iterdir(), key=lambda path: path.name)
        if _VERSION.fullmatch(version.name) and version.is_dir()
    ]


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name below the folder, and path, of every file, by name. Raises OperationError for what is neither a file nor a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise OperationError(f"{path} is neither a file nor a folder; a model may not hold such a thing.")
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def version_entries(folder: Path) -> list[Entry]:
    """The files of one version, hashed."""
    return sorted((hashed_entry(name, path) for name, path in files(folder)), key=lambda entry: entry.name)


def hashed_entry(name: str, path: Path) -> Entry:
    """The file at `path`, to be known as `name`."""
    with path.open("rb") as stream:
        reader = drain(HashingReader(stream))
    return Entry(name, reader.sha256, reader.size)


def was_made(root: Path, model: str, version: str, entries: Sequence[Entry]) -> bool:
    """Whether `materialise` has made exactly this version here and sizes are still right: a look that can be repeated every minute."""
    place, stamp = root / model / version, _stamp(root, model, version)
    if not place.is_dir() or not stamp.is_file() or stamp.read_text() != _stamped(entries):
        return False
    return sorted((name, path.stat().st_size) for name, path in files(place)) == sorted((entry.name, entry.size) for entry in entries)


def _stamp(root: Path, model: str, version: str) -> Path:
    return root / ".fetched" / model / f"{version}.sha256"


def _stamped(entries: Sequence[Entry]) -> str:
    return "".join(f"{entry.sha256}  {entry.name}\n" for entry in sorted(entries, key=lambda entry: entry.name))


def materialise(root: Path, model: str, version: str, entries: Sequence[Entry], opened: Opener) -> bool:
    """Brings a version's folder to exactly these files; False if it was so already. Raises Damaged for content that is another."""
    if not _MODEL.fullmatch(model) or not _VERSION.fullmatch(version):
        raise Damaged(f"{model}/{version} is no version of a model.")
    place = root / model / version
    if place.is_dir() and version_entries(place) == sorted(entries, key=lambda entry: entry.name):
        _write_stamp(root, model, version, entries)
        return False
    incoming = root / f"{_INCOMING}{secrets.token_hex(8)}"
    leaving = root / f"{_INCOMING}{secrets.token_hex(8)}"
    try:
        with spoken(root):
            incoming.mkdir(parents=True)
            for entry in entries:
                _write(incoming / _checked(entry.name), entry, opened)
            place.parent.mkdir(exist_ok=True)
            if place.exists():
                place.rename(leaving)
            incoming.rename(place)
            _sync(place.parent)
            _sync(root)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.rmtree(leaving, ignore_errors=True)
    _write_stamp(root, model, version, entries)
    return True


def _write_stamp(root: Path, model: str, version: str, entries: Sequence[Entry]) -> None:
    stamp = _stamp(root, model, version)
    with spoken(root):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        fresh = stamp.with_name(f".{stamp.name}.new")
        fresh.write_text(_stamped(entries))
        fresh.replace(stamp)


def _write(path: Path, entry: Entry, opened: Opener) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened(entry) as stream, path.open("xb") as file:
        reader = HashingReader(stream)
        while chunk := reader.read(CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if (reader.sha256, reader.size) != (entry.sha256, entry.size):
        raise Damaged(f"{entry.name}: its content is not what its hash says.")


def _checked(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise Damaged(f"{name!r} leads out of its folder.")
    return name


def clear_left_overs(root: Path) -> None:
    """Removes what a killed command left half written."""
    for path in root.glob(f"{_INCOMING}*"):
        shutil.rmtree(path, ignore_errors=True)


def write_config(root: Path, content: bytes, served_path: str) -> bool:
    """Replaces the configuration, with the models' paths below `served_path`; False if it was so already."""

    def moved(found: re.Match[bytes]) -> bytes:
        name = PurePosixPath(found["path"].decode()).name
        return found["before"] + f"{served_path.rstrip('/')}/{name}".encode() + found["after"]

    wanted = _BASE_PATH.sub(moved, content)
    place = root / CONFIG
    if place.exists() and place.read_bytes() == wanted:
        return False
    fresh = root / f".{CONFIG}-{secrets.token_hex(8)}"
    try:
        with spoken(root):
            root.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(wanted)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(place)
            _sync(root)
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
