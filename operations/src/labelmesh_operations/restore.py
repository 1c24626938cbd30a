"""Bringing a backup back into an empty mesh, whose services are stopped.

A table `labelmesh_restore` marks each database until everything was compared. So a restore that was killed is known as such: the same
command does it again, and nothing else takes the half of it for a mesh.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labelmesh_operations import modelfolder
from labelmesh_operations.catalog import Entry
from labelmesh_operations.copying import at_once
from labelmesh_operations.errors import Busy, Damaged, Denied, NotEmpty, OperationError, spoken
from labelmesh_operations.hashing import HashingReader, drain
from labelmesh_operations.manifest import DatabaseDump, Manifest, read_manifest
from labelmesh_operations.postgres import ServiceDatabase, find_binaries
from labelmesh_operations.progress import Progress, amount
from labelmesh_operations.retention import listed
from labelmesh_operations.storage import Bucket, ObjectMissing
from labelmesh_operations.target import Target, object_name
from labelmesh_operations.verify import require_whole

_SIGNING_SERVICE, _SIGNING_TABLE = "auth", "signing_keys"


@dataclass(frozen=True)
class Destination:
    """The mesh that a backup is restored into. `models` is where its model repository belongs, `served_models` where its server sees it,
    `attachments` a folder for the further files that the backup was given."""

    databases: Sequence[ServiceDatabase]
    bucket: Bucket
    models: Path | None = None
    served_models: str | None = None
    attachments: Path | None = None


@dataclass(frozen=True)
class Wishes:
    """`force`: over what is there. `verify`: read the whole backup before anything is changed. `keep_signing_keys`: sessions go on, where
    auth has the same key encryption key as before."""

    force: bool = False
    verify: bool = True
    keep_signing_keys: bool = False


@dataclass(frozen=True)
class Compared:
    """One line of the comparison."""

    what: str
    backup: str
    restored: str

    @property
    def equal(self) -> bool:
        return self.backup == self.restored


def restore(target: Target, backup: str, destination: Destination, wishes: Wishes, progress: Progress) -> list[Compared]:
    """Restores and compares; returns the comparison, in which every line is equal.

    Raises NotEmpty (nothing was changed), Busy while services are connected, Damaged where the comparison finds a difference.
    """
    target.check()
    with _locked(target):
        return _restore(target, backup, destination, wishes, progress)


@contextmanager
def _locked(target: Target) -> Iterator[None]:
    """Keeps a backup's --keep from removing what is read here; where this account may only read, nobody is kept away."""
    with ExitStack() as stack:
        with suppress(Denied):
            stack.enter_context(target.lock())
        yield


def _restore(target: Target, backup: str, destination: Destination, wishes: Wishes, progress: Progress) -> list[Compared]:
    # First what takes no time: a person should not wait an hour for a refusal.
    _refuse_users(destination)
    _refuse_older_servers(read_manifest(target, backup), destination)
    _refuse_data(backup, destination, wishes)
    if wishes.verify:
        progress.say(f"Reading backup {backup} in {target.where} ...")
        require_whole(target, backup, progress, binaries=destination.databases[0].binaries())
    return _Run(target, read_manifest(target, backup), destination, wishes, progress).run()


def _refuse_users(destination: Destination) -> None:
    lines = [f"  {database.service}: {', '.join(users)}" for database in destination.databases if (users := database.others())]
    if lines:
        raise Busy("Somebody is connected to the databases; stop the services first:\n" + "\n".join(lines))


def _refuse_older_servers(manifest: Manifest, destination: Destination) -> None:
    versions = {database.service: database.server_version() for database in destination.databases}
    for dump in manifest.databases:
        if dump.service not in versions:
            continue
        here, there = (int(version.split(".")[0]) for version in (versions[dump.service], dump.server_version))
        if here < there:
            raise OperationError(
                f"{dump.service} was backed up from PostgreSQL {there}; this server is {here}. Restore into {there} or newer."
            )
    missing = {database.service for database in destination.databases} - {dump.service for dump in manifest.databases}
    if missing:
        raise OperationError(f"The backup has no database of {', '.join(sorted(missing))}.")


