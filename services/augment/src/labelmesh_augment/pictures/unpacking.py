"""The packed parts of a TIFF, unpacked to as many bytes as they should have and no more."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from labelmesh_augment.pictures.headers import damaged, truncated

PLAIN, LZW, ADOBE_DEFLATE, PACKBITS, DEFLATE = 1, 5, 8, 32773, 32946
_NAME = "TIFF"
# Of what one call of the decoder gets.
_MOST_LINES = 500_000
# Of a packed part, besides twice the bytes that are in it: marks of beginning and end.
_MOST_EXTRA = 64
_MOST_BYTES = 16 * 1024 * 1024


def unpacked(
    content: bytes, compression: int, offsets: Sequence[int], counts: Sequence[int], sizes: Sequence[int], line: int
) -> Iterator[NDArray[np.uint8]]:
    """Each part, `sizes` bytes long: whole lines of `line` bytes. InvalidArgument: TRUNCATED, NOT_AN_IMAGE."""
    for offset, count in zip(offsets, counts, strict=True):
        if offset + count > len(content):
            raise truncated(_NAME, content)
    # Parts may lie over one another, each as long as the file: no more is looked at than its bytes can need.
    counts = [min(count, 2 * size + _MOST_EXTRA) for count, size in zip(counts, sizes, strict=True)]
    if compression in (LZW, PACKBITS):
        yield from _by_decoder(content, compression, offsets, counts, sizes, line)
        return
    for offset, count, size in zip(offsets, counts, sizes, strict=True):
        piece = memoryview(content)[offset : offset + count]
        if compression != PLAIN:
            piece = memoryview(_inflated(piece, size))
        if len(piece) < size:
            raise damaged(_NAME, "its pixels are not all there")
        yield np.frombuffer(piece[:size], np.uint8)


def _inflated(piece: memoryview, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(piece, size)
    except zlib.error:
        raise damaged(_NAME) from None


def _by_decoder(
    content: bytes, compression: int, offsets: Sequence[int], counts: Sequence[int], sizes: Sequence[int], line: int
) -> Iterator[NDArray[np.uint8]]:
    """Through libtiff, which tells of broken data, in groups of parts of one size, each as a grey picture whose pixels are the bytes."""
    start = 0
    while start < len(sizes):
        most = max(1, min(_MOST_BYTES // sizes[start], _MOST_LINES * line // sizes[start]))
        stop = start + 1
        while stop < len(sizes) and stop - start < most and sizes[stop] == sizes[start]:
            stop += 1
        pieces = [content[offsets[index] : offsets[index] + counts[index]] for index in range(start, stop)]
        pixels = _decoded(pieces, compression, line, sizes[start] // line)
        yield from pixels.reshape(stop - start, -1)
        start = stop


def _decoded(pieces: list[bytes], compression: int, line: int, rows: int) -> NDArray[np.uint8]:
    count, place = len(pieces), 8
    offsets = []
    for piece in pieces:
        offsets.append(place)
        place += len(piece)
    lists = place
    place += 8 * count if count > 1 else 0
    entries = [
        (256, 4, 1, line),
        (257, 4, 1, rows * count),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, count, lists if count > 1 else offsets[0]),
        (277, 3, 1, 1),
        (278, 4, 1, rows),
        (279, 4, count, lists + 4 * count if count > 1 else len(pieces[0])),
    ]
    parts = [b"II*\x00", struct.pack("<I", place), *pieces]
    if count > 1:
        parts.append(struct.pack(f"<{2 * count}I", *offsets, *map(len, pieces)))
    parts.append(struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4))
    try:
        image = TiffImageFile(io.BytesIO(b"".join(parts)))
        image.load()
    except (OSError, ValueError, SyntaxError):
        raise damaged(_NAME, "its pixels are not all there") from None
    return np.asarray(image)
