"""Run lengths of COCO: masks as counts of pixels out and in, column by column.

Counts are runs of pixels alternately outside and inside, beginning outside (0 where the first pixel is inside), down each column and
column after column. The compressed form writes each count, from the fourth on as the difference to the count before the last, in groups of
5 bits, lowest first, with 32 for "more follows" and 48 added to make it text; the highest bit of the last group is the sign
(COCO API, maskApi: rleToString, rleFrString).
"""

from __future__ import annotations

from collections.abc import Sequence

from labelmesh_client.errors import SourceError

#: Pixels of the largest picture there is here.
MOST_PIXELS = 200_000_000
_MOST_GROUPS = 8


def decode_counts(text: str) -> list[int]:
    """The counts of a compressed text. Raises SourceError for what is none."""
    counts: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            group = ord(text[place]) - 48 if place < len(text) else -1
            if not 0 <= group < 64 or shift >= 5 * _MOST_GROUPS:
                raise _damaged("the text is damaged")
            value |= (group & 0x1F) << shift
            shift += 5
            place += 1
            more = bool(group & 0x20)
            if not more and group & 0x10:
                value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts


def encode_counts(counts: Sequence[int]) -> str:
    """The compressed text of counts."""
    text: list[str] = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            group = value & 0x1F
            value >>= 5
            more = value != (-1 if group & 0x10 else 0)
            text.append(chr(48 + group + (0x20 if more else 0)))
    return "".join(text)


def pixels_of(counts: Sequence[int], width: int, height: int) -> bytes:
    """The mask row by row, a byte of 0 or 1 for each pixel. Raises SourceError where the counts are not those of width x height pixels."""
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise _damaged(f"{width} x {height} is no size")
    if any(type(count) is not int or count < 0 for count in counts) or sum(counts) != width * height:
        raise _damaged(f"the counts are not those of {width} x {height} pixels")
    columns = b"".join((b"\1" if place % 2 else b"\0") * count for place, count in enumerate(counts))
    return transposed(columns, height, width)


def counts_of(pixels: bytes, width: int, height: int) -> list[int]:
    """The counts of a mask that is given row by row, a byte of 0 or 1 for each pixel."""
    columns = transposed(pixels, width, height)
    counts: list[int] = []
    place, inside = 0, False
    while place < len(columns):
        end = columns.find(b"\0" if inside else b"\1", place)
        end = len(columns) if end < 0 else end
        counts.append(end - place)
        place, inside = end, not inside
    return counts


def transposed(pixels: bytes, width: int, height: int) -> bytes:
    """Rows of `width` pixels as columns: what was row after row, `height` of them, is column after column."""
    if len(pixels) != width * height:
        raise ValueError(f"{len(pixels)} pixels are not {width} x {height}")
    return b"".join(pixels[column::width] for column in range(width))


def bounds_of(pixels: bytes, width: int, height: int) -> tuple[int, int, int, int, int]:
    """Left, top, width, height of what is inside, and how many pixels that are; all 0 where there is nothing."""
    area = pixels.count(1)
    if not area:
        return 0, 0, 0, 0, 0
    top, bottom = pixels.find(b"\1") // width, pixels.rfind(b"\1") // width
    rows = [pixels[row * width : (row + 1) * width] for row in range(top, bottom + 1)]
    left = min(place for row in rows if (place := row.find(b"\1")) >= 0)
    right = max(row.rfind(b"\1") for row in rows)
    return left, top, right - left + 1, bottom - top + 1, area


def _damaged(said: str) -> SourceError:
    return SourceError(f"A run-length mask cannot be read: {said}.", reason="LABEL_INVALID")
