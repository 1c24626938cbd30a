"""TIFF of one page: grey, colours and palettes of up to 16 bit. Sources: TIFF revision 6.0 (Adobe, 1992), its technical notes for Photoshop
(deflate), and ICC.1:2022, B.5 (profiles).

The decoder of LZW and PackBits never sees the file: it gets their data alone, as lines of bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmesh_augment.pictures import exif
from labelmesh_augment.pictures.directories import Directory, Tag, directories
from labelmesh_augment.pictures.facts import Entry, as_block, gathered, laid
from labelmesh_augment.pictures.headers import Header, Limits, Nature, check, damaged, refused
from labelmesh_augment.pictures.picture import Frame, Picture
from labelmesh_augment.pictures.profiles import MAX_PROFILE, rgb_of_cmyk
from labelmesh_augment.pictures.unpacking import ADOBE_DEFLATE, DEFLATE, LZW, PACKBITS, PLAIN, unpacked
from labelmesh_augment.pipelines.pipeline import Format

STARTS = (b"II*\x00", b"MM\x00*")
BIG_STARTS = (b"II+\x00", b"MM\x00+")
_NAME = "TIFF"
_MAX_STRIPS = 200_000
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5
_OTHER_COLOURS = {4: "a mask", 6: "YCbCr", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "a raw camera picture"}
_COMPRESSIONS = frozenset({PLAIN, LZW, ADOBE_DEFLATE, DEFLATE, PACKBITS})
_OTHER_COMPRESSIONS = {
    2: "CCITT",
    3: "CCITT fax 3",
    4: "CCITT fax 4",
    6: "JPEG",
    7: "JPEG",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_STRIP_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the values lie in the file."""

    width: int
    height: int
    samples: int
    bits: int
    colours: int
    compression: int
    predicted: bool
    planar: bool
    # Of the pieces: the whole width for strips.
    piece_width: int
    piece_height: int
    offsets: Sequence[int]
    counts: Sequence[int]


