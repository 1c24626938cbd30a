"""Files that people and programs send: JPEG and PNG. The header is read and judged before any decoder sees the body."""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from labelmesh_chassis.cores import available_cores
from labelmesh_chassis.errors import InvalidArgument, ResourceExhausted
from PIL import Image, UnidentifiedImageError

from labelmesh_inference.predictions.geometry import UPRIGHT_ORIENTATION, swaps_sides

MAX_BYTES = 16 * 1024 * 1024
MAX_PIXELS = 100_000_000
# Pictures of fewer pixels are decoded without waiting for anybody: about 2 ms each.
SMALL_PIXELS = 256 * 256
_LONGEST_WAIT_S = 10.0

# Pillow's own limit warns instead of refusing; ours is checked before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None
# It reads the resolution from EXIF and complains of broken blocks, which are no fault of the picture.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)

_MEDIA_TYPES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png"}
_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png"}
# Formats that people do send; everything else is no image as far as we know.
_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"RIFF": "WebP",
    b"%PDF": "PDF",
    b"\x00\x00\x01\x00": "ICO",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"<svg": "SVG",
}
_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_WHITE = 255
# Of what is converted at once.
_STRIP_PIXELS = 1_000_000
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DecoderGate:
    """Lets decoders of large pictures in while they are few and the pixels in their hands stay under a limit.

    So no set of files fills the memory, and large pictures leave the processor to small ones now and then.
    """

    def __init__(self, most_pixels: int = MAX_PIXELS, most_decoders: int = 0) -> None:
        self._most_pixels = most_pixels
        self._most_decoders = most_decoders or max(2, available_cores())
        self._pixels = 0
        self._decoders = 0
        self._changed = threading.Condition()

    @contextmanager
    def room(self, pixels: int) -> Iterator[None]:
        """Waits for room for that many pixels; more than the limit counts as the limit. ResourceExhausted (DECODERS_BUSY) after 10 s."""
        if pixels <= SMALL_PIXELS:
            yield
            return
        share = min(pixels, self._most_pixels)
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(share), timeout=_LONGEST_WAIT_S):
                raise ResourceExhausted("DECODERS_BUSY", "too many large pictures are being decoded; try again soon", retry_after=1)
            self._pixels += share
            self._decoders += 1
        try:
            yield
        finally:
            with self._changed:
                self._pixels -= share
                self._decoders -= 1
                self._changed.notify_all()

    def _has_room(self, share: int) -> bool:
        return self._decoders < self._most_decoders and self._pixels + share <= self._most_pixels


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. Pixels as stored; `orientation` is EXIF's, 1 to 8."""

    media_type: str
    stored_width: int
    stored_height: int
    orientation: int

    @property
    def width(self) -> int:
        """Of the upright picture."""
        return self.stored_height if swaps_sides(self.orientation) else self.stored_width

    @property
    def height(self) -> int:
        """Of the upright picture."""
        return self.stored_width if swaps_sides(self.orientation) else self.stored_height

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.stored_width * self.stored_height


def object_key(sha256: str, media_type: str) -> str:
    """Where the file of this content lies in object storage. `sha256` in hex."""
    return f"predictions/{sha256}.{_SUFFIXES[media_type]}"


class PictureFile:
    """A JPEG or PNG whose header has been read; the body has not been decoded.

    InvalidArgument: EMPTY, TOO_LARGE, NOT_AN_IMAGE, FORMAT_NOT_ALLOWED, TOO_MANY_PIXELS, TRUNCATED; the last also when it is decoded.
    """

    def __init__(self, content: bytes) -> None:
        if not content:
            raise _refused("EMPTY", "the file is empty")
        if len(content) > MAX_BYTES:
            raise _refused("TOO_LARGE", f"the file has {len(content):,} bytes; at most {MAX_BYTES:,} are taken")
        self.content = content
        try:
            self._image: Image.Image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        except UnidentifiedImageError:
            raise _unknown(content) from None
        except Exception:  # Pillow's parsers raise whatever a broken header makes them raise.
            raise _broken(content) from None
        media_type = _MEDIA_TYPES.get(self._image.format or "")
        if media_type is None:
            raise _refused("FORMAT_NOT_ALLOWED", "only JPEG and PNG are taken")
        width, height = self._image.size
        if width * height > MAX_PIXELS:
            raise _refused("TOO_MANY_PIXELS", f"the picture has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are taken")
        if media_type == "image/png":
            _check_png(content)
        self.header = Header(media_type, width, height, exif_orientation(self._image.info.get("exif")))

    def pixels(self, *, gray: bool, least: tuple[float, float] | None = None) -> tuple[Image.Image, float]:
        """The picture as stored, 8 bit, grey or RGB, what is transparent on white.

        Where at least `least` (width, height) of its pixels are enough, a JPEG may be decoded to a half, a quarter or an eighth of its
        size, each pixel the mean of those it stands for; the second value says by how much (1, 2, 4, 8).
        """
        image, reduction = self._image, 1.0
        try:
            if self.header.media_type == "image/jpeg":
                size = None if least is None else (max(1, math.ceil(least[0])), max(1, math.ceil(least[1])))
                drafted = image.draft("L" if gray else None, size)
                if drafted is not None and size is not None:
                    reduction = self.header.stored_width / drafted[1][2]
            image.load()
        except Exception:  # As above.
            raise _broken(self.content) from None
        return (_gray(image) if gray else _rgb(image)), reduction


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned as EXIF's orientation asks."""
    method = _TRANSPOSITIONS.get(orientation)
    return image if method is None else image.transpose(method)


