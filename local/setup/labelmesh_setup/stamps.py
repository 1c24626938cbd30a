"""Doing a step only when its inputs changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from labelmesh_setup.places import HOUSE


def _files(paths: Iterable[Path], without: frozenset[str] = frozenset()) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(name for name in folders if name not in without and not name.endswith(".egg-info"))
                yield from (Path(folder) / name for name in sorted(names))


def content_hash(paths: Iterable[Path], *facts: str, without: frozenset[str] = frozenset()) -> str:
    """SHA-256 over names and contents of the files and over the facts."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in _files(paths, without):
        digest.update(str(path.relative_to(HOUSE)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Stamps:
    """Remembers with which inputs a step was last done."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(path.read_text())

    def fits(self, step: str, digest: str) -> bool:
        return self._known.get(step) == digest

    def get(self, step: str) -> str:
        """What was kept for the step, or nothing."""
        return self._known.get(step, "")

    def set(self, step: str, digest: str) -> None:
        self._known[step] = digest
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps(self._known, indent=1, sort_keys=True))
        scratch.replace(self._path)

    def forget(self) -> None:
        self._known = {}
