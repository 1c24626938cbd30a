"""Where backups lie: a folder, or a bucket of an S3 server. Both hold the same names.

`objects/ab/<sha256>` is content, shared by all backups; `backups/<id>/` holds a backup's own files, `manifest.json` last: without it there
is no backup. `labelmesh-backup.json` says that this place is one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from labelmesh_operations.errors import Busy, Damaged, OperationError, spoken
from labelmesh_operations.hashing import CHUNK_BYTES, HashingReader
from labelmesh_operations.settings import TargetSettings, load_settings
from labelmesh_operations.storage import Bucket, ObjectMissing

MARKER = "labelmesh-backup.json"
MARKER_CONTENT = b'{"format": 1, "what": "backups of a labelmesh; see docs/backup.md"}\n'
_INCOMING = ".incoming"
_LOCK = "lock.json"
_LOCK_SECONDS = 600.0
"""A lock in a bucket that was not renewed for this long is nobody's."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Written:
    """A file as it was written."""

    size: int
    sha256: str


def object_name(sha256: str) -> str:
    """Where content lies."""
    return f"objects/{sha256[:2]}/{sha256}"


class Target(ABC):
    """Files by name. A name appears with its whole content, or not at all."""

    where: str

    @abstractmethod
    def write(self, name: str, stream: BinaryIO) -> Written:
        """Stores what the stream gives until its end, on disk when this returns."""

    @abstractmethod
    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """The content. Raises ObjectMissing."""

    @abstractmethod
    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Name and size of every file whose name begins with `prefix`, a folder's name with a slash or nothing."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is no error."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Keeps other commands away. Raises Busy."""

    @abstractmethod
    def clear_left_overs(self) -> None:
        """Removes what a killed command left half written; call it under the lock."""

    @abstractmethod
    def is_new(self) -> bool:
        """Whether nothing lies there."""

    def prepare(self) -> None:
        """Makes a new place one for backups. Raises OperationError for a place that holds something else."""
        if self.is_new():
            with _stream(MARKER_CONTENT) as stream:
                self.write(MARKER, stream)
        self.check()

    def check(self) -> None:
        """Raises Damaged or OperationError where this is no place of backups."""
        try:
            content = self.read(MARKER)
        except ObjectMissing:
            raise OperationError(f"{self.where} holds no backups of labelmesh: {MARKER} is not there.") from None
        if content != MARKER_CONTENT:
            raise Damaged(f"{MARKER} in {self.where} is damaged or of a newer version.")

    def read(self, name: str, *, most_bytes: int = 64 * 2**20) -> bytes:
        """A small file. Raises ObjectMissing, Damaged where it is larger than any of its kind."""
        with self.open(name) as stream:
            content = stream.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise Damaged(f"{name} in {self.where} is larger than such a file can be.")
        return content

    def backups(self) -> tuple[list[str], list[str]]:
        """Ids of the backups that are complete, oldest first, and of those that never became one."""
        complete: set[str] = set()
        begun: set[str] = set()
        for name, _ in self.files("backups/"):
            parts = name.split("/")
            begun.add(parts[1])
            if parts[2:] == ["manifest.json"]:
                complete.add(parts[1])
        return sorted(complete), sorted(begun - complete)

    def remove_backup(self, backup: str) -> None:
        """Removes a backup's own files, the manifest first: half removed, it is no backup."""
        self.remove(f"backups/{backup}/manifest.json")
        for name, _ in list(self.files(f"backups/{backup}/")):
            self.remove(name)


@contextmanager
def _stream(content: bytes) -> Iterator[BinaryIO]:
    import io

    with io.BytesIO(content) as stream:
        yield stream


