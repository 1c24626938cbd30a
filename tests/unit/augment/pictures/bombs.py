"""Files that ask for far more than they bring. The sentence of each tells what it must come to."""

from __future__ import annotations

import struct
import zlib
from functools import cache

from PIL import Image

from tests.unit.augment.pictures.files import (
    canvas,
    chunk,
    deflated_zeros,
    exif,
    gif,
    gif_frame,
    gray_tiff,
    jpeg_with,
    moment,
    photograph,
    png,
    resized_jpeg,
    riff,
    saved,
    segment,
    tiff,
    webp,
    webp_pixels,
)

# What becomes of it where the harmless part can be used.
TAKEN = "taken"


@cache
def all_bombs() -> dict[str, tuple[bytes, str]]:
    """Name -> the file, and the reason of its refusal or TAKEN."""
    return {**_png(), **_jpeg(), **_gif(), **_webp(), **_tiff()}


def _png() -> dict[str, tuple[bytes, str]]:
    zeros = deflated_zeros(200)
    line = bytes(4)

    def of(extra: bytes) -> bytes:
        return png(1, 1, 8, 2, line, extra)

    def animated(count: int, *controls: tuple[int, int, int, int], size: int = 1) -> bytes:
        parts = b"".join(
            chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *control, 1, 10, 0, 0)) for number, control in enumerate(controls)
        )
        lines = (b"\x00" + bytes(3 * size)) * size
        return png(size, size, 8, 2, lines, chunk(b"acTL", struct.pack(">II", count, 0)) + parts)

    return {
        "png of 2^31 squared": (png(2**31 - 1, 2**31 - 1, 8, 2, b""), "TOO_MANY_PIXELS"),
        "png of 2^32 squared": (png(2**32 - 1, 2**32 - 1, 16, 6, b""), "TOO_MANY_PIXELS"),
        "png of 20,000 squared": (png(20_000, 20_000, 8, 2, b""), "TOO_MANY_PIXELS"),
        "png of one long line": (png(30_001, 1, 1, 0, b""), "TOO_MANY_PIXELS"),
        "png of 50 megapixels without any": (png(10_000, 5_000, 8, 2, line), "NOT_AN_IMAGE"),
        "png with a profile of 200 MB": (of(chunk(b"iCCP", b"a\x00\x00" + zeros)), TAKEN),
        "png with a text of 200 MB": (of(chunk(b"zTXt", b"a\x00\x00" + zeros)), TAKEN),
        "png with an international text of 200 MB": (of(chunk(b"iTXt", b"a\x00\x01\x00\x00\x00" + zeros)), TAKEN),
        "png with XMP of 200 MB": (of(chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + zeros)), TAKEN),
        "png with 1,000 texts of 200 MB": (of(chunk(b"zTXt", b"a\x00\x00" + deflated_zeros(10)) * 1000), TAKEN),
        "png with 3,000 profiles of 4 MB": (of(chunk(b"iCCP", b"a\x00\x00" + deflated_zeros(4)) * 3000), TAKEN),
        "png with 3,000 XMPs of 2 MB": (
            of(chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + deflated_zeros(2)) * 3000),
            TAKEN,
        ),
        "png with a palette of 15 MB": (of(chunk(b"PLTE", bytes(15_000_000))), "NOT_AN_IMAGE"),
        "png with pixels of 200 MB for one": (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zeros)
            + chunk(b"IEND", b""),
            TAKEN,
        ),
        "png with pixels of 1,000 MB for one": (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", deflated_zeros(1000))
            + chunk(b"IEND", b""),
            "NOT_AN_IMAGE",
        ),
        "png of a million chunks": (of(chunk(b"tEXt", b"") * 1_000_000), "NOT_AN_IMAGE"),
        "png of 12 million bytes in chunks of one": (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"a") * 1_000_000,
            "NOT_AN_IMAGE",
        ),
        "png with EXIF of 15 MB": (of(chunk(b"eXIf", exif(6, padding=15_000_000))), TAKEN),
        "apng of 2^32 frames": (animated(2**32 - 1), "TOO_MANY_FRAMES"),
        "apng of 1,000 frames of 300 squared": (animated(1000, size=300), "TOO_MANY_PIXELS"),
        "apng with a frame that is larger than it": (animated(2, (1, 1, 0, 0), (40_000, 40_000, 0, 0)), "NOT_AN_IMAGE"),
        "apng that promises frames": (animated(1000, (1, 1, 0, 0)), "NOT_AN_IMAGE"),
    }


