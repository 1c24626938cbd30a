"""PNG, animated ones (APNG) included. Source: Portable Network Graphics, third edition (W3C, 2025).

The decoder gets a file that has nothing but header, palette, transparency and pixels; whatever else there is never reaches it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures import exif
from labelmesh_augment.pictures.animation import Disposal, Patch, composed
from labelmesh_augment.pictures.headers import Header, Limits, Nature, check, damaged, truncated
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pictures.profiles import MAX_PROFILE
from labelmesh_augment.pipelines.pipeline import Format

START = b"\x89PNG\r\n\x1a\n"
_NAME = "PNG"
_MAX_CHUNKS = 100_000
_MAX_XMP = 1024 * 1024
_XMP = b"XML:com.adobe.xmp\x00"
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_DEPTHS = {_GRAY: (1, 2, 4, 8, 16), _RGB: (8, 16), _PALETTE: (1, 2, 4, 8), _GRAY_ALPHA: (8, 16), _RGBA: (8, 16)}
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGBA: 4}
# Packed pixels of all frames together from which on it is looked at what they unpack to; so many could be 260 MB.
_MAX_UNCHECKED = 256 * 1024
_DISPOSALS = {0: Disposal.KEEP, 1: Disposal.CLEAR, 2: Disposal.UNDO}


@dataclass(slots=True)
class _Control:
    """A frame of an animation (fcTL) and the pieces of its pixels."""

    width: int
    height: int
    x: int
    y: int
    duration_ms: int
    disposal: Disposal
    over: bool
    pieces: list[memoryview] = field(default_factory=list)


@dataclass(slots=True)
class _Chunks:
    """What a PNG holds that matters."""

    palette: bytes = b""
    transparency: bytes | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    # Whether a profile and a packet have been met.
    profiled: bool = False
    described: bool = False
    frames: int = 1
    plays: int = 1
    pieces: list[memoryview] = field(default_factory=list)
    controls: list[_Control] = field(default_factory=list)


class PngFile:
    """A PNG whose header has been read. An animated one has all of its frames; the still picture that others see in its place is left out
    where it is not one of them. InvalidArgument: NOT_AN_IMAGE, TRUNCATED, TOO_MANY_PIXELS, TOO_MANY_FRAMES."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._content = content
        self._doubtful = True
        if len(content) < 33:
            raise truncated(_NAME, content)
        length, kind, width, height, self._depth, self._kind, compression, filtering, interlace = struct.unpack_from(
            ">I4sIIBBBBB", content, len(START)
        )
        if kind != b"IHDR" or length != 13 or self._depth not in _DEPTHS.get(self._kind, ()) or compression or filtering or interlace > 1:
            raise damaged(_NAME)
        self._interlace = interlace
        found = _before_pixels(content)
        self.header = check(Header(Format.PNG, width, height, frames=found.frames, orientation=exif.orientation(found.exif)), limits, _NAME)

    def read(self) -> Picture:
        """The picture upright. Palettes become colours, grey of less than 8 bit that of 8."""
        found = _all(self._content)
        header, animated = self.header, found.frames > 1
        pieces = [control.pieces for control in found.controls] if animated else [found.pieces]
        # The decoder goes on to the end of what is packed, also when it has all of its pixels.
        self._doubtful = sum(len(piece) for frame in pieces for piece in frame) > _MAX_UNCHECKED
        orientation = exif.orientation(found.exif)
        if animated:
            frames = composed(Size(header.stored_width, header.stored_height), self._patches(found))
        else:
            # An animation of one frame is a picture like any other.
            frames = (Frame(*self._decoded(found, header.stored_width, header.stored_height, found.pieces)),)
        if orientation != header.orientation:
            header = Header(Format.PNG, header.stored_width, header.stored_height, header.frames, orientation)
            self.header = header
        upright = tuple(
            frame.with_pixels(
                exif.upright(frame.colour, orientation), None if frame.alpha is None else exif.upright(frame.alpha, orientation)
            )
            for frame in frames
        )
        nature = Nature(Format.PNG, lossless=True, profile=found.profile, exif=found.exif, xmp=found.xmp, plays=found.plays)
        return Picture(upright, nature)

    def _patches(self, found: _Chunks) -> Iterator[Patch]:
        if len(found.controls) != found.frames:
            raise damaged(_NAME, f"it has {len(found.controls)} of {found.frames} frames")
        for control in found.controls:
            if control.x + control.width > self.header.stored_width or control.y + control.height > self.header.stored_height:
                raise damaged(_NAME, "a frame reaches beyond its picture")
            colour, alpha = self._decoded(found, control.width, control.height, control.pieces)
            yield Patch(control.x, control.y, colour, alpha, control.duration_ms, control.disposal, control.over)

    def _decoded(self, found: _Chunks, width: int, height: int, pieces: list[memoryview]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Colour and alpha."""
        if not pieces or not width or not height:
            raise damaged(_NAME, "it has no pixels")
        header = struct.pack(">IIBBBBB", width, height, self._depth, self._kind, 0, 0, self._interlace)
        parts = [START, _chunk(b"IHDR", header)]
        if found.palette:
            parts.append(_chunk(b"PLTE", found.palette))
        transparency = found.transparency if self._kind in (_GRAY, _RGB, _PALETTE) else None
        if transparency is not None and self._kind != _GRAY:
            parts.append(_chunk(b"tRNS", transparency))
        packed = b"".join(pieces)
        if self._doubtful:
            # Up to twice as much: interlaced ones have more lines, each with a byte before it.
            bits = self._depth * _CHANNELS[self._kind]
            _check_packed(packed, 2 * height * (2 + width * bits // 8) + 4096)
        parts += [_chunk(b"IDAT", packed), _chunk(b"IEND", b"")]
        try:
            pixels = cv2.imdecode(np.frombuffer(b"".join(parts), np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            raise damaged(_NAME) from None
        if pixels is None or pixels.shape[:2] != (height, width) or (pixels.dtype == np.uint16) != (self._depth == 16):
            raise damaged(_NAME, "its pixels are not all there")
        if self._kind == _GRAY:
            return pixels, None if transparency is None else self._cut_out(pixels, transparency)
        if pixels.ndim == 2 or pixels.shape[2] == 3:
            return pixels, None
        alpha = cv2.extractChannel(pixels, 3)
        return (cv2.extractChannel(pixels, 0) if self._kind == _GRAY_ALPHA else cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)), alpha

    def _cut_out(self, pixels: NDArray[Any], transparency: bytes) -> NDArray[Any]:
        """Alpha of a grey picture in which one grey is transparent."""
        white = np.iinfo(pixels.dtype).max
        if len(transparency) != 2:
            raise damaged(_NAME)
        value = int.from_bytes(transparency, "big") & ((1 << self._depth) - 1)
        if self._depth < 8:
            value = value * 255 // ((1 << self._depth) - 1)
        return np.where(pixels == value, 0, white).astype(pixels.dtype)


def write(frames: tuple[Frame, ...], plays: int, profile: bytes | None, exif_block: bytes | None, xmp: bytes | None) -> bytes:
    """A PNG of 8 or 16 bit, grey or colour, with alpha or without; an animated one of several frames."""
    extra = b""
    if profile is not None:
        extra += _chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(profile))
    if exif_block is not None:
        extra += _chunk(b"eXIf", exif_block)
    if xmp is not None:
        extra += _chunk(b"iTXt", _XMP + bytes(4) + xmp)
    if len(frames) > 1:
        return _animated(frames, plays, extra)
    content = _still(frames[0])
    return content if not extra else content[:33] + extra + content[33:]


def _still(frame: Frame) -> bytes:
    if frame.alpha is None:
        pixels = frame.colour
    elif frame.gray:
        return _gray_with_alpha(frame.colour, frame.alpha)
    else:
        pixels = cv2.merge((*cv2.split(frame.colour), frame.alpha))
    encoded, buffer = cv2.imencode(".png", pixels)
    if not encoded:
        raise ValueError("the picture could not be written as PNG")
    content: bytes = buffer.tobytes()
    return content


def _gray_with_alpha(gray: NDArray[Any], alpha: NDArray[Any]) -> bytes:
    """OpenCV has no such pictures. Each byte less the one to its left (filter 1), packed as OpenCV does."""
    height, width = gray.shape
    each = gray.dtype.itemsize
    values = np.stack((gray, alpha), axis=-1)
    lines = values.astype(values.dtype.newbyteorder(">")).view(np.uint8).reshape(height, width * 2 * each)
    filtered = np.empty((height, 1 + lines.shape[1]), np.uint8)
    filtered[:, 0] = 1
    filtered[:, 1 : 1 + 2 * each] = lines[:, : 2 * each]
    np.subtract(lines[:, 2 * each :], lines[:, : -2 * each], out=filtered[:, 1 + 2 * each :])
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 8, zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8 * each, _GRAY_ALPHA, 0, 0, 0)
    return START + _chunk(b"IHDR", header) + _chunk(b"IDAT", packer.compress(filtered.data) + packer.flush()) + _chunk(b"IEND", b"")


def _animated(frames: tuple[Frame, ...], plays: int, extra: bytes) -> bytes:
    size, parts, number = frames[0].size, [START], 0
    for index, frame in enumerate(frames):
        still = _still(frame)
        if not index:
            parts += [still[len(START) : 33], extra, _chunk(b"acTL", struct.pack(">II", len(frames), plays))]
        duration = min(frame.duration_ms, 0xFFFF)
        control = struct.pack(">IIIIIHHBB", number, size.width, size.height, 0, 0, duration, 1000, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        number += 1
        for kind, start, end in _places(still):
            if kind == b"IDAT" and not index:
                parts.append(still[start - 8 : end + 4])
            elif kind == b"IDAT":
                parts.append(_chunk(b"fdAT", struct.pack(">I", number) + still[start:end]))
                number += 1
    return b"".join((*parts, _chunk(b"IEND", b"")))


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(payload)), kind, payload, struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))))


def _places(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what each chunk holds, up to IEND."""
    place, size = len(START), len(content)
    for _ in range(_MAX_CHUNKS):
        start = place + 8
        if start + 4 > size:
            raise truncated(_NAME, content)
        end = start + int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : start]
        if end + 4 > size:
            raise truncated(_NAME, content)
        yield kind, start, end
        if kind == b"IEND":
            return
        place = end + 4
    raise damaged(_NAME, f"it has more than {_MAX_CHUNKS:,} chunks")


