"""Lists of files by their content, in bounded memory: on disk while a command works, as a compressed file of lines in a backup."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from labelmesh_operations.errors import Damaged
from labelmesh_operations.hashing import HashingReader

_MOST_LINE_BYTES = 8192


@dataclass(frozen=True)
class Entry:
    """A file's name, the SHA-256 of its content, and its size in bytes."""

    name: str
    sha256: str
    size: int


class WorkingCatalog:
    """What a backup has seen and copied so far: a database in a temporary file, for one thread."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="labelmesh-backup-", suffix=".db")  # noqa: SIM115
        self._db = sqlite3.connect(self._file.name, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TABLE held (sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE entries (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, pass INTEGER NOT NULL)"
            "WITHOUT ROWID;"
            "CREATE TABLE referred (name TEXT PRIMARY KEY) WITHOUT ROWID;"
        )

    def close(self) -> None:
        self._db.close()
        self._file.close()

    def hold(self, sha256: str, size: int) -> None:
        """The backups have this content."""
        self._db.execute("INSERT OR REPLACE INTO held VALUES (?, ?)", (sha256, size))

    def holds(self, sha256: str, size: int | None = None) -> bool:
        row = self._db.execute("SELECT size FROM held WHERE sha256 = ?", (sha256,)).fetchone()
        return row is not None and (size is None or row[0] == size)

    def add(self, entry: Entry, number: int) -> None:
        """The object storage had this in its pass `number`."""
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (entry.name, entry.sha256, entry.size, number))

    def sees_again(self, name: str, size: int, number: int) -> bool:
        """Whether an earlier pass of this backup has content-addressed `name`; then it counts for this pass too."""
        statement = "UPDATE entries SET pass = ? WHERE name = ? AND size = ?"
        return self._db.execute(statement, (number, name, size)).rowcount == 1

    def refer(self, name: str) -> None:
        """A database refers to this object."""
        self._db.execute("INSERT OR IGNORE INTO referred VALUES (?)", (name,))

    def forget_stale(self, number: int) -> None:
        """Drops what was gone in pass `number` and no database refers to."""
        self._db.execute("DELETE FROM entries WHERE pass < ? AND name NOT IN (SELECT name FROM referred)", (number,))

    def missing(self, most: int = 100) -> tuple[int, list[str]]:
        """How many objects the databases refer to and the catalog does not have, and some of their names."""
        where = "FROM referred WHERE name NOT IN (SELECT name FROM entries)"
        count = int(self._db.execute(f"SELECT count(*) {where}").fetchone()[0])
        return count, [str(row[0]) for row in self._db.execute(f"SELECT name {where} ORDER BY name LIMIT ?", (most,))]

    def entries(self) -> Iterator[Entry]:
        """All of them, by name."""
        for name, sha256, size in self._db.execute("SELECT name, sha256, size FROM entries ORDER BY name"):
            yield Entry(str(name), str(sha256), int(size))

    def total(self) -> tuple[int, int]:
        """Number and bytes."""
        count, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM entries").fetchone()
        return int(count), int(size)


@contextmanager
def working_catalog() -> Iterator[WorkingCatalog]:
    catalog = WorkingCatalog()
    try:
        yield catalog
    finally:
        catalog.close()


@contextmanager
def packed(entries: Iterable[Entry]) -> Iterator[BinaryIO]:
    """The entries as a compressed file of JSON lines."""
    with tempfile.TemporaryFile() as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, compresslevel=6) as pressed:
            for entry in entries:
                pressed.write(json.dumps([entry.name, entry.sha256, entry.size], ensure_ascii=False).encode() + b"\n")
        file.seek(0)
        yield cast(BinaryIO, file)


def unpacked(stream: BinaryIO, sha256: str, where: str) -> Iterator[Entry]:
    """The entries of such a file. Raises Damaged where it is not the one that the manifest names; at the end at the latest."""
    reader = HashingReader(stream)
    try:
        with gzip.GzipFile(fileobj=cast(IO[bytes], io.BufferedReader(_Raw(reader))), mode="rb") as pressed:
            while line := pressed.readline(_MOST_LINE_BYTES):
                name, digest, size = json.loads(line)
                yield Entry(str(name), str(digest), int(size))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise Damaged(f"{where} is damaged: {error}") from None
    if reader.sha256 != sha256:
        raise Damaged(f"{where} is damaged: its SHA-256 is not the manifest's.")


class _Raw(io.RawIOBase):
    """A stream as gzip wants to read it."""

    def __init__(self, reader: HashingReader) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        content = self._reader.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
