"""The IDX files that MNIST comes in: big-endian header, then unsigned bytes; plain or compressed with gzip.

The format: http://yann.lecun.com/exdb/mnist/ (images: magic 2051, count, rows, columns; labels: magic 2049, count).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from labelmesh_client.errors import SourceError

_IMAGES_MAGIC = 2051
_LABELS_MAGIC = 2049
#: More than any file of this family has; a header that claims more is damaged.
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class IdxImages:
    """`count` pictures of `rows` x `columns` bytes each, 0 to 255, in one run."""

    count: int
    rows: int
    columns: int
    data: bytes

    def __getitem__(self, index: int) -> bytes:
        """The pixels of one picture, row by row."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        size = self.rows * self.columns
        return self.data[index * size : (index + 1) * size]


def read_images(path: Path) -> IdxImages:
    """Reads an IDX file of pictures. Raises SourceError naming the file and what is wrong with it."""
    with _opened(path) as file:
        (count, rows, columns), data = _read(path, file, _IMAGES_MAGIC, "images", 3)
        return IdxImages(count, rows, columns, data)


def read_labels(path: Path) -> bytes:
    """Reads an IDX file of labels: one byte each. Raises SourceError naming the file and what is wrong with it."""
    with _opened(path) as file:
        return _read(path, file, _LABELS_MAGIC, "labels", 1)[1]


def _opened(path: Path) -> IO[bytes]:
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(path, "rb")) if compressed else path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None


def _read(path: Path, file: IO[bytes], magic: int, what: str, dimensions: int) -> tuple[tuple[int, ...], bytes]:
    try:
        header = file.read(4 * (1 + dimensions))
        found = struct.unpack(">I", header[:4])[0] if len(header) >= 4 else None
        if found != magic:
            raise SourceError(f"{path} is not an IDX file of {what}: {_first_number(found)}, where {magic} should stand.")
        if len(header) < 4 * (1 + dimensions):
            raise SourceError(f"{path} is truncated: it ends inside its header.")
        sizes: tuple[int, ...] = struct.unpack(f">{dimensions}I", header[4:])
        expected = 1
        for size in sizes:
            expected *= size
        if expected == 0 or expected > _MAX_BYTES:
            raise SourceError(f"{path} is damaged: its header claims {' x '.join(f'{size:,}' for size in sizes)} {what}.")
        data = file.read(expected)
        if len(data) < expected:
            raise SourceError(f"{path} is truncated: {len(data):,} of {expected:,} bytes of {what} are there.")
        if file.read(1):
            raise SourceError(f"{path} is damaged: it goes on after its {expected:,} bytes of {what}.")
        return sizes, data
    except EOFError:
        raise SourceError(f"{path} is truncated: the compressed file ends early.") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path} is damaged: it cannot be decompressed ({error}).") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None


def _first_number(found: int | None) -> str:
    return "it has fewer than 4 bytes" if found is None else f"it begins with the number {found}"