def _before_pixels(content: bytes) -> _Chunks:
    """What decides the size of the work and stands before the pixels."""
    found = _Chunks()
    for kind, start, end in _places(content):
        if kind == b"IDAT":
            return found
        if kind == b"acTL" and end - start == 8:
            found.frames, found.plays = struct.unpack_from(">II", content, start)
        elif kind == b"eXIf":
            found.exif = content[start:end]
    raise damaged(_NAME, "it has no pixels")


def _all(content: bytes) -> _Chunks:
    """Everything that matters, checked against its checksums."""
    found, view, control = _Chunks(), memoryview(content), None
    before_pixels = True
    for kind, start, end in _places(content):
        if zlib.crc32(view[start - 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise damaged(_NAME, f"the checksum of its {kind.decode('latin-1')!r} is wrong")
        if kind == b"IDAT":
            before_pixels = False
            found.pieces.append(view[start:end])
            if control is not None:
                control.pieces.append(view[start:end])
        elif kind == b"fdAT":
            if control is not None and end - start >= 4:
                control.pieces.append(view[start + 4 : end])
        elif kind == b"fcTL":
            if len(found.controls) < found.frames:
                control = _control(content[start:end])
                found.controls.append(control)
        elif before_pixels:
            _take(found, kind, content[start:end])
        elif kind == b"eXIf" and found.exif is None:
            found.exif = content[start:end]
        elif kind == b"iTXt":
            _take_xmp(found, content[start:end])
    return found


def _take(found: _Chunks, kind: bytes, payload: bytes) -> None:
    if kind == b"acTL" and len(payload) == 8:
        found.frames, found.plays = struct.unpack(">II", payload)
    elif kind == b"PLTE":
        found.palette = _short(payload, 768)
    elif kind == b"tRNS":
        found.transparency = _short(payload, 256)
    elif kind == b"iCCP" and not found.profiled:
        # Each could unpack to megabytes, and there may be thousands: one is looked at.
        found.profiled = True
        found.profile = _profile(payload)
    elif kind == b"eXIf":
        found.exif = payload
    elif kind == b"iTXt":
        _take_xmp(found, payload)


def _take_xmp(found: _Chunks, payload: bytes) -> None:
    if not found.described and payload.startswith(_XMP):
        found.described = True
        found.xmp = _xmp(payload)


def _short(payload: bytes, most: int) -> bytes:
    """It goes into the file of every frame."""
    if len(payload) > most:
        raise damaged(_NAME)
    return payload


def _control(payload: bytes) -> _Control:
    if len(payload) != 26:
        raise damaged(_NAME)
    _, width, height, x, y, numerator, denominator, disposal, blend = struct.unpack(">IIIIIHHBB", payload)
    return _Control(width, height, x, y, numerator * 1000 // (denominator or 100), _DISPOSALS.get(disposal, Disposal.KEEP), blend == 1)


def _profile(payload: bytes) -> bytes | None:
    """The profile, unpacked no further than a profile can be large."""
    name, _, packed = payload[:80].partition(b"\x00")
    return _unpacked(payload[len(name) + 2 :], MAX_PROFILE) if packed[:1] == b"\x00" else None


def _xmp(payload: bytes) -> bytes | None:
    if len(payload) < len(_XMP) + 4:
        return None
    compressed = payload[len(_XMP)]
    # Behind the two flags: a language and a translated keyword, each ended by 0.
    text = payload[len(_XMP) + 2 :].split(b"\x00", 2)[-1]
    packet = _unpacked(text, _MAX_XMP) if compressed else text
    return packet if packet is not None and len(packet) <= _MAX_XMP else None


def _unpacked(packed: bytes, most: int) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(packed, most + 1)
    except zlib.error:
        return None
    return unpacked if unpacker.eof and len(unpacked) <= most else None


def _check_packed(packed: bytes, most: int) -> None:
    """Refuses what unpacks to more than the picture can have."""
    unpacker, unpacked, place = zlib.decompressobj(), 0, 0
    try:
        while place < len(packed) and not unpacker.eof:
            piece = packed[place : place + 65536]
            place += len(piece)
            while piece:
                unpacked += len(unpacker.decompress(piece, 2**20))
                if unpacked > most:
                    raise damaged(_NAME, "it has more pixels than it says")
                piece = unpacker.unconsumed_tail
    except zlib.error:
        raise damaged(_NAME) from None
