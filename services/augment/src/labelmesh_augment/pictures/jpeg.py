"""JPEG. Sources: ITU-T T.81, annex B; JFIF 1.02; Adobe's APP14 (technical note 5116); ICC.1:2022, B.4; CIPA DC-007 (MPO)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmesh_augment.pictures import exif
from labelmesh_augment.pictures.headers import Header, Limits, Nature, check, damaged, refused, truncated
from labelmesh_augment.pictures.picture import Frame, Picture
from labelmesh_augment.pictures.profiles import MAX_PROFILE, rgb_of_cmyk
from labelmesh_augment.pictures.quantisation import quality_of
from labelmesh_augment.pipelines.pipeline import Format

START = b"\xff\xd8\xff"
MAX_SIDE = 65_500
DEFAULT_QUALITY = 92
# From here on chroma is kept in full where the input says nothing of it.
_FINE_QUALITY = 90
_NAME = "JPEG"
_PROGRESSIVE = 0xC2
_OTHER_PROCESSES = {0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical", 0xC9: "arithmetically coded"}
_OTHER_PROCESSES |= {0xCA: "arithmetically coded", 0xCB: "lossless", 0xCD: "hierarchical", 0xCE: "hierarchical", 0xCF: "hierarchical"}
_WITHOUT_CONTENT = frozenset({0x01, *range(0xD0, 0xD8)})
_MAX_SEGMENTS = 4096
# Every scan goes over all of the picture: cjpeg writes 10 of them, optimisers a few more.
_MAX_SCANS = 100
_MAX_SCANNED_PIXELS = 1_000_000_000
_FILLED = re.compile(rb"\xff+")
_ICC = b"ICC_PROFILE\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_MAX_SEGMENT = 65_533
_SAMPLINGS = {
    (1, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    (2, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    (1, 2): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    (2, 2): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    (4, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


@dataclass(slots=True)
class _Segments:
    """What stands before the first scan."""

    width: int = 0
    height: int = 0
    components: int = 0
    # Of each component: samples across and down, number of its table.
    factors: tuple[tuple[int, int, int], ...] = ()
    tables: dict[int, bytes] = field(default_factory=dict)
    exif: bytes | None = None
    xmp: bytes | None = None
    profile: dict[int, bytes] = field(default_factory=dict)
    scan: int = 0
    progressive: bool = False


class JpegFile:
    """A JPEG whose header has been read. Of a file with several pictures (MPO) it is the first.

    InvalidArgument: NOT_AN_IMAGE, FORMAT_NOT_ALLOWED (arithmetic, lossless, hierarchical, 12 bit), TRUNCATED, TOO_MANY_PIXELS (also for
    more scans than any encoder writes: each one costs as much as the picture).
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._content = content
        self._found = _segments(content)
        orientation = exif.orientation(self._found.exif)
        self.header = check(Header(Format.JPEG, self._found.width, self._found.height, orientation=orientation), limits, _NAME)

    @property
    def colourful(self) -> bool:
        """Whether `read` gives a picture in colour."""
        return self._found.components != 1

    @property
    def has_luma(self) -> bool:
        """Whether its luma can be had without its colours."""
        return self._found.components == 3

    def read(self, *, luma: bool = False) -> Picture:
        """The picture upright: grey, or colour. CMYK becomes sRGB. `luma`: of one that has it, its luma alone, as the file stores it."""
        found, content = self._found, self._content
        self._check_scans()
        if content.rfind(b"\xff\xd9", found.scan) < 0:
            raise truncated(_NAME, content)
        profile = _profile(found.profile)
        if found.components == 4:
            pixels, profile = self._cmyk(profile), None
        else:
            pixels = self._plain(cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION if luma else cv2.IMREAD_UNCHANGED)
        if pixels.shape[:2] != (found.height, found.width) or pixels.ndim != (2 if luma or found.components == 1 else 3):
            raise damaged(_NAME)
        nature = Nature(Format.JPEG, *_qualities(found), sampling=_sampling(found), profile=profile, exif=found.exif, xmp=found.xmp)
        return Picture((Frame(exif.upright(pixels, self.header.orientation)),), nature)

    def _plain(self, how: int) -> NDArray[Any]:
        try:
            pixels = cv2.imdecode(np.frombuffer(self._content, np.uint8), how)
        except cv2.error:
            raise damaged(_NAME) from None
        if pixels is None:
            raise damaged(_NAME)
        return pixels

    def _cmyk(self, profile: bytes | None) -> NDArray[Any]:
        """Ink is stored the other way round, as every program that writes such files does."""
        size = (self._found.width, self._found.height)
        try:
            image = Image.frombytes("CMYK", size, self._content, "jpeg", "CMYK;I", "")
        except (ValueError, OSError):
            raise damaged(_NAME) from None
        return cv2.cvtColor(np.asarray(rgb_of_cmyk(image, profile)), cv2.COLOR_RGB2BGR)

    def _check_scans(self) -> None:
        # One scan of everything: the decoder goes on to no other.
        if not self._found.progressive and self._content[self._found.scan + 4] == self._found.components:
            return
        # In coded data 0xff is always followed by 0 or by a marker.
        scans = self._content.count(b"\xff\xda", self._found.scan)
        if scans > _MAX_SCANS or (scans > 20 and scans * self.header.pixels > _MAX_SCANNED_PIXELS):
            raise refused("TOO_MANY_PIXELS", f"the JPEG goes over its {self.header.pixels:,} pixels in {scans:,} scans; that is not taken")