def _refuse_data(backup: str, destination: Destination, wishes: Wishes) -> None:
    """Raises NotEmpty with what is there, but for an interrupted restore of the same backup."""
    marks = {database.service: database.is_marked() for database in destination.databases}
    if wishes.force or (any(marks.values()) and set(marks.values()) <= {backup, None} and _only_marked_have_rows(destination, marks)):
        return
    lines = []
    for database in destination.databases:
        if mark := marks[database.service]:
            lines.append(f"  {database.service}: an interrupted restore of {mark}")
        elif rows := database.rows():
            lines.append(f"  {database.service}: " + ", ".join(f"{name} {count:,}" for name, count in rows.items()))
    if destination.bucket.exists() and (first := next(destination.bucket.listed(), None)) is not None:
        lines.append(f"  {destination.bucket.where}: objects such as {first[0]}")
    if destination.models is not None and (there := modelfolder.versions(destination.models)):
        lines.append(f"  {destination.models}: {len(there)} versions of models")
    if lines:
        raise NotEmpty(
            "This mesh is not empty, so nothing was restored:\n" + "\n".join(lines) + "\nRestore into an empty one, or give up what is"
            " there with --force."
        )


def _only_marked_have_rows(destination: Destination, marks: dict[str, str | None]) -> bool:
    return all(marks[database.service] or not database.rows() for database in destination.databases)


