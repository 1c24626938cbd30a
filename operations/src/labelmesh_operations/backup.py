"""Making a backup.

The order is what makes it whole. Most objects are copied first, which may take hours. Then all databases are held at one moment each,
within milliseconds, and dumped. Then what came to the object storage since the first look is copied. An object that a dump refers to was
there at its moment, so the second look finds it: services delete an object an hour after the last reference to it at the earliest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from labelmesh_operations import modelfolder
from labelmesh_operations.catalog import Entry, WorkingCatalog, packed, working_catalog
from labelmesh_operations.copying import at_once, keep
from labelmesh_operations.errors import OperationError
from labelmesh_operations.hashing import hash_in_name
from labelmesh_operations.manifest import Collection, DatabaseDump, Manifest, StoredFile, write_manifest
from labelmesh_operations.postgres import ServiceDatabase, Snapshot, major_version
from labelmesh_operations.progress import Progress, amount
from labelmesh_operations.references import referred_objects
from labelmesh_operations.retention import keep_newest
from labelmesh_operations.storage import Bucket, ObjectMissing
from labelmesh_operations.target import Target

_MOST_FINDINGS = 100


@dataclass(frozen=True)
class Source:
    """What is backed up. `models` is the folder of the model repository; `attachments` are further small files by name."""

    databases: Sequence[ServiceDatabase]
    bucket: Bucket
    models: Path | None = None
    attachments: dict[str, Path] = field(default_factory=dict)


@dataclass
class _Copied:
    count: int = 0
    size: int = 0


def make_backup(source: Source, target: Target, progress: Progress, *, keep_backups: int | None = None) -> Manifest:
    """A complete backup in `target`, or none: its manifest is written last. What a killed one has copied is not copied again.

    Memory does not grow with what there is. Raises OperationError; the mesh serves on all the while.
    """
    with target.lock(), working_catalog() as catalog:
        target.prepare()
        target.clear_left_overs()
        complete, begun = target.backups()
        for backup in begun:
            target.remove_backup(backup)
        manifest = _Run(source, target, progress, catalog, _new_id(complete)).run()
        if keep_backups is not None:
            keep_newest(target, keep_backups, progress)
        return manifest


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _new_id(known: Sequence[str]) -> str:
    """The time, so that ids sort as backups were made."""
    while (backup := datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")) in known or (known and backup < known[-1]):
        if known and backup < known[-1]:
            raise OperationError(f"The newest backup, {known[-1]}, is later than this machine's clock ({backup}). Set the clock right.")
        time.sleep(0.1)
    return backup


class _Run:
    def __init__(self, source: Source, target: Target, progress: Progress, catalog: WorkingCatalog, backup: str) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._catalog = catalog
        self._id = backup
        self._copied = _Copied()
        self._findings: list[str] = []

    def run(self) -> Manifest:
        began = _now()
        for name, size in self._target.files("objects/"):
            if digest := hash_in_name(name):
                self._catalog.hold(digest, size)
        self._progress.say(f"Backup {self._id} to {self._target.where}")
        self._copy_objects(1)
        databases = self._dump_databases()
        self._copy_objects(2)
        objects = self._list_objects()
        models = self._copy_models()
        attachments = tuple(self._attach(name, path) for name, path in sorted(self._source.attachments.items()))
        manifest = Manifest(
            self._id, version("labelmesh-operations"), began, _now(), databases, objects, models, attachments, tuple(self._findings)
        )
        write_manifest(self._target, manifest)
        return manifest

    def _find(self, text: str) -> None:
        self._progress.say(f"WARNING: {text}")
        if len(self._findings) < _MOST_FINDINGS:
            self._findings.append(text)

    # --- objects ---

    def _copy_objects(self, number: int) -> None:
        """Looks at everything in the object storage and copies what no backup has."""
        if not self._source.bucket.exists():
            self._find(f"{self._source.bucket.where} is not there.")
            return
        self._copied = _Copied()
        seen = 0

        def lacking() -> Iterator[str]:
            nonlocal seen
            for key, size in self._source.bucket.listed():
                seen += 1
                digest = hash_in_name(key)
                if digest is not None and self._catalog.sees_again(key, size, number):
                    continue
                if digest is not None and self._catalog.holds(digest, size):
                    self._catalog.add(Entry(key, digest, size), number)
                else:
                    yield key

        for entry in at_once(self._copy, lacking()):
            if entry is None:
                continue
            digest = hash_in_name(entry.name)
            if digest is not None and digest != entry.sha256:
                self._find(f"The object {entry.name} is damaged in {self._source.bucket.where}: its content's SHA-256 is {entry.sha256}.")
            self._catalog.hold(entry.sha256, entry.size)
            self._catalog.add(entry, number)
            self._copied.count += 1
            self._copied.size += entry.size
            self._progress.tick(f"  objects: {seen:,} seen, {self._copied.count:,} copied ({amount(self._copied.size)})")
        which = "objects" if number == 1 else "objects since"
        self._progress.say(f"  {which}: {seen:,} there, {self._copied.count:,} copied ({amount(self._copied.size)})")

    def _copy(self, key: str) -> Entry | None:
        try:
            with self._source.bucket.open(key) as stream:
                reader = keep(self._target, stream)
        except ObjectMissing:
            return None  # A sweep was faster.
        return Entry(key, reader.sha256, reader.size)

    def _list_objects(self) -> Collection:
        self._catalog.forget_stale(2)
        count, names = self._catalog.missing(_MOST_FINDINGS)
        for name in names:
            self._find(f"The object {name} is missing in {self._source.bucket.where} although a database refers to it.")
        if count > len(names):
            self._find(f"{count - len(names):,} further objects are missing.")
        total, size = self._catalog.total()
        with packed(self._catalog.entries()) as stream:
            written = self._target.write(f"backups/{self._id}/objects.jsonl.gz", stream)
        return Collection(StoredFile("objects.jsonl.gz", written.size, written.sha256), total, size)

    # --- databases ---

    def _dump_databases(self) -> tuple[DatabaseDump, ...]:
        versions = {database.service: database.server_version() for database in self._source.databases}
        binaries = {database.service: database.binaries() for database in self._source.databases}
        with ExitStack() as stack:
            held = [(database, stack.enter_context(database.snapshot()), _now()) for database in self._source.databases]
            return tuple(
                self._dump(database, snapshot, moment, versions[database.service], binaries[database.service])
                for database, snapshot, moment in held
            )

    def _dump(self, database: ServiceDatabase, snapshot: Snapshot, moment: str, server: str, binaries: Path) -> DatabaseDump:
        name = f"{database.service}.dump"
        with database.dumped(snapshot, binaries) as stream:
            written = self._target.write(f"backups/{self._id}/{name}", stream)
        tables = snapshot.tables()
        for key in referred_objects(database.service, snapshot):
            self._catalog.refer(key)
        rows = sum(content.rows for content in tables.values())
        self._progress.say(f"  {database.service}: {len(tables)} tables, {rows:,} rows, {amount(written.size)}")
        file = StoredFile(name, written.size, written.sha256)
        return DatabaseDump(database.service, file, server, major_version(binaries / "pg_dump") or 0, snapshot.revision(), moment, tables)

    # --- models and attachments ---

    def _copy_models(self) -> Collection | None:
        root = self._source.models
        if root is None:
            return None
        config = root / modelfolder.CONFIG
        # Read first: a version that it names lies there already.
        paths = [(modelfolder.CONFIG, config)] if config.is_file() else []
        for model, number in modelfolder.versions(root):
            folder = root / model / number
            paths += [(f"{model}/{number}/{name}", path) for name, path in modelfolder.files(folder)]
        entries = [self._keep_file(name, path) for name, path in paths]
        with packed(sorted(entries, key=lambda entry: entry.name)) as stream:
            written = self._target.write(f"backups/{self._id}/models.jsonl.gz", stream)
        size = sum(entry.size for entry in entries)
        self._progress.say(f"  models: {len(entries)} files, {amount(size)}")
        return Collection(StoredFile("models.jsonl.gz", written.size, written.sha256), len(entries), size)

    def _keep_file(self, name: str, path: Path) -> Entry:
        with path.open("rb") as stream:
            entry = modelfolder.hashed_entry(name, path)
            if not self._catalog.holds(entry.sha256, entry.size):
                reader = keep(self._target, stream)
                entry = Entry(name, reader.sha256, reader.size)
                self._catalog.hold(entry.sha256, entry.size)
        return entry

    def _attach(self, name: str, path: Path) -> StoredFile:
        if "/" in name or name.startswith(".") or not name:
            raise OperationError(f"{name!r} is no name for an attachment.")
        with path.open("rb") as stream:
            written = self._target.write(f"backups/{self._id}/attached/{name}", stream)
        return StoredFile(f"attached/{name}", written.size, written.sha256)