def write(colour: NDArray[Any], nature: Nature, quality: int, profile: bytes | None, exif_block: bytes | None, xmp: bytes | None) -> bytes:
    """A JPEG of 8 bit pixels, (height, width) or (height, width, 3) BGR.

    At `quality`, or at the input's where that is 0, and with the input's sampling of chroma.
    """
    encoded, buffer = cv2.imencode(".jpg", colour, _parameters(nature, quality, colour.ndim == 2))
    if not encoded:
        raise ValueError("the picture could not be written as JPEG")
    content: bytes = buffer.tobytes()
    parts = list(_metadata(profile, exif_block, xmp))
    if not parts:
        return content
    # Behind SOI and APP0.
    place = 4 + int.from_bytes(content[4:6], "big") if content[2:4] == b"\xff\xe0" else 2
    return b"".join((content[:place], *parts, content[place:]))


def _parameters(nature: Nature, quality: int, gray: bool) -> list[int]:
    given = nature.format is Format.JPEG
    luma = quality or nature.quality or DEFAULT_QUALITY
    parameters = [cv2.IMWRITE_JPEG_QUALITY, luma]
    if gray:
        return parameters
    chroma = quality or nature.chroma_quality or luma
    if chroma != luma:
        parameters += [cv2.IMWRITE_JPEG_LUMA_QUALITY, luma, cv2.IMWRITE_JPEG_CHROMA_QUALITY, chroma]
    sampling = nature.sampling if given and nature.sampling != (0, 0) else (1, 1) if luma >= _FINE_QUALITY else (2, 2)
    return [*parameters, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLINGS[sampling]]


def _metadata(profile: bytes | None, exif_block: bytes | None, xmp: bytes | None) -> list[bytes]:
    parts = []
    for prefix, block in ((exif.PREFIX, exif_block), (_XMP, xmp)):
        # What is larger than a segment came from another format; nobody would find it in several.
        if block is not None and len(prefix) + len(block) <= _MAX_SEGMENT:
            parts.append(_segment(0xE1, prefix + block))
    if profile is not None:
        most = _MAX_SEGMENT - len(_ICC) - 2
        pieces = [profile[start : start + most] for start in range(0, len(profile), most)]
        if len(pieces) <= 255:
            parts += [_segment(0xE2, _ICC + bytes((number, len(pieces))) + piece) for number, piece in enumerate(pieces, 1)]
    return parts


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _segments(content: bytes) -> _Segments:
    found, place = _Segments(), 2
    for _ in range(_MAX_SEGMENTS):
        # As decoders do: what is no marker is passed over, and so are bytes that fill up.
        place = content.find(b"\xff", place)
        filled = _FILLED.match(content, place) if place >= 0 else None
        if filled is None or filled.end() + 3 > len(content):
            raise truncated(_NAME, content)
        place = filled.end()
        marker = content[place]
        if marker == 0 or marker in _WITHOUT_CONTENT:
            place += 1
            continue
        if marker in (0xD8, 0xD9):
            raise damaged(_NAME, "it has no picture")
        length = (content[place + 1] << 8) + content[place + 2]
        start, end = place + 3, place + 1 + length
        if length < 2 or end > len(content):
            raise damaged(_NAME) if length < 2 else truncated(_NAME, content)
        if marker == 0xDA:
            if not found.components:
                raise damaged(_NAME, "it has a scan before its frame")
            found.scan = place - 1
            return found
        _take(found, marker, content, start, end)
        place = end
    raise damaged(_NAME, f"it has more than {_MAX_SEGMENTS:,} segments before its picture")


