"""Masks as grey PNG files, read and written without an image library (PNG specification, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from labelmesh_client.augmenting.rle import MOST_PIXELS
from labelmesh_client.errors import ServerError, SourceError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_LAYERS = 16
_MOST_VALUES = 255


@dataclass(frozen=True)
class Layer:
    """Several masks that do not overlap in one picture: which value stands for which of them, row by row."""

    pixels: bytes
    #: The number of the mask that value 1, 2, 3 ... stands for.
    members: tuple[int, ...]


def in_layers(masks: Iterable[tuple[int, bytes]]) -> list[Layer]:
    """Numbered masks of 0 and 1, all of one size, in as few layers as it goes one after the other. Raises SourceError beyond 16 layers."""
    layers: list[tuple[int, list[int]]] = []
    length = 0
    for number, pixels in masks:
        length = len(pixels)
        wanted = int.from_bytes(pixels, "little")
        for place, (value, members) in enumerate(layers):
            # A pixel that is taken has some bit of its byte set.
            if len(members) < _MOST_VALUES and not _overlaps(value, wanted, length):
                members.append(number)
                layers[place] = (value | wanted * len(members), members)
                break
        else:
            if len(layers) == _MOST_LAYERS:
                raise SourceError(f"More than {_MOST_LAYERS} masks lie over each other.", reason="LABEL_INVALID")
            layers.append((wanted, [number]))
    return [Layer(value.to_bytes(length, "little"), tuple(members)) for value, members in layers]


def _overlaps(taken: int, wanted: int, length: int) -> bool:
    """Whether a byte of `taken` that is not 0 meets a byte of `wanted` (0 or 1)."""
    return bool(taken & (wanted * 0xFF)) if length else False


def mask_of(layer: bytes, value: int) -> bytes:
    """The mask of 0 and 1 of one value of a layer."""
    return layer.translate(bytes(1 if each == value else 0 for each in range(256)))


def write_grey(width: int, height: int, pixels: bytes) -> bytes:
    """An 8-bit grey PNG file of pixels given row by row."""
    rows = b"".join(b"\0" + pixels[start : start + width] for start in range(0, width * height, width))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 1)) + _chunk(b"IEND", b"")


def read_grey(content: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels, row by row, of an 8- or 16-bit grey PNG file; of 16 bits the lower byte.

    Takes what the server answers. Raises ServerError for anything else, e.g. an interlaced file, and for more pixels than a picture has.
    """
    try:
        return _read_grey(content)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise ServerError(f"The server answered with a mask that cannot be read: {error}.") from None


def _read_grey(content: bytes) -> tuple[int, int, bytes]:
    if not content.startswith(_SIGNATURE):
        raise ValueError("it is no PNG file")
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    if colour != 0 or depth not in (1, 2, 4, 8, 16) or interlaced or not 0 < width * height <= MOST_PIXELS:
        raise ValueError("it is no grey PNG file of a size that a picture has")
    pieces, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        if content[place + 4 : place + 8] == b"IDAT":
            pieces.append(content[place + 8 : place + 8 + length])
        place += 12 + length
    stride = (width * depth + 7) // 8
    data = zlib.decompressobj().decompress(b"".join(pieces), (stride + 1) * height)
    if len(data) != (stride + 1) * height:
        raise ValueError("it ends early")
    step = max(1, depth // 8)
    row, rows = bytes(stride), []
    for start in range(0, len(data), stride + 1):
        row = _unfiltered(data[start], data[start + 1 : start + 1 + stride], row, step)
        rows.append(row[1::2] if depth == 16 else row if depth == 8 else _spread(row, width, depth))
    return width, height, b"".join(rows)


def _spread(row: bytes, width: int, depth: int) -> bytes:
    """The samples of less than a byte each, as bytes."""
    each = 8 // depth
    return bytes(row[place // each] >> (8 - depth - place % each * depth) & ((1 << depth) - 1) for place in range(width))


def _unfiltered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """Undoes a row's filter (PNG specification, 9.2)."""
    nothing = not any(row)
    if kind == 0 or (kind == 1 and nothing):
        return row
    if kind == 2 or (kind == 4 and nothing and step == 1 and _is_flat(above)):
        return above if nothing else bytes((one + up) & 255 for one, up in zip(row, above, strict=True))
    if kind == 1:
        out = bytearray(len(row))
        for lane in range(step):
            out[lane::step] = bytes(each & 255 for each in accumulate(row[lane::step]))
        return bytes(out)
    if kind == 3:
        out = bytearray(row)
        for place in range(len(row)):
            left = out[place - step] if place >= step else 0
            out[place] = (row[place] + (left + above[place]) // 2) & 255
        return bytes(out)
    if kind == 4:
        return _paeth(row, above, step)
    raise ValueError(f"it has no filter {kind}")


def _is_flat(row: Sequence[int]) -> bool:
    """Whether a row is all 0, so that what Paeth adds to zeros is 0 too."""
    return not any(row)


def _paeth(row: bytes, above: bytes, step: int) -> bytes:
    out = bytearray(row)
    for place in range(len(row)):
        left, corner = (out[place - step], above[place - step]) if place >= step else (0, 0)
        up = above[place]
        guess = left + up - corner
        to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
        nearest = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
        out[place] = (row[place] + nearest) & 255
    return bytes(out)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
