"""What a run has done so far: one line of JSON for each result, appended after its file has its name.

A run that was stopped at any moment goes on from these lines. A torn last line is cut off. Files are forced to disk in groups, and a line
says so; those that came after the last such line are compared by content before they are believed, because a machine that lost its power
may have kept the line and not the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from labelmesh_client.errors import ConfigurationError

if sys.platform != "win32":
    import fcntl

Json = dict[str, Any]

#: Results after which files are forced to disk.
_GROUP = 256
_FSYNC_WORKERS = 8
_NONE = -1


class OutFolder:
    """A folder that results are written to: each file appears under its name only when it is whole."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[Path] = set()

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, content: bytes) -> None:
        """Raises ConfigurationError where it cannot be written."""
        path = self.path(name)
        try:
            if path.parent not in self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made.add(path.parent)
            # Short, so that a name may be as long as names can be.
            partial = path.with_name(f".{hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}.part")
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None

    def has(self, name: str, size: int) -> bool:
        """Whether a file is there with so many bytes."""
        try:
            return self.path(name).stat().st_size == size
        except OSError:
            return False

    def has_content(self, name: str, sha256: str) -> bool:
        try:
            return hashlib.sha256(self.path(name).read_bytes()).hexdigest() == sha256
        except OSError:
            return False

    def remove(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def settle(self, names: Sequence[str]) -> None:
        """Forces files, and the folders that name them, to disk."""
        folders = {self.path(name).parent for name in names}
        with ThreadPoolExecutor(_FSYNC_WORKERS, thread_name_prefix="labelmesh-fsync") as pool:
            list(pool.map(_force, [self.path(name) for name in names]))
            list(pool.map(_force, sorted(folders) if os.name == "posix" else []))


class Journal:
    """The lines of a run, and where the newest line of each result stands. Threads may not share it."""

    def __init__(self, path: Path, out: OutFolder, sources: int, slots: int) -> None:
        """`slots` results for each of `sources`; of every result only the place of its line is kept in memory."""
        self.path = path
        self._out = out
        self._slots = slots
        self._offsets = array("q", [_NONE]) * (sources * slots)
        self._unsettled: list[str] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def lines(self) -> Iterator[tuple[int, Json, bool]]:
        """Every whole line with its place, and whether its file was forced to disk; what is torn at the end is cut off."""
        try:
            settled_until = self._settled_until()
            with self.path.open("r+b") as file:
                place = 0
                for line in file:
                    if not line.endswith(b"\n"):
                        file.truncate(place)
                        return
                    entry = _parsed(line)
                    if entry is not None and "settled" not in entry:
                        yield place, entry, place < settled_until
                    place += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror or error}.") from None

    def _settled_until(self) -> int:
        place = settled = 0
        with self.path.open("rb") as file:
            for line in file:
                if line.startswith(b'{"settled"'):
                    settled = place
                place += len(line)
        return settled

    def believe(self, source: int, slot: int, place: int) -> None:
        """Takes the line at `place` for the newest of this result."""
        self._offsets[source * self._slots + slot] = place

    def has(self, source: int, slot: int) -> bool:
        return self._offsets[source * self._slots + slot] != _NONE

    def add(self, source: int, slot: int, entry: Json) -> None:
        """Appends the line of a result whose file has its name. Raises ConfigurationError where it cannot be written."""
        try:
            file = self._opened()
            self.believe(source, slot, file.tell())
            file.write(_line(entry))
            file.flush()
            if "file" in entry:
                self._unsettled.append(entry["file"])
            if len(self._unsettled) >= _GROUP:
                self.settle()
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror or error}.") from None

    def note(self, entry: Json) -> None:
        """Appends a line that is about no result."""
        file = self._opened()
        file.write(_line(entry))
        file.flush()

    def settle(self) -> None:
        """Forces the files since the last time to disk, then the line that says so."""
        if not self._unsettled:
            return
        self._out.settle(self._unsettled)
        self._unsettled.clear()
        file = self._opened()
        file.write(_line({"settled": True}))
        file.flush()
        os.fsync(file.fileno())

    def newest(self) -> Iterator[tuple[int, int, Json]]:
        """The newest line of each result, by source and slot; one in memory at a time."""
        if self._file is not None:
            self._file.flush()
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, place in enumerate(self._offsets):
                if place == _NONE:
                    continue
                if file.tell() != place:
                    file.seek(place)
                entry = _parsed(file.readline())
                if entry is None:
                    raise ConfigurationError(f"{self.path} was changed by somebody else meanwhile; run it again.")
                yield *divmod(number, self._slots), entry

    def rewrite(self, notes: Sequence[Json]) -> None:
        """Puts the newest lines in order, and nothing else: as a run that was never stopped has them."""
        partial = self.path.with_name(f".{self.path.name}.part")
        offsets = array("q", [_NONE]) * len(self._offsets)
        with partial.open("wb") as file:
            for note in notes:
                file.write(_line(note))
            for source, slot, entry in self.newest():
                offsets[source * self._slots + slot] = file.tell()
                file.write(_line(entry))
            file.write(_line({"settled": True}))
            file.flush()
            os.fsync(file.fileno())
        self.close()
        replace_if_other(partial, self.path)
        self._offsets = offsets

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self.path.open("ab")
            self._file.seek(0, os.SEEK_END)
        return self._file


class Lock:
    """Keeps a second run away from the same folder for as long as this process lives."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._file.close()
                raise ConfigurationError(f"Another run is writing to {path.parent.parent} just now.") from None

    def release(self) -> None:
        self._file.close()


def replace_if_other(partial: Path, path: Path) -> bool:
    """Gives a file that was written beside it its name, unless what is there is the same already. Returns whether it did."""
    if path.exists() and _same(partial, path):
        partial.unlink()
        return False
    partial.replace(path)
    if os.name == "posix":
        _force(path.parent)
    return True


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while part := first.read(1 << 20):
            if part != second.read(1 << 20):
                return False
    return True


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(entry: Json) -> bytes:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def _parsed(line: bytes) -> Json | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
