"""Whether backups are what they were when they were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from labelmesh_operations.catalog import Entry, WorkingCatalog, working_catalog
from labelmesh_operations.copying import at_once
from labelmesh_operations.errors import Damaged, OperationError
from labelmesh_operations.hashing import HashingReader, drain
from labelmesh_operations.manifest import Manifest, StoredFile, read_manifest
from labelmesh_operations.postgres import find_binaries, is_readable
from labelmesh_operations.progress import Progress, amount
from labelmesh_operations.retention import contents
from labelmesh_operations.storage import ObjectMissing
from labelmesh_operations.target import Target, object_name


def verify(target: Target, backups: Sequence[str], progress: Progress, *, binaries: Path | None = None) -> list[str]:
    """Reads every byte of the backups and of the objects that they share; returns what is wrong, empty if nothing is.

    Content that several backups share is read once.
    """
    problems: list[str] = []
    with working_catalog() as good:
        for backup in backups:
            found = _problems(target, backup, good, progress, binaries)
            progress.say(f"  {backup}: {f'{len(found)} problems' if found else 'whole'}")
            problems += found
    return problems


def _problems(target: Target, backup: str, good: WorkingCatalog, progress: Progress, binaries: Path | None) -> list[str]:
    try:
        target.check()
        manifest = read_manifest(target, backup)
    except OperationError as error:
        return [str(error)]
    problems = [problem for file in manifest.files if (problem := _file_problem(target, manifest, file))]
    problems += _strangers(target, manifest)
    problems += _unreadable(target, manifest, binaries)
    try:
        problems += _content_problems(target, manifest, good, progress)
    except OperationError as error:
        problems.append(str(error))
    return list(dict.fromkeys(problems))


def _file_problem(target: Target, manifest: Manifest, file: StoredFile) -> str:
    name = f"backups/{manifest.id}/{file.name}"
    return _difference(target, name, Entry(name, file.sha256, file.size))


def _difference(target: Target, name: str, wanted: Entry) -> str:
    try:
        with target.open(name) as stream:
            reader = drain(HashingReader(stream))
    except ObjectMissing:
        return f"{name} is missing."
    if reader.sha256 != wanted.sha256:
        return f"{name} is damaged: {reader.size:,} bytes with another SHA-256 than the manifest's {wanted.size:,}."
    return ""


def _strangers(target: Target, manifest: Manifest) -> list[str]:
    known = {f"backups/{manifest.id}/{file.name}" for file in manifest.files} | {f"backups/{manifest.id}/manifest.json"}
    return [f"{name} is not of this backup." for name, _ in target.files(f"backups/{manifest.id}/") if name not in known]


def _unreadable(target: Target, manifest: Manifest, binaries: Path | None) -> list[str]:
    problems = []
    for dump in manifest.databases:
        program = find_binaries(dump.pg_dump_version, binaries)
        name = f"backups/{manifest.id}/{dump.file.name}"
        try:
            with target.open(name) as stream:
                said = is_readable(stream, program)
        except ObjectMissing:
            continue  # said already
        if said:
            problems.append(f"{name} cannot be read by pg_restore: {said}")
    return problems


def _content_problems(target: Target, manifest: Manifest, good: WorkingCatalog, progress: Progress) -> list[str]:
    count = size = 0
    problems = []

    def unseen() -> Iterator[Entry]:
        nonlocal count
        for entry in contents(target, manifest):
            count += 1
            if not good.holds(entry.sha256):
                yield entry

    def look(entry: Entry) -> tuple[Entry, str]:
        return entry, _difference(target, object_name(entry.sha256), entry)

    for entry, problem in at_once(look, unseen()):
        if problem:
            problems.append(f"{problem} {entry.name} needs it.")
        else:
            good.hold(entry.sha256, entry.size)
            size += entry.size
        progress.tick(f"  {manifest.id}: {count:,} files, {amount(size)} read")
    wanted = manifest.objects.count + (manifest.models.count if manifest.models else 0)
    if count != wanted:
        problems.append(f"The lists of {manifest.id} name {count:,} files, the manifest {wanted:,}.")
    return problems


def require_whole(target: Target, backup: str, progress: Progress, *, binaries: Path | None = None) -> Manifest:
    """The manifest of a backup that was read to its last byte. Raises Damaged with everything that is wrong."""
    problems = verify(target, [backup], progress, binaries=binaries)
    if problems:
        raise Damaged("The backup is damaged:\n" + "\n".join(f"  {problem}" for problem in problems[:50]))
    return read_manifest(target, backup)