class TiffFile:
    """A TIFF whose directories have been read; no pixel is decoded.

    Reduced pictures and masks beside the picture are left out. InvalidArgument: NOT_AN_IMAGE, TRUNCATED, TOO_MANY_PIXELS, and
    FORMAT_NOT_ALLOWED for several pages (which of them is meant?), numbers with fractions, and colours or packing that is not for exchange.
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._content = content
        pages = [page for page in directories(content, _NAME) if not page.number(Tag.SUBFILE, 0) & 0b101]
        if not pages:
            raise damaged(_NAME, "it has no picture")
        if len(pages) > 1:
            raise refused("FORMAT_NOT_ALLOWED", f"the TIFF has {len(pages)} pages; save the one that is meant as a file of its own")
        self._page = page = pages[0]
        orientation = page.number(Tag.ORIENTATION, 1)
        width, height = page.number(Tag.WIDTH, 0), page.number(Tag.HEIGHT, 0)
        self.header = check(Header(Format.TIFF, width, height, orientation=orientation if 1 <= orientation <= 8 else 1), limits, _NAME)
        self._layout = _layout(page, width, height)

    def read(self) -> Picture:
        """The picture upright. Palettes become colours of 8 bit, CMYK sRGB; less than 8 bit become 8."""
        page, layout = self._page, self._layout
        values = _values(self._content, layout)
        profile = page.block(Tag.PROFILE)
        if profile is not None and len(profile) > MAX_PROFILE:
            profile = None
        colour, alpha = _shown(values, page, layout, profile)
        turned = Frame(
            exif.upright(colour, self.header.orientation),
            None if alpha is None else exif.upright(alpha, self.header.orientation),
        )
        nature = Nature(
            Format.TIFF,
            lossless=True,
            profile=None if layout.colours == _CMYK else profile,
            exif=as_block(gathered(self._content)),
            xmp=page.block(Tag.XMP),
            compression=layout.compression,
        )
        return Picture((turned,), nature)


def write(frame: Frame, nature: Nature, profile: bytes | None, exif_block: bytes | None, xmp: bytes | None) -> bytes:
    """A TIFF of 8 or 16 bit, grey or colour, with alpha or without; packed (deflate) unless the input was a TIFF that was not."""
    packed = nature.format is not Format.TIFF or nature.compression != PLAIN
    colour = frame.colour[:, :, None] if frame.gray else cv2.cvtColor(frame.colour, cv2.COLOR_BGR2RGB)
    values = colour if frame.alpha is None else np.concatenate((colour, frame.alpha[:, :, None]), axis=2)
    height, width, samples = values.shape
    bits = 8 * values.dtype.itemsize
    rows = max(1, _STRIP_BYTES // (width * samples * values.dtype.itemsize))
    strips = [_packed(values[top : top + rows], packed) for top in range(0, height, rows)]
    offsets = [8]
    for strip in strips:
        offsets.append(offsets[-1] + len(strip) + len(strip) % 2)
    entries = [
        _longs(Tag.WIDTH, width),
        _longs(Tag.HEIGHT, height),
        _shorts(Tag.BITS, *[bits] * samples),
        _shorts(Tag.COMPRESSION, ADOBE_DEFLATE if packed else PLAIN),
        _shorts(Tag.COLOURS, _BLACK_IS_ZERO if frame.gray else _RGB),
        _longs(Tag.STRIP_OFFSETS, *offsets[:-1]),
        _shorts(Tag.ORIENTATION, 1),
        _shorts(Tag.SAMPLES, samples),
        _longs(Tag.ROWS_PER_STRIP, rows),
        _longs(Tag.STRIP_COUNTS, *map(len, strips)),
        _shorts(Tag.PLANAR, 1),
        *(gathered(exif_block) if exif_block is not None else ()),
    ]
    if packed:
        entries.append(_shorts(Tag.PREDICTOR, 2))
    if frame.alpha is not None:
        entries.append(_shorts(Tag.EXTRA_SAMPLES, _UNASSOCIATED))
    if xmp is not None:
        entries.append(Entry(Tag.XMP, 1, len(xmp), xmp))
    if profile is not None:
        entries.append(Entry(Tag.PROFILE, 7, len(profile), profile))
    body = b"".join(strip + b"\x00" * (len(strip) % 2) for strip in strips)
    return b"II*\x00" + struct.pack("<I", offsets[-1]) + body + laid(entries, offsets[-1])


def _packed(strip: NDArray[Any], packed: bool) -> bytes:
    values = strip.astype(strip.dtype.newbyteorder("<"), copy=False)
    if not packed:
        return values.tobytes()
    # Each value less the one to its left.
    differences = values.copy()
    np.subtract(values[:, 1:], values[:, :-1], out=differences[:, 1:])
    return zlib.compress(differences.tobytes(), 3)


def _shorts(tag: Tag, *numbers: int) -> Entry:
    return Entry(tag, 3, len(numbers), struct.pack(f"<{len(numbers)}H", *numbers))


def _longs(tag: Tag, *numbers: int) -> Entry:
    return Entry(tag, 4, len(numbers), struct.pack(f"<{len(numbers)}I", *numbers))


def _layout(page: Directory, width: int, height: int) -> _Layout:
    """How the values lie, if it is a way that is taken."""
    samples, colours = page.number(Tag.SAMPLES, 1), page.number(Tag.COLOURS, -1)
    compression = page.number(Tag.COMPRESSION, PLAIN)
    bits = page.numbers(Tag.BITS, 16) or (1,)
    if colours not in _CHANNELS:
        raise _exotic(f"its colours are {_OTHER_COLOURS.get(colours, f'of kind {colours}')}; grey, RGB, CMYK and palettes are taken")
    if compression not in _COMPRESSIONS:
        packing = _OTHER_COMPRESSIONS.get(compression, f"method {compression}")
        raise _exotic(f"it is packed by {packing}; LZW, deflate, PackBits and none are taken")
    if set(page.numbers(Tag.SAMPLE_FORMAT, 16)) - {1, 4}:
        raise _exotic("its values have signs or fractions; whole ones from 0 are taken")
    if len(set(bits)) != 1 or bits[0] not in _depths(colours, samples) or page.number(Tag.FILL_ORDER, 1) != 1:
        raise _exotic(f"its values have {', '.join(map(str, bits))} bits; 8 and 16 are taken, of grey and palettes also 1, 2 and 4")
    if not _CHANNELS[colours] <= samples <= _CHANNELS[colours] + 4:
        raise damaged(_NAME, f"it has {samples} values for each pixel")
    predictor = page.number(Tag.PREDICTOR, 1)
    if predictor not in (1, 2) or (predictor == 2 and bits[0] < 8):
        raise _exotic("its values are predicted as fractions")
    planar = page.number(Tag.PLANAR, 1) == 2 and samples > 1
    if Tag.TILE_WIDTH in page:
        across, down = page.number(Tag.TILE_WIDTH, 0), page.number(Tag.TILE_HEIGHT, 0)
        offset_tag, count_tag = Tag.TILE_OFFSETS, Tag.TILE_COUNTS
    else:
        across, down = width, min(height, page.number(Tag.ROWS_PER_STRIP, height))
        offset_tag, count_tag = Tag.STRIP_OFFSETS, Tag.STRIP_COUNTS
    # A tile may be larger than the picture, but not by much.
    if not 0 < across <= width + 4096 or not 0 < down <= height + 4096:
        raise damaged(_NAME, "its parts have no sensible size")
    needed = -(-width // across) * -(-height // down) * (samples if planar else 1)
    if needed > _MAX_STRIPS:
        raise damaged(_NAME, f"it has {needed:,} parts; at most {_MAX_STRIPS:,} are taken")
    offsets, counts = page.numbers(offset_tag, needed), page.numbers(count_tag, needed)
    if len(offsets) < needed or len(counts) < needed:
        raise damaged(_NAME, "it does not say where its pixels are")
    return _Layout(
        width, height, samples, bits[0], colours, compression, predictor == 2, planar, across, down, offsets[:needed], counts[:needed]
    )


def _depths(colours: int, samples: int) -> tuple[int, ...]:
    if colours == _CMYK:
        return (8,)
    if colours == _PALETTE:
        return (1, 2, 4, 8) if samples == 1 else (8,)
    return (1, 2, 4, 8, 16) if samples == 1 else (8, 16)


def _values(content: bytes, layout: _Layout) -> NDArray[Any]:
    """(height, width, samples), as numbers."""
    dtype = np.dtype(np.uint16) if layout.bits == 16 else np.dtype(np.uint8)
    each = 1 if layout.planar else layout.samples
    line = -(-layout.piece_width * each * layout.bits // 8)
    values = np.empty((layout.height, layout.width, layout.samples), dtype)
    places = list(_places(layout))
    last = layout.height % layout.piece_height if layout.piece_width == layout.width else 0
    sizes = [line * (last if last and top + layout.piece_height > layout.height else layout.piece_height) for _, top, _ in places]
    pieces = unpacked(content, layout.compression, layout.offsets, layout.counts, sizes, line)
    for (plane, top, left), piece in zip(places, pieces, strict=True):
        block = _numbers(piece.reshape(-1, line), layout, each, content.startswith(b"MM"))
        area = values[top : top + layout.piece_height, left : left + layout.piece_width]
        if layout.planar:
            area[:, :, plane] = block[: area.shape[0], : area.shape[1], 0]
        else:
            area[...] = block[: area.shape[0], : area.shape[1]]
    return values


def _places(layout: _Layout) -> Iterator[tuple[int, int, int]]:
    """Plane, top and left of each part, in the file's order."""
    for plane in range(layout.samples if layout.planar else 1):
        for top in range(0, layout.height, layout.piece_height):
            for left in range(0, layout.width, layout.piece_width):
                yield plane, top, left


