"""What EXIF says of how a picture was taken, carried from one file to another.

Sources: CIPA DC-008 (EXIF 2.32), 4.6; TIFF revision 6.0, section 2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
# Bytes of a value, and of the numbers in it, by kind.
_SIZES = {
    1: (1, 1),
    2: (1, 1),
    3: (2, 2),
    4: (4, 4),
    5: (8, 4),
    6: (1, 1),
    7: (1, 1),
    8: (2, 2),
    9: (4, 4),
    10: (8, 4),
    11: (4, 4),
    12: (8, 8),
}
_LONG = 4
_BELOW = frozenset({34665, 34853, 40965})
# Of the first directory: description, maker, model, resolution, program, time, artist, host, rating, copyright.
_CARRIED = frozenset({270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 18249, 33432}) | _BELOW
_MAX_ENTRIES = 500
_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag with its values, little endian, or with a directory of its own."""

    tag: int
    kind: int
    count: int
    value: bytes
    below: tuple[Entry, ...] = ()


def gathered(content: bytes) -> tuple[Entry, ...]:
    """What an EXIF block or a TIFF file says of its making; nothing of what is broken or larger than a megabyte."""
    order = _ORDERS.get(content[:4])
    if order is None or len(content) < 8:
        return ()
    (place,) = struct.unpack_from(order + "I", content, 4)
    return _entries(content, order, place, _CARRIED, 1)


def laid(entries: Sequence[Entry], place: int) -> bytes:
    """A directory for this place in a little endian file, with everything that belongs to it behind it."""
    end = place + 2 + 12 * len(entries) + 4
    lines, blocks = [struct.pack("<H", len(entries))], []
    for entry in sorted(entries, key=lambda entry: entry.tag):
        line = struct.pack("<HHI", entry.tag, entry.kind, entry.count)
        block = laid(entry.below, end) if entry.below else entry.value
        if len(block) <= 4:
            lines.append(line + block.ljust(4, b"\x00"))
            continue
        lines.append(line + struct.pack("<I", end))
        block += b"\x00" * (len(block) % 2)
        blocks.append(block)
        end += len(block)
    return b"".join((*lines, bytes(4), *blocks))


def as_block(entries: Sequence[Entry]) -> bytes | None:
    """An EXIF block; None where there is nothing to say."""
    return b"II*\x00" + struct.pack("<I", 8) + laid(entries, 8) if entries else None


def _entries(content: bytes, order: str, place: int, carried: frozenset[int] | None, depth: int) -> tuple[Entry, ...]:
    found: dict[int, Entry] = {}
    size = 0
    try:
        (count,) = struct.unpack_from(order + "H", content, place)
        for at in range(place + 2, place + 2 + 12 * min(count, _MAX_ENTRIES), 12):
            tag, kind, number = struct.unpack_from(order + "HHI", content, at)
            if tag in found or kind not in _SIZES or not number or (carried is not None and tag not in carried):
                continue
            if tag in _BELOW:
                below = _below(content, order, at, depth)
                if below:
                    found[tag] = Entry(tag, _LONG, 1, b"", below)
                continue
            length = number * _SIZES[kind][0]
            start = at + 8 if length <= 4 else struct.unpack_from(order + "I", content, at + 8)[0]
            size += length
            if start + length <= len(content) and size <= _MAX_BYTES:
                found[tag] = Entry(tag, kind, number, _little(content[start : start + length], order, _SIZES[kind][1]))
    except struct.error:
        pass
    return tuple(found.values())


def _below(content: bytes, order: str, at: int, depth: int) -> tuple[Entry, ...]:
    if depth >= _MAX_DEPTH:
        return ()
    (place,) = struct.unpack_from(order + "I", content, at + 8)
    return _entries(content, order, place, None, depth + 1)


def _little(value: bytes, order: str, each: int) -> bytes:
    return value if order == "<" or each == 1 else np.frombuffer(value, f">u{each}").astype(f"<u{each}").tobytes()
