"""GIF. Sources: Graphics Interchange Format 89a (CompuServe, 1990); Netscape's application extension for repeating."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmesh_augment.pictures.animation import Disposal, Patch, composed
from labelmesh_augment.pictures.headers import FOREVER, ONCE, Header, Limits, Nature, check, damaged, refused, truncated
from labelmesh_augment.pictures.palettes import Chosen, chosen, paletted
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pipelines.pipeline import Format

STARTS = (b"GIF87a", b"GIF89a")
MAX_SIDE = 65_535
_NAME = "GIF"
_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_CONTROL, _APPLICATION = 0xF9, 0xFF
_DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.UNDO}
# Blocks have up to 255 bytes; so many would be 16 MiB in blocks of 32.
_MAX_BLOCKS = 500_000


@dataclass(frozen=True, slots=True)
class _Step:
    """An image of the file: its place, its palette and where its pixels are."""

    x: int
    y: int
    width: int
    height: int
    interlaced: bool
    palette: bytes
    bits: int
    start: int
    end: int
    transparent: int
    duration_ms: int
    disposal: Disposal


class GifFile:
    """A GIF whose blocks have been read; no pixel is decoded.

    InvalidArgument: NOT_AN_IMAGE, TRUNCATED, TOO_MANY_PIXELS, TOO_MANY_FRAMES.
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._content = content
        if len(content) < 13:
            raise truncated(_NAME, content)
        width, height = struct.unpack_from("<HH", content, 6)
        self._plays = ONCE
        # A canvas that is too large is refused before the blocks are walked.
        check(Header(Format.GIF, width, height), limits, _NAME)
        self._steps = list(self._walk(width, height, limits))
        if not self._steps:
            raise truncated(_NAME, content)
        self.header = check(Header(Format.GIF, width, height, len(self._steps)), limits, _NAME)

    def read(self) -> Picture:
        """All frames as they are seen. A frame's time is as in the file, also 0."""
        size = Size(self.header.stored_width, self.header.stored_height)
        return Picture(composed(size, map(self._patch, self._steps)), Nature(Format.GIF, plays=self._plays))

    def _patch(self, step: _Step) -> Patch:
        try:
            image = Image.frombytes(
                "P", (step.width, step.height), self._content[step.start : step.end], "gif", step.bits, int(step.interlaced), -1
            )
        except (ValueError, OSError):
            raise damaged(_NAME, "the pixels of a frame are not all there") from None
        numbers = np.asarray(image)
        # What is beyond the palette is black.
        table = np.zeros((256, 3), np.uint8)
        table[: len(step.palette) // 3] = np.frombuffer(step.palette, np.uint8).reshape(-1, 3)[:, ::-1]
        alpha = None
        if step.transparent >= 0:
            opaque = np.full(256, 255, np.uint8)
            opaque[step.transparent] = 0
            alpha = opaque[numbers]
        return Patch(step.x, step.y, table[numbers], alpha, step.duration_ms, step.disposal)

    def _walk(self, width: int, height: int, limits: Limits) -> Iterator[_Step]:
        content, blocks, steps = self._content, _Blocks(self._content), 0
        shared, place = _palette(content, 10, 13)
        transparent, duration, disposal = -1, 0, Disposal.KEEP
        while place < len(content) and content[place] != _TRAILER:
            if content[place] == _EXTENSION:
                kind, end = _byte(content, place + 1), blocks.end(place + 2)
                if kind == _CONTROL and end - place >= 8:
                    flags, duration, number = struct.unpack_from("<BHB", content, place + 3)
                    transparent = number if flags & 1 else -1
                    duration *= 10
                    disposal = _DISPOSALS.get(flags >> 2 & 7, Disposal.KEEP)
                elif kind == _APPLICATION and content[place + 3 : place + 14] in (b"NETSCAPE2.0", b"ANIMEXTS1.0"):
                    self._take_plays(place + 14)
                place = end
            elif content[place] == _IMAGE:
                if place + 11 > len(content):
                    raise truncated(_NAME, content)
                x, y, across, down, flags = struct.unpack_from("<HHHHB", content, place + 1)
                if not across or not down or x + across > width or y + down > height:
                    raise damaged(_NAME, "a frame reaches beyond its picture")
                own, start = _palette(content, place + 9, place + 10)
                bits = _byte(content, start)
                if not 1 <= bits <= 11 or not (own or shared):
                    raise damaged(_NAME)
                end = blocks.end(start + 1)
                steps += 1
                if steps > limits.frames:
                    raise refused("TOO_MANY_FRAMES", f"the GIF has more than {limits.frames:,} frames; that is not taken")
                yield _Step(x, y, across, down, bool(flags & 0x40), own or shared, bits, start + 1, end, transparent, duration, disposal)
                transparent, duration, disposal = -1, 0, Disposal.KEEP
                place = end
            elif steps:
                # Whatever programs left behind the last frame.
                return
            else:
                raise damaged(_NAME)
        if place >= len(content):
            raise truncated(_NAME, content)

    def _take_plays(self, place: int) -> None:
        if self._content[place : place + 2] == b"\x03\x01" and place + 4 <= len(self._content):
            (repeats,) = struct.unpack_from("<H", self._content, place + 2)
            self._plays = FOREVER if repeats == 0 else repeats + 1


class _Blocks:
    """Walks over blocks of data, so many and no more."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = _MAX_BLOCKS

    def end(self, place: int) -> int:
        """Where the blocks that start here end."""
        content, size = self._content, len(self._content)
        for left in range(self._left, -1, -1):
            if place >= size:
                raise truncated(_NAME, content)
            length = content[place]
            place += 1 + length
            if not length:
                # Those that are empty count too.
                self._left = left - 1
                return place
        raise damaged(_NAME, f"it has more than {_MAX_BLOCKS:,} blocks")


def write(frames: tuple[Frame, ...], plays: int) -> bytes:
    """A GIF of 8 bit frames. A frame of up to 256 colours keeps them; of those that have more, all together get 255. What is less than half
    opaque is transparent. Only what changed is written, so that a still ground stays small and does not flicker."""
    size = frames[0].size
    parts = [b"GIF89a", struct.pack("<HHBBB", size.width, size.height, 0x70, 0, 0)]
    if len(frames) > 1 and plays != ONCE:
        parts.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", min(plays - 1, 0xFFFF) if plays else 0) + b"\x00")
    clears = any(frame.alpha is not None for frame in frames)
    before: NDArray[Any] | None = None

    @cache
    def otherwise() -> Chosen:
        return chosen(map(_bgr, frames), size.pixels * len(frames))

    for frame in frames:
        colour = _bgr(frame)
        # Where one frame has holes every one says so: some readers clear with a colour where they find no transparency.
        opaque = None if not clears else np.ones((size.height, size.width), bool) if frame.alpha is None else frame.alpha >= 128
        area = _changed(colour, before) if not clears else _shown(opaque)
        parts += _written(colour, opaque, area, None if clears else before, frame.duration_ms, clears, otherwise)
        before = colour
    return b"".join((*parts, b"\x3b"))


def _written(
    colour: NDArray[Any],
    opaque: NDArray[np.bool_] | None,
    area: tuple[slice, slice],
    before: NDArray[Any] | None,
    duration_ms: int,
    clears: bool,
    otherwise: Callable[[], Chosen],
) -> list[bytes]:
    piece = colour[area]
    shown = None if opaque is None else opaque[area]
    if before is not None:
        # What stays as it is need not be painted.
        changed = (piece != before[area]).any(axis=2)
        shown = None if changed.all() else changed
    numbers, palette, transparent = paletted(piece, shown, otherwise)
    height, width = numbers.shape
    bits = max(2, (len(palette) - 1).bit_length())
    table = np.zeros((1 << bits, 3), np.uint8)
    table[: len(palette)] = palette[:, ::-1]
    flags = (2 if clears else 1) << 2 | (transparent is not None)
    delay = min((duration_ms + 5) // 10, 0xFFFF)
    return [
        struct.pack("<BBBBHBB", _EXTENSION, _CONTROL, 4, flags, delay, transparent or 0, 0),
        struct.pack("<BHHHHB", _IMAGE, area[1].start, area[0].start, width, height, 0x80 | (bits - 1)),
        table.tobytes(),
        # Pillow writes 8 bits a pixel, whatever the palette has.
        b"\x08",
        Image.fromarray(numbers).tobytes("gif", "L"),
        b"\x00",
    ]


def _bgr(frame: Frame) -> NDArray[Any]:
    return cv2.cvtColor(frame.colour, cv2.COLOR_GRAY2BGR) if frame.gray else frame.colour


def _changed(colour: NDArray[Any], before: NDArray[Any] | None) -> tuple[slice, slice]:
    """The part in which two frames differ; one pixel where they do not."""
    if before is None:
        return np.s_[0 : colour.shape[0], 0 : colour.shape[1]]
    return _bounds((colour != before).any(axis=2))


def _shown(opaque: NDArray[np.bool_] | None) -> tuple[slice, slice]:
    assert opaque is not None
    return _bounds(opaque)


def _bounds(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.s_[0:1, 0:1]
    return np.s_[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def _palette(content: bytes, flags: int, place: int) -> tuple[bytes, int]:
    """The palette that these flags promise, and where it ends."""
    if not _byte(content, flags) & 0x80:
        return b"", place
    end = place + (6 << (content[flags] & 7))
    if end > len(content):
        raise truncated(_NAME, content)
    return content[place:end], end


def _byte(content: bytes, place: int) -> int:
    if place >= len(content):
        raise truncated(_NAME, content)
    return content[place]
