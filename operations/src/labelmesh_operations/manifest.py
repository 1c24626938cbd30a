"""What a backup says of itself: a JSON file that is written last and carries its own hash."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from labelmesh_operations.errors import Damaged, OperationError
from labelmesh_operations.postgres import TableContent
from labelmesh_operations.storage import ObjectMissing
from labelmesh_operations.target import Target

FORMAT = 1
_FILE_NAME = re.compile(r"(attached/)?[^/.\0][^/\0]*")


@dataclass(frozen=True)
class StoredFile:
    """A file of the backup itself, below `backups/<id>/`."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class DatabaseDump:
    """One service's database at one moment. `revision` is its schema's, as Alembic counts."""

    service: str
    file: StoredFile
    server_version: str
    pg_dump_version: int
    revision: str
    taken_at: str
    tables: dict[str, TableContent]


@dataclass(frozen=True)
class Collection:
    """Files that lie among the shared objects; `list` names them."""

    list: StoredFile
    count: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """A whole backup. Times are UTC, ISO 8601."""

    id: str
    software: str
    began_at: str
    finished_at: str
    databases: tuple[DatabaseDump, ...]
    objects: Collection
    models: Collection | None
    attachments: tuple[StoredFile, ...]
    findings: tuple[str, ...]
    """What was wrong with the mesh itself while it was backed up: objects that are missing or damaged there."""

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Everything below `backups/<id>/` but the manifest."""
        lists = [self.objects.list, *([self.models.list] if self.models else [])]
        return (*(one.file for one in self.databases), *lists, *self.attachments)

    def encoded(self) -> bytes:
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps({**content, "sha256": _hash(content)}, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def manifest_name(backup: str) -> str:
    return f"backups/{backup}/manifest.json"


def write_manifest(target: Target, manifest: Manifest) -> None:
    """From now on it is a backup."""
    target.write(manifest_name(manifest.id), io.BytesIO(manifest.encoded()))


def read_manifest(target: Target, backup: str) -> Manifest:
    """Raises Damaged where a single byte of it is not as it was written or a file lies elsewhere, OperationError where there is none."""
    where = f"{manifest_name(backup)} in {target.where}"
    try:
        content = target.read(manifest_name(backup))
    except ObjectMissing:
        raise OperationError(f"There is no backup {backup} in {target.where}: its manifest.json is missing.") from None
    try:
        known = json.loads(content)
        number, digest = known["format"], known.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{where} is damaged: {error}") from None
    if _hash(known) != digest:
        raise Damaged(f"{where} is damaged: its SHA-256 is not the one that it carries.")
    if number != FORMAT:
        raise OperationError(f"{where} has format {number}, which this version does not know; use a newer one.")
    manifest = _manifest(known)
    if manifest.encoded() != content or manifest.id != backup:
        raise Damaged(f"{where} is damaged: it is not as it was written.")
    for file in manifest.files:
        # Who can write to the target can also make the hash: a restore writes nowhere but where it was told to.
        if not _FILE_NAME.fullmatch(file.name):
            raise Damaged(f"{where} is damaged: {file.name!r} leads out of its folder.")
    return manifest


def _manifest(known: dict[str, Any]) -> Manifest:
    models = known["models"]
    return Manifest(
        id=known["id"],
        software=known["software"],
        began_at=known["began_at"],
        finished_at=known["finished_at"],
        databases=tuple(_dump(one) for one in known["databases"]),
        objects=_collection(known["objects"]),
        models=_collection(models) if models else None,
        attachments=tuple(StoredFile(**one) for one in known["attachments"]),
        findings=tuple(known["findings"]),
    )


def _dump(known: dict[str, Any]) -> DatabaseDump:
    tables = {name: TableContent(**content) for name, content in known["tables"].items()}
    return DatabaseDump(**{**known, "file": StoredFile(**known["file"]), "tables": tables})


def _collection(known: dict[str, Any]) -> Collection:
    return Collection(StoredFile(**known["list"]), known["count"], known["bytes"])


def chosen_backup(target: Target, wanted: str | None) -> str:
    """`wanted`, or the newest. Raises OperationError where there is none."""
    complete, begun = target.backups()
    if wanted is not None:
        if wanted in begun:
            raise OperationError(f"{wanted} in {target.where} was never finished, so it is no backup.")
        if wanted not in complete:
            raise OperationError(f"There is no backup {wanted} in {target.where}; there are: {', '.join(complete) or 'none'}.")
        return wanted
    if not complete:
        raise OperationError(f"There is no complete backup in {target.where}.")
    return complete[-1]