def _jpeg() -> dict[str, tuple[bytes, str]]:
    small, progressive = saved(photograph(), "JPEG"), saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    # The last scan of a progressive file, again and again.
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    directory = b"II*\x00" + struct.pack("<IH", 8, 65535) + bytes(60_000)
    large = saved(Image.new("L", (7000, 7000)), "JPEG", progressive=True)
    scan = large[large.rindex(b"\xff\xda") : -2]
    return {
        "jpeg of 65,535 squared": (resized_jpeg(small, 65535, 65535), "TOO_MANY_PIXELS"),
        "jpeg of 8,000 squared": (resized_jpeg(small, 8000, 8000), "TOO_MANY_PIXELS"),
        "jpeg without lines": (resized_jpeg(small, 100, 0), "NOT_AN_IMAGE"),
        "jpeg with 1,000 scans": (progressive[:-2] + last * 1000 + b"\xff\xd9", "TOO_MANY_PIXELS"),
        "jpeg with 50,000 scans": (progressive[:-2] + last * 50_000 + b"\xff\xd9", "TOO_MANY_PIXELS"),
        "jpeg of 49 megapixels with 60 scans": (large[:-2] + scan * 60 + b"\xff\xd9", "TOO_MANY_PIXELS"),
        "jpeg with an EXIF of 65,535 entries": (jpeg_with(segment(0xE1, b"Exif\x00\x00" + directory), small), TAKEN),
        "jpeg with 200 EXIFs of 64 kB": (jpeg_with(segment(0xE1, b"Exif\x00\x00" + exif(1, padding=65_000)) * 200, small), TAKEN),
        "jpeg with a profile in 16 MB": (
            jpeg_with(b"".join(segment(0xE2, b"ICC_PROFILE\x00" + bytes((n, 250)) + bytes(65_000)) for n in range(1, 251)), small),
            TAKEN,
        ),
        "jpeg of four million segments": (jpeg_with(b"\xff\xfe\x00\x02" * 4_000_000, small), "NOT_AN_IMAGE"),
        "jpeg of 15 MB that fill up": (jpeg_with(b"\xff" * 15_000_000, small), TAKEN),
        "jpeg of 15 MB of nothing": (jpeg_with(bytes(15_000_000), small), "NOT_AN_IMAGE"),
        "jpeg with a table of 65,000 tables": (jpeg_with(segment(0xDB, (b"\x00" + b"\x01" * 64) * 1000) * 200, small), TAKEN),
    }


def _gif() -> dict[str, tuple[bytes, str]]:
    one = gif_frame(1, 1)
    return {
        "gif of 65,535 squared": (gif(65535, 65535, one), "TOO_MANY_PIXELS"),
        "gif of 10,000 squared": (gif(10_000, 10_000, one), "TOO_MANY_PIXELS"),
        "gif of nothing": (gif(0, 0, one), "NOT_AN_IMAGE"),
        "gif of 10,000 frames": (gif(1, 1, one * 10_000), "TOO_MANY_FRAMES"),
        "gif of a million frames": (gif(1, 1, one * 1_000_000), "TOO_MANY_FRAMES"),
        "gif of 1,000 frames of 500 squared": (gif(500, 500, one * 1000), "TOO_MANY_PIXELS"),
        "gif with a frame that is larger than it": (gif(10, 10, gif_frame(60_000, 60_000)), "NOT_AN_IMAGE"),
        "gif with a frame beside it": (gif(10, 10, gif_frame(1, 1, x=10)), "NOT_AN_IMAGE"),
        "gif of 7 million blocks": (gif(1, 1, b"\x21\xfe" + b"\x01a" * 7_000_000 + b"\x00", one), "NOT_AN_IMAGE"),
        "gif of 5 million comments": (gif(1, 1, b"\x21\xfe\x00" * 5_000_000, one), "NOT_AN_IMAGE"),
        "gif of 49 megapixels without any": (gif(7000, 7000, gif_frame(7000, 7000)), "NOT_AN_IMAGE"),
        "gif of one pixel in 15 MB": (gif(1, 1, gif_frame(1, 1, data=(b"\xff" + bytes(255)) * 60_000 + b"\x00")), TAKEN),
    }