def encode(image: Image.Image, media_type: str) -> bytes:
    """The picture as a file of the same kind again, with as little loss as JPEG allows."""
    file = io.BytesIO()
    if media_type == "image/png":
        image.save(file, format="PNG", compress_level=1)
    else:
        image.save(file, format="JPEG", quality=95, subsampling=0)
    return file.getvalue()


def exif_orientation(exif: object) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 where there is none or the block is broken. Source: CIPA DC-008, 4.6."""
    if not isinstance(exif, bytes):
        return UPRIGHT_ORIENTATION
    block = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(block[:4])
    try:
        if order is None:
            return UPRIGHT_ORIENTATION
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for index in range(count):
            tag, kind, number = struct.unpack_from(order + "HHI", block, start + 2 + 12 * index)
            if tag == 0x0112 and kind == 3 and number == 1:
                (found,) = struct.unpack_from(order + "H", block, start + 2 + 12 * index + 8)
                return int(found) if 1 <= found <= 8 else UPRIGHT_ORIENTATION
    except struct.error:
        pass
    return UPRIGHT_ORIENTATION


def _gray(image: Image.Image) -> Image.Image:
    return image if image.mode == "L" and "transparency" not in image.info else _converted(image, "L")


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" and "transparency" not in image.info else _converted(image, "RGB")


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """As `mode`, in strips: a transparent picture of 100 megapixels would take 2 GB on its way if all of it went it at once."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if height <= rows:
        return _shown(image).convert(mode)
    whole = Image.new(mode, image.size)
    for top in range(0, height, rows):
        whole.paste(_shown(image.crop((0, top, width, min(height, top + rows)))).convert(mode), (0, top))
    return whole


def _shown(image: Image.Image) -> Image.Image:
    """As people see it: 8 bit, RGB, on white."""
    if image.mode.startswith("I"):
        return _eight_bit(image).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        shown = image.convert("RGBA")
        ground = Image.new("RGBA", shown.size, (_WHITE, _WHITE, _WHITE, _WHITE))
        return Image.alpha_composite(ground, shown).convert("RGB")
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 bits: Pillow's own conversion would cut off what is above 255."""
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _check_png(content: bytes) -> None:
    """Refuses a PNG whose chunks do not reach its end or do not match their checksums, which the decoder would pass over."""
    place = len(_PNG_START)
    view = memoryview(content)
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 12 + length
        if end > len(content):
            break
        if zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise _refused("NOT_AN_IMAGE", "the PNG is damaged")
        if content[place + 4 : place + 8] == b"IEND":
            return
        place = end
    raise _broken(content)


def _broken(content: bytes) -> InvalidArgument:
    """What is wrong with a file that begins as a JPEG or PNG: without the mark that ends it, it was cut off."""
    name, end = ("PNG", b"IEND") if content.startswith(_PNG_START) else ("JPEG", b"\xff\xd9")
    if end in content[-32:]:
        return _refused("NOT_AN_IMAGE", f"the {name} is damaged")
    return _refused("TRUNCATED", f"the {name} ends early: {len(content):,} bytes are not the whole file")


def _unknown(content: bytes) -> InvalidArgument:
    if content.startswith((_PNG_START, _JPEG_START)):
        return _broken(content)
    start = content[:64].lstrip()
    for magic, name in _OTHER_FORMATS.items():
        if content.startswith(magic) or start.startswith(magic):
            return _refused("FORMAT_NOT_ALLOWED", f"the file is {name}; only JPEG and PNG are taken")
    return _refused("NOT_AN_IMAGE", "the file is no JPEG or PNG image")


def _refused(reason: str, problem: str) -> InvalidArgument:
    return InvalidArgument(reason, problem, field="input")
