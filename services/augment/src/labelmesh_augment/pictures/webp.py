"""WebP, still and moving. Sources: RFC 9649 (container and lossless), RFC 6386 (VP8, for its size and its quantiser).

The decoder gets each picture in a file of its own that holds nothing else.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmesh_augment.pictures import exif
from labelmesh_augment.pictures.animation import Disposal, Patch, composed
from labelmesh_augment.pictures.headers import ONCE, Header, Limits, Nature, check, damaged, refused, truncated
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pictures.profiles import MAX_PROFILE
from labelmesh_augment.pipelines.pipeline import Format

MAX_SIDE = 16_383
DEFAULT_QUALITY = 92
_NAME = "WebP"
_MAX_CHUNKS = 10_000
_ANIMATED, _XMP, _EXIF, _ALPHA, _PROFILE = 0x02, 0x04, 0x08, 0x10, 0x20
# Of lossless packing, 0 to 100: a quarter of the time for files that are 6% larger, where there are many pixels.
_EFFORT, _LITTLE_EFFORT = 75, 20
_MUCH = 2_000_000
# Durations have 24 bits.
_MOST_DURATION = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class _Image:
    """Pixels as they are stored: one chunk, and another one with alpha before it where they are lossy."""

    width: int
    height: int
    lossless: bool
    # Of lossy ones, 1 to 100.
    quality: int
    pixels: memoryview
    alpha: memoryview | None


@dataclass(frozen=True, slots=True)
class _Step:
    image: _Image
    x: int
    y: int
    duration_ms: int
    disposal: Disposal
    over: bool


class WebpFile:
    """A WebP file whose chunks have been read; no pixel is decoded.

    InvalidArgument: NOT_AN_IMAGE, TRUNCATED, TOO_MANY_PIXELS, TOO_MANY_FRAMES.
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._content = content
        self._parts: dict[bytes, bytes] = {}
        self._plays = ONCE
        self._steps: list[_Step] = []
        size = self._walk(limits)
        orientation = exif.orientation(self._parts.get(b"EXIF"))
        self.header = check(Header(Format.WEBP, *size, max(1, len(self._steps)), orientation), limits, _NAME)

    def read(self) -> Picture:
        """The picture upright, all frames."""
        steps, header = self._steps, self.header
        first = steps[0].image
        if b"ANIM" in self._parts:
            frames = composed(Size(header.stored_width, header.stored_height), map(_patch, steps))
        else:
            frames = (Frame(*_decoded(first)),)
        upright = tuple(
            frame.with_pixels(
                exif.upright(frame.colour, header.orientation),
                None if frame.alpha is None else exif.upright(frame.alpha, header.orientation),
            )
            for frame in frames
        )
        profile = self._parts.get(b"ICCP")
        nature = Nature(
            Format.WEBP,
            quality=0 if first.lossless else first.quality,
            lossless=all(step.image.lossless for step in steps),
            profile=profile if profile is not None and len(profile) <= MAX_PROFILE else None,
            exif=self._parts.get(b"EXIF", b"").removeprefix(exif.PREFIX) or None,
            xmp=self._parts.get(b"XMP "),
            plays=self._plays,
        )
        return Picture(upright, nature)

    def _walk(self, limits: Limits) -> tuple[int, int]:
        content = self._content
        if len(content) < 20 or 8 + int.from_bytes(content[4:8], "little") > len(content) + 1:
            raise truncated(_NAME, content)
        kind = content[12:16]
        if kind != b"VP8X":
            image = _image(content, 12, len(content))
            self._steps.append(_Step(image, 0, 0, 0, Disposal.KEEP, False))
            return image.width, image.height
        if len(content) < 30:
            raise truncated(_NAME, content)
        flags = content[20]
        size = 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
        check(Header(Format.WEBP, *size), limits, _NAME)
        for name, start, end in _chunks(content, 12, len(content)):
            if name in (b"ICCP", b"EXIF", b"XMP "):
                self._parts.setdefault(name, content[start:end])
            elif name == b"ANIM" and flags & _ANIMATED and end - start >= 6:
                self._parts[name] = b""
                (self._plays,) = struct.unpack_from("<H", content, start + 4)
            elif name == b"ANMF" and flags & _ANIMATED:
                if len(self._steps) == limits.frames:
                    raise refused("TOO_MANY_FRAMES", f"the WebP has more than {limits.frames:,} frames; that is not taken")
                self._steps.append(_step(content, start, end, size))
            elif name in (b"ALPH", b"VP8 ", b"VP8L") and not flags & _ANIMATED and not self._steps:
                image = _image(content, start - 8, len(content))
                if (image.width, image.height) != size:
                    raise damaged(_NAME, "its picture has another size than it says")
                self._steps.append(_Step(image, 0, 0, 0, Disposal.KEEP, False))
        if not self._steps:
            raise damaged(_NAME, "it has no picture")
        if flags & _ANIMATED:
            self._parts.setdefault(b"ANIM", b"")
        return size