class FolderTarget(Target):
    """A folder, readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.where = str(self.root)

    def write(self, name: str, stream: BinaryIO) -> Written:
        path, incoming = self.root / name, self.root / _INCOMING / secrets.token_hex(8)
        reader = HashingReader(stream)
        with spoken(self.root):
            incoming.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    while chunk := reader.read(CHUNK_BYTES):
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.replace(incoming, path)
                _sync_folder(path.parent)
            finally:
                incoming.unlink(missing_ok=True)
        return Written(reader.size, reader.sha256)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            with spoken(self.root):
                file = (self.root / name).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissing(f"{name} is not in {self.where}.") from None
        with file, spoken(self.root):
            yield file

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        for folder, folders, names in os.walk(self.root / prefix):
            folders[:] = sorted(one for one in folders if one != _INCOMING)
            for name in sorted(names):
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    yield path.relative_to(self.root).as_posix(), path.stat().st_size

    def remove(self, name: str) -> None:
        path = self.root / name
        with spoken(self.root):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # only when it was the last

    @contextmanager
    def lock(self) -> Iterator[None]:
        with spoken(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.root, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(f"Another command works on the backups in {self.where}. Wait for its end.") from None
            yield
        finally:
            os.close(folder)

    def clear_left_overs(self) -> None:
        with spoken(self.root):
            shutil.rmtree(self.root / _INCOMING, ignore_errors=True)

    def is_new(self) -> bool:
        return not self.root.exists() or not any(entry.name not in (_INCOMING, "lost+found") for entry in self.root.iterdir())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BucketTarget(Target):
    """Names below a prefix of a bucket. A multipart upload that breaks off leaves no object; the server's own rules clear its parts."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.where = f"{bucket.where}, {self._prefix}" if self._prefix else bucket.where

    def write(self, name: str, stream: BinaryIO) -> Written:
        reader = HashingReader(stream)
        self._bucket.put(self._prefix + name, reader)  # type: ignore[arg-type]  # it only reads
        return Written(reader.size, reader.sha256)

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        return self._bucket.open(self._prefix + name)

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        for key, size in self._bucket.listed(self._prefix + prefix):
            yield key.removeprefix(self._prefix), size

    def remove(self, name: str) -> None:
        self._bucket.remove(self._prefix + name)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """An object that is renewed while the command runs. One of a killed command ends by itself after ten minutes."""
        me = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._bucket.ensure()
        holder = self._holder()
        if holder is not None and holder != me:
            raise Busy(f"Another command ({holder}) works on the backups in {self.where}; if it was killed, its lock ends in ten minutes.")
        self._hold(me)
        if self._holder() != me:
            raise Busy(f"Another command works on the backups in {self.where}.")
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(me, ended), name="lock", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join(30)
            with suppress(OperationError):
                if self._holder() == me:
                    self.remove(_LOCK)

    def _hold(self, me: str) -> None:
        self._bucket.put_bytes(self._prefix + _LOCK, json.dumps({"holder": me, "time": time.time()}).encode())

    def _holder(self) -> str | None:
        try:
            known = json.loads(self.read(_LOCK))
            return str(known["holder"]) if abs(time.time() - float(known["time"])) < _LOCK_SECONDS else None
        except (ObjectMissing, ValueError, KeyError, TypeError):
            return None

    def _keep(self, me: str, ended: threading.Event) -> None:
        while not ended.wait(_LOCK_SECONDS / 10):
            with suppress(OperationError):
                # Another's, who took it for nobody's because this process slept for too long, stays.
                if self._holder() in (me, None):
                    self._hold(me)

    def clear_left_overs(self) -> None:
        """There are none: an object appears whole."""

    def is_new(self) -> bool:
        self._bucket.ensure()
        return next((name for name, _ in self.files() if name != _LOCK), None) is None


def target_of(text: str) -> Target:
    """The folder, or the bucket and prefix of s3://BUCKET/PREFIX, whose server LABELMESH_OPERATIONS_TARGET_S3_* name."""
    if not text.startswith("s3://"):
        return FolderTarget(Path(text))
    name, _, prefix = text.removeprefix("s3://").partition("/")
    if not name:
        raise OperationError(f"{text} names no bucket; write s3://BUCKET or s3://BUCKET/PREFIX.")
    settings = load_settings(TargetSettings)
    secret = settings.s3_secret_key.get_secret_value()
    bucket = Bucket(settings.s3_endpoint, settings.s3_access_key, secret, name, region=settings.s3_region, secure=settings.s3_secure)
    return BucketTarget(bucket, prefix)
