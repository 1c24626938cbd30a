"""Picture files put together by hand, honest ones and others."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from labelmesh_augment.pictures.picture import Frame
from numpy.typing import NDArray
from PIL import Image


def photograph(width: int = 48, height: int = 32) -> Image.Image:
    """Colours that change smoothly, with a corner that tells which way is up."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.stack((255 * x, 255 * y, 255 * (1 - x) * (0.5 + 0.5 * np.sin(9 * y))), axis=-1).astype(np.uint8)
    pixels[: max(1, height // 4), : max(1, width // 4)] = (250, 240, 20)
    return Image.fromarray(pixels)


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=format_, **options)
    return file.getvalue()


def opened(content: bytes) -> Any:
    """As Pillow reads it: the independent reader. Which attributes there are depends on the format."""
    return Image.open(io.BytesIO(content))


def alpha_of(frame: Frame) -> NDArray[Any]:
    assert frame.alpha is not None
    return frame.alpha


def bgr(image: Image.Image) -> NDArray[Any]:
    """Pillow's pixels in OpenCV's order."""
    return np.asarray(image.convert("RGB"))[..., ::-1]


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(width: int, height: int, bits: int, kind: int, lines: bytes, extra: bytes = b"", *, interlace: int = 0) -> bytes:
    """A PNG of unfiltered lines, each with its leading 0."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlace)
    pixels = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def deflated_zeros(megabytes: int) -> bytes:
    """A zlib stream of so many zeros, put together from one megabyte of them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = (megabytes * 2**20 % 65521) << 16 | 1
    return b"\x78\xda" + block * megabytes + b"\x03\x00" + struct.pack(">I", adler)


def gif_frame(width: int, height: int, *, x: int = 0, y: int = 0, data: bytes = b"\x02\x44\x01\x00") -> bytes:
    """One image of a GIF; the data are one pixel of colour 0."""
    return struct.pack("<BHHHHB", 0x2C, x, y, width, height, 0) + b"\x02" + data


def gif(width: int, height: int, *parts: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff" + b"".join(parts) + b"\x3b"


def riff(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\x00" * (len(payload) % 2)


def webp(*parts: bytes) -> bytes:
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width: int, height: int, flags: int) -> bytes:
    """VP8X."""
    return riff(b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def webp_pixels(width: int, height: int) -> bytes:
    """The chunk with the pixels of a lossless picture of one colour."""
    content = saved(Image.new("RGB", (width, height), (9, 8, 7)), "WEBP", lossless=True)
    start = content.index(b"VP8L")
    return content[start : start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")]


def moment(x: int, y: int, width: int, height: int, pixels: bytes, duration: int = 100) -> bytes:
    """ANMF."""
    numbers = b"".join(number.to_bytes(3, "little") for number in (x // 2, y // 2, width - 1, height - 1, duration))
    return riff(b"ANMF", numbers + b"\x02" + pixels)


def tiff(entries: Sequence[tuple[int, int, int, int]], body: bytes = b"", next_directory: int = 0) -> bytes:
    """A little endian TIFF: (tag, kind, count, value) each, the body at byte 8."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\x00" + struct.pack("<I", 8 + len(body)) + body + directory + struct.pack("<I", next_directory)


def gray_tiff(width: int, height: int, body: bytes, *, compression: int = 1, **changed: int) -> bytes:
    """A grey TIFF of one strip."""
    values = {
        "width": (256, width),
        "height": (257, height),
        "bits": (258, 8),
        "compression": (259, compression),
        "colours": (262, 1),
        "offset": (273, 8),
        "rows": (278, height),
        "count": (279, len(body)),
    }
    return tiff([(tag, 4, 1, changed.get(name, value)) for name, (tag, value) in values.items()], body)


def jpeg_with(segments: bytes, content: bytes) -> bytes:
    """The JPEG with segments behind its beginning."""
    return content[:2] + segments + content[2:]


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def resized_jpeg(content: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its header."""
    place = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := content.find(marker)) >= 0)
    return content[: place + 5] + struct.pack(">HH", height, width) + content[place + 9 :]


def exif(orientation: int, order: str = "<", *, padding: int = 0) -> bytes:
    """A block with an orientation and a maker's name."""
    start = b"II*\x00" if order == "<" else b"MM\x00*"
    entries = [
        struct.pack(order + "HHI", 0x010F, 2, 4) + b"Abc\x00",
        struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0),
    ]
    return start + struct.pack(order + "IH", 8, len(entries)) + b"".join(entries) + bytes(4) + bytes(padding)