def write(
    frames: tuple[Frame, ...],
    nature: Nature,
    quality: int,
    profile: bytes | None,
    exif_block: bytes | None,
    xmp: bytes | None,
) -> bytes:
    """A WebP file of 8 bit frames. Lossless where the input was, or where it was PNG, GIF or TIFF and no quality is asked for."""
    lossless = not quality and (nature.lossless or nature.format in (Format.PNG, Format.GIF, Format.TIFF))
    level = quality or nature.quality or DEFAULT_QUALITY
    if lossless:
        level = _LITTLE_EFFORT if sum(frame.size.pixels for frame in frames) > _MUCH else _EFFORT
    size, flags, parts = frames[0].size, 0, []
    if profile is not None:
        flags |= _PROFILE
        parts.append(_chunk(b"ICCP", profile))
    if any(frame.alpha is not None for frame in frames):
        flags |= _ALPHA
    if len(frames) > 1:
        flags |= _ANIMATED
        parts.append(_chunk(b"ANIM", struct.pack("<IH", 0, min(nature.plays, 0xFFFF))))
        parts += _moving(frames, lossless, level)
    else:
        still = _encoded(frames[0].colour, frames[0].alpha, lossless, level)
        parts += [bytes(chunk) for chunk in still]
    if exif_block is not None:
        flags |= _EXIF
        parts.append(_chunk(b"EXIF", exif_block))
    if xmp is not None:
        flags |= _XMP
        parts.append(_chunk(b"XMP ", xmp))
    if flags & ~_ALPHA or len(parts) > 1:
        parts.insert(0, _extended(flags, size.width, size.height))
    return _file(parts)


def _moving(frames: tuple[Frame, ...], lossless: bool, level: int) -> Iterator[bytes]:
    """Frames, each as far as it differs from the one before. No frame is left out: they stay as many as they are."""
    before: Frame | None = None
    for frame in frames:
        top, left, bottom, right = _changed(frame, before)
        area = np.s_[top:bottom, left:right]
        pieces = _encoded(frame.colour[area], None if frame.alpha is None else frame.alpha[area], lossless, level)
        place = b"".join(number.to_bytes(3, "little") for number in (left // 2, top // 2, right - left - 1, bottom - top - 1))
        duration = min(frame.duration_ms, _MOST_DURATION).to_bytes(3, "little")
        # In the place of what is there, and it stays.
        yield _chunk(b"ANMF", b"".join((place, duration, b"\x02", *pieces)))
        before = frame


def _changed(frame: Frame, before: Frame | None) -> tuple[int, int, int, int]:
    """The part in which two frames differ, beginning at even places: top, left, bottom, right."""
    size = frame.size
    if before is None or (before.alpha is None) != (frame.alpha is None):
        return 0, 0, size.height, size.width
    changed = frame.colour != before.colour
    if not frame.gray:
        changed = changed.any(axis=2)
    if frame.alpha is not None:
        changed |= frame.alpha != before.alpha
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(rows[0]) & ~1, int(columns[0]) & ~1, int(rows[-1]) + 1, int(columns[-1]) + 1


def _encoded(colour: NDArray[Any], alpha: NDArray[Any] | None, lossless: bool, level: int) -> list[memoryview]:
    """The chunks with the pixels."""
    pixels = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR) if colour.ndim == 2 else colour
    if alpha is not None:
        pixels = cv2.merge((*cv2.split(pixels), alpha))
    if lossless:
        content = _lossless(pixels, level)
    else:
        encoded, buffer = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, level])
        if not encoded:
            raise ValueError("the picture could not be written as WebP")
        content = buffer.tobytes()
    view = memoryview(content)
    return [
        view[start - 8 : end + (end - start) % 2]
        for name, start, end in _chunks(content, 12, len(content))
        if name in (b"ALPH", b"VP8 ", b"VP8L")
    ]


