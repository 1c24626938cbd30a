"""Which versions of a model a base path offers, and which of them a version policy asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labelmesh_modelserver.statuses import ServingError, invalid_argument

_MAX_VERSION = 2**63 - 1
_NUMBER = re.compile(r"\s*-?[0-9]+\s*", re.ASCII)


@dataclass(frozen=True)
class Latest:
    """The `count` highest versions on disk. The default, with one."""

    count: int = 1


@dataclass(frozen=True)
class All:
    """Every version on disk."""


@dataclass(frozen=True)
class Specific:
    """These versions, as far as they are on disk."""

    versions: frozenset[int]


Policy = Latest | All | Specific


def version_number(folder: str) -> int | None:
    """The version a folder's name stands for, None where it is no version.

    Leading zeros count for nothing (`0042` is version 42), as in TensorFlow Serving, whose parser (`safe_strto64`) also takes
    spaces around the number. Negative numbers and those above 2^63 - 1 are no versions: the real server crashes on the first.
    """
    if _NUMBER.fullmatch(folder) is None:
        return None
    number = int(folder)
    return number if 0 <= number <= _MAX_VERSION else None


def index_versions(folders: Iterable[str]) -> dict[int, str]:
    """Folder names by version. Of two names for one version the one that sorts last is taken, as in TensorFlow Serving."""
    found: dict[int, str] = {}
    for folder in sorted(folders):
        number = version_number(folder)
        if number is not None:
            found[number] = folder
    return found


def choose(policy: Policy, on_disk: Mapping[int, str]) -> dict[int, str]:
    """The versions to serve, with their folders."""
    if isinstance(policy, All):
        return dict(on_disk)
    if isinstance(policy, Specific):
        return {number: folder for number, folder in on_disk.items() if number in policy.versions}
    newest = sorted(on_disk, reverse=True)[: max(policy.count, 1)]
    return {number: on_disk[number] for number in newest}


def scan(model: str, base_path: str, policy: Policy) -> dict[int, str]:
    """The paths of the versions to serve, by number.

    Raises:
        ServingError: INVALID_ARGUMENT where the base path cannot be read. Then nothing is known about the versions, and
            what is served stays: a share that is away for a moment unloads nothing.
    """
    base = Path(base_path)
    try:
        folders = [entry.name for entry in base.iterdir() if entry.is_dir()]
    except OSError as problem:
        raise _unreadable(model, base_path, problem) from problem
    return {number: str(base / folder) for number, folder in choose(policy, index_versions(folders)).items()}


def _unreadable(model: str, base_path: str, problem: OSError) -> ServingError:
    reason = problem.strerror or str(problem)
    return invalid_argument(
        f"Could not find base path {base_path} for servable {model} with error NOT_FOUND: {base_path} not found ({reason})"
    )
