"""Directories of TIFF: what is where. Every step of the way is bounded. Source: TIFF revision 6.0, section 2."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from labelmesh_augment.pictures.headers import damaged, truncated

_MAX_DIRECTORIES = 64
_MAX_ENTRIES = 1_000
_MAX_NUMBERS = 200_000
_BYTE, _SHORT, _LONG, _UNDEFINED = 1, 3, 4, 7
_SIZES = {_BYTE: 1, _SHORT: 2, _LONG: 4, _UNDEFINED: 1}
_CODES = {_BYTE: "B", _SHORT: "H", _LONG: "I", _UNDEFINED: "B"}


class Tag(IntEnum):
    """The tags that matter."""

    SUBFILE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    COLOURS = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_COUNTS = 279
    PLANAR = 284
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_COUNTS = 325
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    XMP = 700
    PROFILE = 34675


_KNOWN = frozenset(Tag)


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: of each tag the kind of its values, how many there are and where. Values are read when they are asked for."""

    content: bytes
    order: str
    entries: dict[int, tuple[int, int, int]]
    name: str

    def __contains__(self, tag: Tag) -> bool:
        return tag in self.entries

    def number(self, tag: Tag, default: int) -> int:
        """The first value."""
        found = self.numbers(tag, 1)
        return found[0] if found else default

    def numbers(self, tag: Tag, most: int) -> tuple[int, ...]:
        """Up to so many values; none where the tag is missing. InvalidArgument (NOT_AN_IMAGE, TRUNCATED)."""
        entry = self.entries.get(tag)
        if entry is None:
            return ()
        kind, count, place = entry
        if kind not in _CODES:
            raise damaged(self.name, f"its tag {int(tag)} is no number")
        count = min(count, most, _MAX_NUMBERS)
        if place + count * _SIZES[kind] > len(self.content):
            raise truncated(self.name, self.content)
        return struct.unpack_from(f"{self.order}{count}{_CODES[kind]}", self.content, place)

    def block(self, tag: Tag) -> bytes | None:
        """The values as they are in the file, of tags that hold bytes; None where it is not there or reaches beyond the end."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        if kind not in (_BYTE, _UNDEFINED) or not count or place + count > len(self.content):
            return None
        return self.content[place : place + count]


def directories(content: bytes, name: str) -> Iterator[Directory]:
    """The directories in order. InvalidArgument: NOT_AN_IMAGE for a ring of them or too many, TRUNCATED."""
    order = "<" if content.startswith(b"II") else ">"
    if len(content) < 8:
        raise truncated(name, content)
    (place,) = struct.unpack_from(order + "I", content, 4)
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) == _MAX_DIRECTORIES:
            raise damaged(name, "its directories lead in a ring" if place in seen else f"it has more than {_MAX_DIRECTORIES} directories")
        seen.add(place)
        if place + 2 > len(content):
            raise truncated(name, content)
        (count,) = struct.unpack_from(order + "H", content, place)
        end = place + 2 + 12 * count
        if count > _MAX_ENTRIES:
            raise damaged(name, f"a directory has {count:,} entries; at most {_MAX_ENTRIES:,} are taken")
        if end > len(content):
            raise truncated(name, content)
        yield Directory(content, order, _entries(content, order, place + 2, count), name)
        (place,) = struct.unpack_from(order + "I", content, end) if end + 4 <= len(content) else (0,)


def _entries(content: bytes, order: str, place: int, count: int) -> dict[int, tuple[int, int, int]]:
    entries: dict[int, tuple[int, int, int]] = {}
    for at in range(place, place + 12 * count, 12):
        tag, kind, number, where = struct.unpack_from(order + "HHII", content, at)
        if tag in _KNOWN and tag not in entries:
            entries[tag] = kind, number, at + 8 if number * _SIZES.get(kind, 8) <= 4 else where
    return entries