def _lossless(pixels: NDArray[Any], effort: int) -> bytes:
    """All of it is kept, also the colour of what is transparent. Pillow lets one choose how much effort packing is worth."""
    mode, order = ("RGB", "BGR") if pixels.shape[2] == 3 else ("RGBA", "BGRA")
    image = Image.frombuffer(mode, (pixels.shape[1], pixels.shape[0]), np.ascontiguousarray(pixels), "raw", order, 0, 1)
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, exact=True, quality=effort, method=4 if effort > _LITTLE_EFFORT else 1)
    return file.getvalue()


def _patch(step: _Step) -> Patch:
    colour, alpha = _decoded(step.image)
    return Patch(step.x, step.y, colour, alpha, step.duration_ms, step.disposal, step.over)


def _decoded(image: _Image) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Colour and alpha of one picture."""
    parts = [] if image.alpha is None else [_extended(_ALPHA, image.width, image.height), _chunk(b"ALPH", image.alpha)]
    parts.append(_chunk(b"VP8L" if image.lossless else b"VP8 ", image.pixels))
    try:
        pixels = cv2.imdecode(np.frombuffer(_file(parts), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        raise damaged(_NAME) from None
    if pixels is None or pixels.shape[:2] != (image.height, image.width) or pixels.ndim != 3:
        raise damaged(_NAME)
    if pixels.shape[2] == 3:
        return pixels, None
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), cv2.extractChannel(pixels, 3)


def _step(content: bytes, start: int, end: int, size: tuple[int, int]) -> _Step:
    """A frame of an animation (ANMF)."""
    if end - start < 24:
        raise damaged(_NAME)
    x, y, width, height, duration = (int.from_bytes(content[at : at + 3], "little") for at in range(start, start + 15, 3))
    flags, image = content[start + 15], _image(content, start + 16, end)
    if (image.width, image.height) != (width + 1, height + 1):
        raise damaged(_NAME, "a frame has another size than it says")
    if 2 * x + image.width > size[0] or 2 * y + image.height > size[1]:
        raise damaged(_NAME, "a frame reaches beyond its picture")
    return _Step(image, 2 * x, 2 * y, duration, Disposal.CLEAR if flags & 1 else Disposal.KEEP, not flags & 2)


def _image(content: bytes, place: int, limit: int) -> _Image:
    """The picture whose chunks begin here; its size is that of its own header, which the decoder goes by."""
    view, alpha = memoryview(content), None
    for name, start, end in _chunks(content, place, limit):
        if name == b"ALPH" and alpha is None:
            alpha = view[start:end]
        elif name == b"VP8 ":
            if end - start < 10 or content[start] & 1 or content[start + 3 : start + 6] != b"\x9d\x01\x2a":
                raise damaged(_NAME)
            width, height = struct.unpack_from("<HH", content, start + 6)
            return _Image(width & 0x3FFF, height & 0x3FFF, False, _quality(content, start + 10, end), view[start:end], alpha)
        elif name == b"VP8L":
            if end - start < 5 or content[start] != 0x2F:
                raise damaged(_NAME)
            (bits,) = struct.unpack_from("<I", content, start + 1)
            return _Image((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, True, 0, view[start:end], None)
    raise damaged(_NAME, "a frame has no pixels")


def _quality(content: bytes, start: int, end: int) -> int:
    """About the quality that a lossy picture was written with, 1 to 100, out of its quantiser.

    Areas have quantisers of their own, so it is near and not exact. Sources: RFC 6386, 9.3, 9.6 and 19.2; libwebp's quantiser at quality
    q is 127 (1 - cbrt(c)), c = 2q / 3 below 0.75 and 2q - 1 above.
    """
    bits = _Bits(content[start : min(end, start + 64)])
    bits.read(2)
    steps: list[int] = []
    absolute = False
    if bits.read(1):
        bits_of_map = bits.read(1)
        if bits.read(1):
            absolute = bool(bits.read(1))
            steps = [bits.signed(7) for _ in range(4)]
            for _ in range(4):
                bits.signed(6)
        if bits_of_map:
            for _ in range(3):
                if bits.read(1):
                    bits.read(8)
    bits.read(10)
    if bits.read(1) and bits.read(1):
        for _ in range(8):
            bits.signed(6)
    bits.read(2)
    base = bits.read(7)
    if not steps:
        return _quality_of_step(base)
    if not absolute:
        steps = [base + step for step in steps]
    # libwebp gives rough areas coarser steps than its quality says and smooth ones finer steps.
    return (_quality_of_step(sum(steps) / 4) + _quality_of_step(min(steps)) + 1) // 2


def _quality_of_step(step: float) -> int:
    """libwebp's own scale, the other way round."""
    linear = ((127 - min(127.0, max(0.0, step))) / 127) ** 3
    return min(100, max(1, round(100 * (linear * 1.5 if linear < 0.5 else (linear + 1) / 2))))


