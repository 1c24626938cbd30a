"""SHA-256 of what passes by, in bounded memory."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

CHUNK_BYTES = 2**20
_HASH = re.compile(r"(?:^|/)([0-9a-f]{64})(?:\.[A-Za-z0-9]+)?$")


class HashingReader:
    """A stream that counts and hashes what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        content = self._stream.read(size)
        self._digest.update(content)
        self.size += len(content)
        return content


def drain(reader: HashingReader) -> HashingReader:
    """Reads to the end."""
    while reader.read(CHUNK_BYTES):
        pass
    return reader


def hash_in_name(key: str) -> str | None:
    """The SHA-256 that a content-addressed key ends with: `images/ab/<hash>.png`. None for other keys."""
    found = _HASH.search(key)
    return found[1] if found else None