class _Run:
    def __init__(self, target: Target, manifest: Manifest, destination: Destination, wishes: Wishes, progress: Progress) -> None:
        self._target = target
        self._manifest = manifest
        self._destination = destination
        self._wishes = wishes
        self._progress = progress
        self._dumps = {dump.service: dump for dump in manifest.databases}

    def run(self) -> list[Compared]:
        for database in self._destination.databases:
            database.mark(self._manifest.id)
        self._objects()
        for database in self._destination.databases:
            self._database(database, self._dumps[database.service])
        self._models()
        self._attachments()
        lines = list(self._compare())
        different = [line for line in lines if not line.equal]
        if different:
            words = "\n".join(f"  {line.what}: {line.backup} in the backup, {line.restored} restored" for line in different)
            raise Damaged(f"What was restored is not what the backup holds:\n{words}\nThe databases stay marked; run the restore again.")
        if not self._wishes.keep_signing_keys:
            self._forget_signing_keys()
        for database in self._destination.databases:
            database.unmark()
        return lines

    def _objects(self) -> None:
        bucket = self._destination.bucket
        bucket.ensure()
        count = size = 0

        def put(entry: Entry) -> Entry:
            with self._open(entry) as stream:
                bucket.put(entry.name, stream, entry.size)
            return entry

        for entry in at_once(put, listed(self._target, self._manifest, self._manifest.objects)):
            count += 1
            size += entry.size
            self._progress.tick(f"  objects: {count:,} of {self._manifest.objects.count:,}, {amount(size)}")
        self._progress.say(f"  objects: {count:,} restored, {amount(size)}")

    def _database(self, database: ServiceDatabase, dump: DatabaseDump) -> None:
        server = int(database.server_version().split(".")[0])
        binaries = find_binaries(max(server, dump.pg_dump_version), database.wanted_binaries)
        database.clear()
        with self._target.open(f"backups/{self._manifest.id}/{dump.file.name}") as stream:
            database.load(stream, binaries)
        database.analyze(dump.tables)
        rows = sum(content.rows for content in dump.tables.values())
        self._progress.say(
            f"  {database.service}: {len(dump.tables)} tables, {rows:,} rows, schema {dump.revision or 'without a revision'}"
        )

    def _models(self) -> None:
        root, collection = self._destination.models, self._manifest.models
        if root is None or collection is None:
            return
        root.mkdir(parents=True, exist_ok=True)
        modelfolder.clear_left_overs(root)
        folders: dict[tuple[str, str], list[Entry]] = {}
        config: Entry | None = None
        for entry in listed(self._target, self._manifest, collection):
            if entry.name == modelfolder.CONFIG:
                config = entry
                continue
            model, version, name = entry.name.split("/", 2)
            folders.setdefault((model, version), []).append(Entry(name, entry.sha256, entry.size))
        for (model, version), entries in folders.items():
            modelfolder.materialise(root, model, version, entries, self._open)
        if config is not None:
            with self._open(config) as stream:
                modelfolder.write_config(root, stream.read(), self._destination.served_models or str(root.absolute()))
        self._progress.say(f"  models: {len(folders)} versions")

    def _attachments(self) -> None:
        root = self._destination.attachments
        if root is None:
            return
        with spoken(root):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for file in self._manifest.attachments:
                place = root / file.name.removeprefix("attached/")
                place.unlink(missing_ok=True)
                content = self._target.read(f"backups/{self._manifest.id}/{file.name}")
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise Damaged(f"{file.name} of {self._manifest.id} is damaged.")
                with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(content)

    def _open(self, entry: Entry) -> AbstractContextManager[BinaryIO]:
        return self._target.open(object_name(entry.sha256))

    # --- comparing ---

    def _compare(self) -> Iterator[Compared]:
        self._progress.say("Comparing ...")
        for database in self._destination.databases:
            dump = self._dumps[database.service]
            with database.snapshot() as snapshot:
                restored, revision = snapshot.tables(), snapshot.revision()
            yield Compared(f"{database.service}: schema", dump.revision, revision)
            for name in sorted(dump.tables.keys() | restored.keys()):
                wanted, found = dump.tables.get(name), restored.get(name)
                said = [f"{one.rows:,} rows, {one.fingerprint}" if one else "no such table" for one in (wanted, found)]
                yield Compared(f"{database.service}: {name}", *said)
        yield self._compared_objects()
        if self._destination.models is not None and self._manifest.models is not None:
            yield self._compared_models(self._destination.models)

    def _compared_objects(self) -> Compared:
        """Every object is read again from where it was put."""
        good = 0
        wanted = self._manifest.objects.count

        def same(entry: Entry) -> bool:
            try:
                with self._destination.bucket.open(entry.name) as stream:
                    reader = drain(HashingReader(stream))
            except ObjectMissing:
                return False
            return (reader.sha256, reader.size) == (entry.sha256, entry.size)

        for equal in at_once(same, listed(self._target, self._manifest, self._manifest.objects)):
            good += equal
            self._progress.tick(f"  objects: {good:,} of {wanted:,} compared")
        return Compared("objects, by SHA-256", f"{wanted:,}", f"{good:,}")

    def _compared_models(self, root: Path) -> Compared:
        assert self._manifest.models is not None
        wanted = good = 0
        for entry in listed(self._target, self._manifest, self._manifest.models):
            if entry.name == modelfolder.CONFIG:
                continue  # its paths are this place's
            wanted += 1
            path = root / entry.name
            good += path.is_file() and modelfolder.hashed_entry(entry.name, path) == entry
        return Compared("files of models, by SHA-256", f"{wanted:,}", f"{good:,}")

    def _forget_signing_keys(self) -> None:
        """Sessions of the backup's time end: some of them were ended since by their users."""
        for database in self._destination.databases:
            if database.service == _SIGNING_SERVICE and _SIGNING_TABLE in self._dumps[database.service].tables:
                database.execute(f"DELETE FROM public.{_SIGNING_TABLE}")


def table(lines: Sequence[Compared]) -> str:
    """The comparison for people: one line for each, numbers of rows without their fingerprints."""
    width = max(len(line.what) for line in lines)
    return "\n".join(
        f"  {line.what:<{width}}  {line.backup.partition(' rows,')[0]:>12}  {'equal' if line.equal else 'DIFFERENT'}" for line in lines
    )