class _Bits:
    """Bits that were coded with even odds (probability 128 of 256): the arithmetic decoder of RFC 6386, 7.3."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 2
        self._value = int.from_bytes(data[:2].ljust(2, b"\x00"), "big")
        self._range, self._shifted = 255, 0

    def read(self, count: int) -> int:
        """An unsigned number."""
        number = 0
        for _ in range(count):
            number = number << 1 | self._one()
        return number

    def signed(self, count: int) -> int:
        """A number behind a flag that says whether it is there, with its sign behind it; else 0."""
        if not self.read(1):
            return 0
        number = self.read(count)
        return -number if self.read(1) else number

    def _one(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        if self._value >= split << 8:
            bit = 1
            self._range -= split
            self._value -= split << 8
        else:
            bit = 0
            self._range = split
        while self._range < 128:
            self._value <<= 1
            self._range <<= 1
            self._shifted += 1
            if self._shifted == 8:
                self._shifted = 0
                self._value |= self._data[self._place] if self._place < len(self._data) else 0
                self._place += 1
        return bit


def _chunks(content: bytes, place: int, limit: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of what each chunk holds."""
    for _ in range(_MAX_CHUNKS):
        start = place + 8
        if start > limit:
            return
        end = start + int.from_bytes(content[place + 4 : start], "little")
        if end > limit:
            raise truncated(_NAME, content)
        yield content[place : place + 4], start, end
        place = end + (end - start) % 2
    raise damaged(_NAME, f"it has more than {_MAX_CHUNKS:,} chunks")


def _extended(flags: int, width: int, height: int) -> bytes:
    return _chunk(b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def _chunk(name: bytes, payload: bytes | memoryview) -> bytes:
    return b"".join((name, struct.pack("<I", len(payload)), payload, b"\x00" * (len(payload) % 2)))


def _file(parts: list[bytes]) -> bytes:
    return b"".join((b"RIFF", struct.pack("<I", 4 + sum(map(len, parts))), b"WEBP", *parts))