def _take(found: _Segments, marker: int, content: bytes, start: int, end: int) -> None:
    if 0xC0 <= marker <= _PROGRESSIVE:
        _take_frame(found, content, start, end)
        found.progressive = marker == _PROGRESSIVE
    elif marker in _OTHER_PROCESSES:
        raise refused("FORMAT_NOT_ALLOWED", f"the JPEG is {_OTHER_PROCESSES[marker]}; baseline and progressive ones are taken")
    elif marker == 0xDB:
        _take_tables(found, content, start, end)
    elif marker == 0xE1:
        if found.exif is None and content.startswith(exif.PREFIX, start, end):
            found.exif = content[start + len(exif.PREFIX) : end]
        elif found.xmp is None and content.startswith(_XMP, start, end):
            found.xmp = content[start + len(_XMP) : end]
    elif marker == 0xE2 and content.startswith(_ICC, start, end) and end - start > len(_ICC) + 2:
        found.profile.setdefault(content[start + len(_ICC)], content[start + len(_ICC) + 2 : end])


def _take_frame(found: _Segments, content: bytes, start: int, end: int) -> None:
    if found.components:
        raise damaged(_NAME, "it has two frames")
    if end - start < 6:
        raise damaged(_NAME)
    bits, height, width, components = struct.unpack_from(">BHHB", content, start)
    if bits != 8:
        raise refused("FORMAT_NOT_ALLOWED", f"the JPEG has {bits} bits for each value; those of 8 are taken")
    if components not in (1, 3, 4) or end - start < 6 + 3 * components:
        raise damaged(_NAME, f"it has {components} components")
    found.width, found.height, found.components = width, height, components
    found.factors = tuple(
        (content[at + 1] >> 4, content[at + 1] & 15, content[at + 2]) for at in range(start + 6, start + 6 + 3 * components, 3)
    )


def _take_tables(found: _Segments, content: bytes, start: int, end: int) -> None:
    while start < end:
        length = 128 if content[start] >> 4 else 64
        if start + 1 + length > end:
            raise damaged(_NAME)
        found.tables[content[start] & 15] = content[start + 1 : start + 1 + length]
        start += 1 + length


def _qualities(found: _Segments) -> tuple[int, int]:
    if found.components == 4:
        # Of inks; nothing that colours have.
        return 0, 0
    tables = [found.tables.get(number) for _, _, number in found.factors[:2]]
    if tables[0] is None:
        return 0, 0
    luma = quality_of(tables[0], chroma=False)
    return luma, luma if tables[-1] is None or len(tables) < 2 else quality_of(tables[-1], chroma=True, likely=luma)


def _sampling(found: _Segments) -> tuple[int, int]:
    """How many luma samples there are for one of chroma; the nearest that can be written."""
    if found.components != 3:
        return (0, 0)
    (across, down, _), (chroma_across, chroma_down, _) = found.factors[:2]
    if not chroma_across or not chroma_down:
        return (0, 0)
    sampling = (max(1, across // chroma_across), max(1, down // chroma_down))
    return sampling if sampling in _SAMPLINGS else (2, 2)


def _profile(pieces: dict[int, bytes]) -> bytes | None:
    if not pieces or sorted(pieces) != list(range(1, len(pieces) + 1)):
        return None
    profile = b"".join(pieces[number] for number in sorted(pieces))
    return profile if len(profile) <= MAX_PROFILE else None