def _webp() -> dict[str, tuple[bytes, str]]:
    pixel, animation = webp_pixels(1, 1), riff(b"ANIM", bytes(6))
    huge = riff(b"VP8L", b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(20))
    return {
        "webp of 2^24 squared": (webp(canvas(2**24, 2**24, 0), pixel), "TOO_MANY_PIXELS"),
        "webp of 16,384 squared": (webp(huge), "TOO_MANY_PIXELS"),
        "webp that is larger than it says": (webp(canvas(8, 8, 0), huge), "NOT_AN_IMAGE"),
        "webp of 5,000 frames": (webp(canvas(1, 1, 2), animation, moment(0, 0, 1, 1, pixel) * 5000), "TOO_MANY_FRAMES"),
        "webp of 1,000 frames of 500 squared": (webp(canvas(500, 500, 2), animation, moment(0, 0, 1, 1, pixel) * 1000), "TOO_MANY_PIXELS"),
        "webp with a frame that is larger than it": (webp(canvas(8, 8, 2), animation, moment(0, 0, 16384, 16384, huge)), "NOT_AN_IMAGE"),
        "webp with a frame that is larger than it says": (webp(canvas(8, 8, 2), animation, moment(0, 0, 8, 8, huge)), "NOT_AN_IMAGE"),
        "webp of a million chunks": (webp(canvas(1, 1, 0), riff(b"JUNK", b"") * 1_000_000, pixel), "NOT_AN_IMAGE"),
        "webp with a profile of 15 MB": (webp(canvas(1, 1, 0x20), riff(b"ICCP", bytes(15_000_000)), pixel), TAKEN),
        "webp of 49 megapixels without any": (
            webp(riff(b"VP8L", b"\x2f" + struct.pack("<I", 6999 | 6999 << 14) + bytes(20))),
            "NOT_AN_IMAGE",
        ),
    }


def _tiff() -> dict[str, tuple[bytes, str]]:
    zeros = deflated_zeros(200)
    loop = gray_tiff(1, 1, b"a")
    place = struct.unpack_from("<I", loop, 4)[0]
    many = b"".join(struct.pack("<HI", 0, place) for place in range(14, 8 + 6 * 2_000_000, 6))
    short = struct.pack("<30000I", *[8] * 30_000) + struct.pack("<30000I", *[15_000_000] * 30_000)
    noise = zlib.compress(bytes(1600), 0) + bytes(14_999_000)

    def overlapping(compression: int) -> bytes:
        body = noise + short
        at = 8 + len(noise)
        entries = [(256, 4, 1, 1600), (257, 4, 1, 30_000), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
        return tiff([*entries, (273, 4, 30_000, at), (278, 4, 1, 1), (279, 4, 30_000, at + 120_000)], body)

    return {
        "tiff of 2^32 squared": (gray_tiff(2**32 - 1, 2**32 - 1, b"a"), "TOO_MANY_PIXELS"),
        "tiff of 10,000 squared": (gray_tiff(10_000, 10_000, b"a"), "TOO_MANY_PIXELS"),
        "tiff of 49 megapixels without any": (gray_tiff(7000, 7000, b"a"), "NOT_AN_IMAGE"),
        "tiff of 49 packed megapixels without any": (gray_tiff(7000, 7000, zlib.compress(b"a"), compression=8), "NOT_AN_IMAGE"),
        "tiff of 49 LZW megapixels without any": (gray_tiff(7000, 7000, b"\x80\x0b\x60\x50", compression=5), "NOT_AN_IMAGE"),
        "tiff with a strip of 200 MB for one pixel": (gray_tiff(1, 1, zeros, compression=8), TAKEN),
        "tiff with a strip at 2^32": (gray_tiff(10, 10, bytes(100), offset=2**32 - 1), "TRUNCATED"),
        "tiff with a strip of 2^32": (gray_tiff(10, 10, bytes(100), count=2**32 - 1), "TRUNCATED"),
        "tiff with 2^32 rows in a strip": (gray_tiff(10, 10, bytes(100), rows=2**32 - 1), TAKEN),
        "tiff with 2^32 strips": (
            tiff([(256, 4, 1, 10), (257, 4, 1, 10), (258, 4, 1, 8), (262, 3, 1, 1), (273, 4, 2**32 - 1, 0)]),
            "NOT_AN_IMAGE",
        ),
        "tiff with parts of one pixel": (
            tiff([(256, 4, 1, 5000), (257, 4, 1, 5000), (258, 4, 1, 8), (262, 3, 1, 1), (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 1, 8)]),
            "NOT_AN_IMAGE",
        ),
        "tiff with tiles of 2^31": (
            tiff([(256, 4, 1, 9), (257, 4, 1, 9), (258, 4, 1, 8), (262, 3, 1, 1), (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8)]),
            "NOT_AN_IMAGE",
        ),
        "tiff whose directories lead in a ring": (loop[:-4] + struct.pack("<I", place), "NOT_AN_IMAGE"),
        "tiff of two million directories": (b"II*\x00" + struct.pack("<I", 8) + many, "NOT_AN_IMAGE"),
        "tiff of 65,535 entries": (tiff([(900 + index % 60_000, 4, 2**32 - 1, 0) for index in range(65_535)]), "NOT_AN_IMAGE"),
        "tiff with 2^32 bits": (tiff([(256, 4, 1, 10), (257, 4, 1, 10), (258, 4, 2**32 - 1, 0), (262, 3, 1, 1)]), "TRUNCATED"),
        "tiff whose strips lie over one another": (overlapping(8), TAKEN),
        "tiff whose LZW strips lie over one another": (overlapping(5), "NOT_AN_IMAGE"),
    }
