"""What a file must be to be labeled: a whole JPEG or PNG. Its header is read and judged before any decoder sees the body."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

MAX_BYTES = 16 * 1024 * 1024
MAX_PIXELS = 100_000_000

# Pillow's own limit warns instead of refusing; ours is below, checked before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

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
# A decoder of JPEG can leave out this much of each side; it reads the whole file all the same.
_JPEG_REDUCTION = 8
_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that can be labeled. Width and height in pixels, before any EXIF rotation."""

    content: bytes
    sha256: bytes
    width: int
    height: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file cannot be labeled: a stable reason and a sentence."""

    reason: str
    problem: str


class DecoderGate:
    """Lets decoders in while the pixels in their hands stay under a limit, so that no set of files can fill the memory."""

    def __init__(self, most_pixels: int = MAX_PIXELS) -> None:
        self._most = most_pixels
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def room(self, pixels: int) -> Iterator[None]:
        """Waits for room for that many pixels; more than the limit counts as the limit."""
        share = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + share <= self._most)
            self._taken += share
        try:
            yield
        finally:
            with self._changed:
                self._taken -= share
                self._changed.notify_all()


def object_key(sha256: str, media_type: str) -> str:
    """Where the file of this content lies in object storage. `sha256` in hex."""
    return f"images/{sha256[:2]}/{sha256}.{_SUFFIXES[media_type]}"


def inspect(content: bytes, gate: DecoderGate) -> Picture | Refusal:
    """Reads a file to its end. Refusals: EMPTY, TOO_LARGE, NOT_AN_IMAGE, FORMAT_NOT_ALLOWED, TOO_MANY_PIXELS, TRUNCATED."""
    if not content:
        return Refusal("EMPTY", "the file is empty")
    if len(content) > MAX_BYTES:
        return Refusal("TOO_LARGE", f"the file has {len(content):,} bytes; at most {MAX_BYTES:,} are taken")
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            media_type = _MEDIA_TYPES.get(image.format or "")
            width, height = image.size
    except UnidentifiedImageError:
        return _unknown(content)
    except Exception:  # Pillow's parsers raise whatever a broken header makes them raise.
        return _broken(content)
    if media_type is None:
        return Refusal("FORMAT_NOT_ALLOWED", "only JPEG and PNG are taken")
    if width * height > MAX_PIXELS:
        return Refusal("TOO_MANY_PIXELS", f"the image has {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are taken")
    with gate.room(width * height):
        refusal = _decode(content, media_type)
    return refusal or Picture(content, hashlib.sha256(content).digest(), width, height, media_type)


def _decode(content: bytes, media_type: str) -> Refusal | None:
    try:
        if media_type == "image/png":
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                image.verify()
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            if media_type == "image/jpeg":
                image.draft(None, (max(1, image.width // _JPEG_REDUCTION), max(1, image.height // _JPEG_REDUCTION)))
            image.load()
    except Exception:  # As above.
        return _broken(content)
    return None


def _broken(content: bytes) -> Refusal:
    """What is wrong with a file that begins as a JPEG or PNG: without the mark that ends it, it was cut off."""
    name, end = ("PNG", b"IEND") if content.startswith(_PNG_START) else ("JPEG", b"\xff\xd9")
    if end in content[-32:]:
        return Refusal("NOT_AN_IMAGE", f"the {name} is damaged")
    return Refusal("TRUNCATED", f"the {name} ends early: {len(content):,} bytes are not the whole file")


def _unknown(content: bytes) -> Refusal:
    if content.startswith((_PNG_START, _JPEG_START)):
        return _broken(content)
    start = content[:64].lstrip()
    for magic, name in _OTHER_FORMATS.items():
        if content.startswith(magic) or start.startswith(magic):
            return Refusal("FORMAT_NOT_ALLOWED", f"the file is {name}; only JPEG and PNG are taken")
    return Refusal("NOT_AN_IMAGE", "the file is no JPEG or PNG image")
