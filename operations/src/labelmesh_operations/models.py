"""The model repository in object storage: `PREFIX/files/<sha256>` is content, `PREFIX/versions/MODEL/VERSION.json` names a version's files.

A version's list is written after its files, so a version is there whole or not at all; `PREFIX/models.config` is written last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from labelmesh_operations import modelfolder
from labelmesh_operations.catalog import Entry
from labelmesh_operations.copying import at_once
from labelmesh_operations.errors import Damaged, OperationError
from labelmesh_operations.progress import Progress, amount
from labelmesh_operations.storage import Bucket, ObjectMissing

_MOST_LIST_BYTES = 16 * 2**20


class StoredModels:
    """Models below a prefix of a bucket."""

    def __init__(self, bucket: Bucket, prefix: str, progress: Progress) -> None:
        if not prefix.strip("/"):
            raise OperationError("The models need a prefix of their own in the bucket, e.g. --prefix models.")
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/"
        self._progress = progress

    def push(self, folder: Path, *, delete: bool = False) -> None:
        """Makes the object storage hold what the folder holds; only what differs is sent. With `delete`, other versions go."""
        config = folder / modelfolder.CONFIG
        if not config.is_file():
            raise OperationError(f"{folder} is no model repository: it has no {modelfolder.CONFIG}.")
        self._bucket.ensure()
        # Read first: a version that it names lies in the folder already.
        content = config.read_bytes()
        local = modelfolder.versions(folder)
        held = {key.rpartition("/")[2] for key, _ in self._bucket.listed(f"{self._prefix}files/")}
        sent = sum([self._push_version(folder, model, version, held) for model, version in local])
        if self._read(modelfolder.CONFIG) != content:
            self._bucket.put_bytes(self._prefix + modelfolder.CONFIG, content)
        gone = self._delete_others(set(local)) if delete else 0
        self._progress.say(f"{len(local)} versions in {self._bucket.where}, {self._prefix}: {sent} sent, {gone} removed.")

    def fetch(self, folder: Path, *, served_path: str | None = None, delete: bool = False) -> None:
        """Makes the folder hold what the object storage holds; only what differs is fetched. With `delete`, other versions go.

        The configuration names models below `served_path`, where the model server sees the folder; by default the folder itself. Without
        anything in the object storage it is an empty one, so that a model server can start on it.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        modelfolder.clear_left_overs(folder)
        content = self._read(modelfolder.CONFIG) if self._bucket.exists() else None
        there = self._versions() if content is not None else []
        fetched = 0
        for model, version in there:
            entries = self._list_of(model, version)
            if modelfolder.was_made(folder, model, version, entries):
                continue
            if modelfolder.materialise(folder, model, version, entries, self._open):
                fetched += 1
                self._progress.say(f"{model}/{version}: {len(entries)} files, {amount(sum(entry.size for entry in entries))}")
        if content is not None:
            modelfolder.write_config(folder, content, served_path or str(folder))
        elif not (folder / modelfolder.CONFIG).exists():
            modelfolder.write_config(folder, modelfolder.EMPTY_CONFIG, served_path or str(folder))
        gone = _delete_local(folder, set(there)) if delete and content is not None else 0
        self._progress.say(f"{len(there)} versions in {folder}: {fetched} fetched, {gone} removed.")

    def _push_version(self, folder: Path, model: str, version: str, held: set[str]) -> bool:
        place = folder / model / version
        entries = modelfolder.version_entries(place)
        listed = _encoded(entries)
        name = f"versions/{model}/{version}.json"
        if self._read(name) == listed:
            return False
        lacking = {entry.sha256: entry for entry in entries if entry.sha256 not in held}

        def send(entry: Entry) -> str:
            with (place / entry.name).open("rb") as stream:
                self._bucket.put(f"{self._prefix}files/{entry.sha256}", stream, entry.size)
            return entry.sha256

        held.update(at_once(send, lacking.values()))
        self._bucket.put_bytes(self._prefix + name, listed)
        size = amount(sum(entry.size for entry in lacking.values()))
        self._progress.say(f"{model}/{version}: {len(entries)} files, {len(lacking)} of them sent, {size}")
        return True

    def _delete_others(self, wanted: set[tuple[str, str]]) -> int:
        others = [one for one in self._versions() if one not in wanted]
        for model, version in others:
            self._bucket.remove(f"{self._prefix}versions/{model}/{version}.json")
        needed = {entry.sha256 for one in self._versions() for entry in self._list_of(*one)}
        for key, _ in list(self._bucket.listed(f"{self._prefix}files/")):
            if key.rpartition("/")[2] not in needed:
                self._bucket.remove(key)
        return len(others)

    def _versions(self) -> list[tuple[str, str]]:
        prefix = f"{self._prefix}versions/"
        lists = (key.removeprefix(prefix) for key, _ in self._bucket.listed(prefix))
        names = [name.removesuffix(".json").split("/") for name in lists if name.endswith(".json")]
        return sorted((name[0], name[1]) for name in names if len(name) == 2)

    def _list_of(self, model: str, version: str) -> list[Entry]:
        content = self._read(f"versions/{model}/{version}.json")
        try:
            return [Entry(str(one["name"]), str(one["sha256"]), int(one["size"])) for one in json.loads(content or b"null")["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(f"The list of {model}/{version} in {self._bucket.where} is damaged: {error}") from None

    @contextmanager
    def _open(self, entry: Entry) -> Iterator[BinaryIO]:
        with self._bucket.open(f"{self._prefix}files/{entry.sha256}") as stream:
            yield stream

    def _read(self, name: str) -> bytes | None:
        try:
            with self._bucket.open(self._prefix + name) as stream:
                return stream.read(_MOST_LIST_BYTES)
        except ObjectMissing:
            return None


def _encoded(entries: Sequence[Entry]) -> bytes:
    return json.dumps({"files": [asdict(entry) for entry in entries]}, indent=1, ensure_ascii=False).encode() + b"\n"


def _delete_local(folder: Path, wanted: set[tuple[str, str]]) -> int:
    import shutil

    others = [one for one in modelfolder.versions(folder) if one not in wanted]
    for model, version in others:
        shutil.rmtree(folder / model / version)
    return len(others)
