"""The format and the size of a picture from the first bytes of its file, without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC_BYTES = 16
#: Segments, chunks and tags that are looked at before it is given up.
_MOST_PARTS = 4096
_MOST_EXIF_BYTES = 128 * 1024
#: EXIF orientations that lie on their side.
_ON_THE_SIDE = frozenset({5, 6, 7, 8})

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WebP": "image/webp", "TIFF": "image/tiff"}
#: By media type, the usual one first.
ENDINGS = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png", ".apng"),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/tiff": (".tif", ".tiff"),
}
PICTURE_ENDINGS = frozenset(ending for endings in ENDINGS.values() for ending in endings)


@dataclass(frozen=True)
class PictureSize:
    """Pixels as they are stored, and as the picture is seen: `turned` where its EXIF orientation lays it on its side."""

    width: int
    height: int
    turned: bool = False

    @property
    def upright(self) -> tuple[int, int]:
        return (self.height, self.width) if self.turned else (self.width, self.height)


def format_of(beginning: bytes) -> str | None:
    """JPEG, PNG, GIF, WebP or TIFF by the first 16 bytes; None for anything else."""
    if beginning.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if beginning.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if beginning.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP"
    if beginning.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    return None


def read_format(path: Path) -> str | None:
    """The format of a file by its content. Raises OSError."""
    with path.open("rb") as file:
        return format_of(file.read(_MAGIC_BYTES))


def read_size(path: Path) -> PictureSize | None:
    """The size of a picture; None where the header does not say it. Raises OSError."""
    with path.open("rb") as file:
        form = format_of(file.read(_MAGIC_BYTES))
        try:
            match form:
                case "JPEG":
                    return _jpeg(file)
                case "PNG":
                    return _png(file)
                case "GIF":
                    file.seek(6)
                    return PictureSize(*struct.unpack("<HH", file.read(4)))
                case "WebP":
                    return _webp(file)
                case "TIFF":
                    file.seek(0)
                    tags = _tags(file.read(_MOST_EXIF_BYTES), file)
                    return PictureSize(tags[256], tags[257], tags.get(274, 1) in _ON_THE_SIDE)
        except (struct.error, IndexError, KeyError, OverflowError):
            return None
    return None


def _jpeg(file: BinaryIO) -> PictureSize | None:
    file.seek(2)
    turned = False
    for _ in range(_MOST_PARTS):
        byte = file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte:
            return None
        kind = byte[0]
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            _, height, width = struct.unpack(">BHH", file.read(5))
            return PictureSize(width, height, turned)
        body = file.read(length - 2)
        if kind == 0xE1 and body.startswith(b"Exif\0\0"):
            turned = _is_turned(body[6:])
        if file.read(1) != b"\xff":
            return None
    return None


def _png(file: BinaryIO) -> PictureSize:
    file.seek(16)
    width, height = struct.unpack(">II", file.read(8))
    file.seek(8)
    for _ in range(_MOST_PARTS):
        head = file.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return PictureSize(width, height, _is_turned(file.read(min(length, _MOST_EXIF_BYTES))))
        file.seek(length + 4, 1)
    return PictureSize(width, height)


def _webp(file: BinaryIO) -> PictureSize | None:
    file.seek(12)
    size: tuple[int, int] | None = None
    for _ in range(_MOST_PARTS):
        head = file.read(8)
        if len(head) < 8:
            break
        kind, length = struct.unpack("<4sI", head)
        after = file.tell() + length + length % 2
        body = file.read(min(length, _MOST_EXIF_BYTES))
        if kind == b"VP8X":
            size = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
        elif kind == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", body, 6)
            return PictureSize(width & 0x3FFF, height & 0x3FFF)
        elif kind == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", body, 1)
            return PictureSize((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif kind == b"EXIF" and size is not None:
            return PictureSize(*size, _is_turned(body.removeprefix(b"Exif\0\0")))
        file.seek(after)
    return PictureSize(*size) if size else None


def _is_turned(exif: bytes) -> bool:
    try:
        return _tags(exif).get(274, 1) in _ON_THE_SIDE
    except (struct.error, IndexError, KeyError):
        return False


def _tags(content: bytes, file: BinaryIO | None = None) -> dict[int, int]:
    """The first directory's tags that are one small number (TIFF 6.0)."""
    order = "<" if content[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", content, 2)
    if magic != 42:
        raise KeyError(magic)
    (offset,) = struct.unpack_from(order + "I", content, 4)
    if file is not None:
        file.seek(offset)
        content, offset = file.read(_MOST_EXIF_BYTES), 0
    (count,) = struct.unpack_from(order + "H", content, offset)
    tags: dict[int, int] = {}
    for number in range(min(count, _MOST_PARTS)):
        tag, kind, _ = struct.unpack_from(order + "HHI", content, offset + 2 + 12 * number)
        if kind in (3, 4):
            (tags[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), content, offset + 10 + 12 * number)
    return tags