def _numbers(lines: NDArray[np.uint8], layout: _Layout, each: int, big: bool) -> NDArray[Any]:
    """(rows, columns, values of each pixel) from lines of bytes."""
    if layout.bits < 8:
        ones = np.unpackbits(lines, axis=1)
        weights = 1 << np.arange(layout.bits - 1, -1, -1, dtype=np.uint8)
        numbers = ones[:, : ones.shape[1] // layout.bits * layout.bits].reshape(len(lines), -1, layout.bits) @ weights
        return numbers[:, : layout.piece_width, None].astype(np.uint8)
    values: NDArray[Any] = lines
    if layout.bits == 16:
        values = np.ascontiguousarray(lines).view(">u2" if big else "<u2").astype(np.uint16)
    values = values.reshape(len(lines), -1, each)
    return np.cumsum(values, axis=1, dtype=values.dtype) if layout.predicted else values


def _shown(values: NDArray[Any], page: Directory, layout: _Layout, profile: bytes | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Colour and alpha."""
    channels = _CHANNELS[layout.colours]
    # Programs that do not say what they add mean alpha.
    kinds = page.numbers(Tag.EXTRA_SAMPLES, 8) or (_UNASSOCIATED,)
    alpha = np.ascontiguousarray(values[:, :, channels]) if layout.samples > channels and kinds[0] in (_ASSOCIATED, _UNASSOCIATED) else None
    if layout.colours == _PALETTE:
        return _coloured(values[:, :, 0], page, layout), alpha
    if layout.colours == _CMYK:
        image = Image.fromarray(np.ascontiguousarray(values[:, :, :4]), "CMYK")
        return cv2.cvtColor(np.asarray(rgb_of_cmyk(image, profile)), cv2.COLOR_RGB2BGR), alpha
    if layout.colours == _RGB:
        colour = cv2.cvtColor(np.ascontiguousarray(values[:, :, :3]), cv2.COLOR_RGB2BGR)
    else:
        colour = np.ascontiguousarray(values[:, :, 0])
        if layout.bits < 8:
            colour = colour * np.uint8(255 // ((1 << layout.bits) - 1))
        if layout.colours == _WHITE_IS_ZERO:
            colour = np.bitwise_not(colour)
    return (colour if alpha is None or kinds[0] == _UNASSOCIATED else _divided(colour, alpha)), alpha


def _coloured(numbers: NDArray[Any], page: Directory, layout: _Layout) -> NDArray[Any]:
    count = 1 << layout.bits
    table = page.numbers(Tag.COLOUR_MAP, 3 * 256)
    if len(table) != 3 * count:
        raise damaged(_NAME, "its palette has not as many colours as it needs")
    # 16 bit each: all reds, all greens, all blues.
    colours = (np.array(table, np.uint32).reshape(3, count)[::-1].T >> 8).astype(np.uint8)
    found: NDArray[Any] = np.ascontiguousarray(colours)[numbers]
    return found


def _divided(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours that were multiplied by alpha, as they were before."""
    white = int(np.iinfo(colour.dtype).max)
    result = np.empty_like(colour)
    rows = max(1, 500_000 // colour.shape[1])
    for top in range(0, len(colour), rows):
        strip = np.s_[top : top + rows]
        cover = np.maximum(alpha[strip].astype(np.uint32), 1)
        if colour.ndim == 3:
            cover = cover[:, :, None]
        result[strip] = np.minimum((colour[strip].astype(np.uint64) * white + cover // 2) // cover, white)
    return result


def _exotic(why: str) -> Exception:
    return refused("FORMAT_NOT_ALLOWED", f"this kind of TIFF is not taken: {why}")
