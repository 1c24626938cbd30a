"""Files become pictures, as another reader sees them too."""

from __future__ import annotations

import hashlib
import struct
import zlib

import numpy as np
import pytest
from labelmesh_augment.pictures.hashing import content_hash
from labelmesh_augment.pictures.headers import FOREVER, Limits
from labelmesh_augment.pictures.reading import inspect, read
from labelmesh_augment.pipelines.pipeline import Format
from labelmesh_chassis.errors import InvalidArgument
from PIL import Image, ImageCms, ImageOps

from tests.unit.augment.pictures.files import alpha_of, bgr, chunk, exif, gif, gif_frame, gray_tiff, opened, photograph, png, saved, tiff


def refusal(content: bytes, limits: Limits | None = None) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as refused:
        read(content, limits or Limits())
    assert refused.value.violations[0].field == "source"
    return refused.value


@pytest.mark.parametrize(
    ("mode", "format_", "options"),
    [
        ("RGB", "JPEG", {"quality": 90}),
        ("RGB", "JPEG", {"quality": 75, "progressive": True, "subsampling": 0}),
        ("L", "JPEG", {}),
        ("RGB", "PNG", {}),
        ("L", "PNG", {}),
        ("1", "PNG", {}),
        ("P", "PNG", {}),
        ("RGB", "WEBP", {}),
        ("RGB", "WEBP", {"lossless": True}),
        ("P", "GIF", {}),
        ("L", "GIF", {}),
        ("RGB", "TIFF", {}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("L", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("P", "TIFF", {"compression": "packbits"}),
        ("1", "TIFF", {}),
    ],
)
def test_pixels_are_those_that_another_reader_finds(mode: str, format_: str, options: dict[str, object]) -> None:
    content = saved(photograph(49, 31).convert(mode), format_, **options)
    frame = read(content).frames[0]
    gray = mode in ("1", "L") and format_ != "GIF"
    shown = opened(content)
    assert frame.gray == gray
    assert frame.alpha is None
    assert np.array_equal(frame.colour, np.asarray(shown.convert("L")) if gray else bgr(shown))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(("format_", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_transparency_is_kept_beside_the_colours(mode: str, format_: str, options: dict[str, object]) -> None:
    image = photograph()
    image.putalpha(image.getchannel("R"))
    image = image.convert(mode)
    frame = read(saved(image, format_, **options)).frames[0]
    assert np.array_equal(alpha_of(frame), np.asarray(image.getchannel("A")))
    assert np.array_equal(frame.colour, np.asarray(image)[..., 0] if frame.gray else np.asarray(image.convert("RGBA"))[..., 2::-1])
    assert frame.gray == (mode == "LA" and format_ != "WEBP")


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bits_stay_sixteen(format_: str) -> None:
    values = np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 41
    frame = read(saved(Image.fromarray(values), format_)).frames[0]
    assert frame.colour.dtype == np.uint16
    assert np.array_equal(frame.colour, values)


@pytest.mark.parametrize(
    ("content", "colour", "alpha"),
    [
        (png(4, 1, 2, 0, b"\x00\x1b"), [[0, 85, 170, 255]], None),
        (png(4, 1, 2, 0, b"\x00\x1b", chunk(b"tRNS", b"\x00\x02")), [[0, 85, 170, 255]], [[255, 255, 0, 255]]),
        (png(2, 1, 8, 0, b"\x00\x10\x20", chunk(b"tRNS", b"\x00\x10")), [[16, 32]], [[0, 255]]),
        (png(1, 1, 16, 0, b"\x00\x10\x20", chunk(b"tRNS", b"\x10\x20")), [[0x1020]], [[0]]),
        (png(1, 1, 16, 4, b"\x00\x10\x20\x30\x40"), [[0x1020]], [[0x3040]]),
        (png(1, 1, 16, 6, b"\x00\x00\x01\x00\x02\x00\x03\x00\x04"), [[[3, 2, 1]]], [[4]]),
        (
            png(2, 1, 8, 2, b"\x00\x01\x02\x03\x04\x05\x06", chunk(b"tRNS", b"\x00\x01\x00\x02\x00\x03")),
            [[[3, 2, 1], [6, 5, 4]]],
            [[0, 255]],
        ),
        (
            png(8, 1, 1, 3, b"\x00\xaa", chunk(b"PLTE", b"\x01\x02\x03\x04\x05\x06") + chunk(b"tRNS", b"\x80")),
            [[[6, 5, 4], [3, 2, 1]] * 4],
            [[255, 128] * 4],
        ),
    ],
    ids=["2 bit", "2 bit cut out", "8 bit cut out", "16 bit cut out", "grey alpha 16", "RGBA 16", "RGB cut out", "palette"],
)
def test_every_kind_of_png_has_its_colours_and_its_alpha(content: bytes, colour: list[object], alpha: list[object] | None) -> None:
    frame = read(content).frames[0]
    assert frame.colour.tolist() == colour
    assert (None if frame.alpha is None else frame.alpha.tolist()) == alpha


def test_ink_becomes_colours_by_its_profile_or_plainly() -> None:
    ink = photograph().convert("CMYK")
    content = saved(ink, "JPEG", quality=100, subsampling=0)
    plain = read(content).frames[0].colour
    assert np.array_equal(plain, bgr(opened(content)))
    broken = saved(ink, "JPEG", quality=100, subsampling=0, icc_profile=bytes(16) + b"CMYK" + bytes(16) + b"acsp" + bytes(200))
    assert np.array_equal(read(broken).frames[0].colour, plain)
    assert read(content).nature.profile is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_upright(orientation: int, format_: str) -> None:
    image = photograph(48, 32)
    options: dict[str, object] = {"lossless": True} if format_ == "WEBP" else {}
    if format_ == "TIFF":
        options["tiffinfo"] = {274: orientation}
    else:
        options["exif"] = b"Exif\x00\x00" + exif(orientation, "<>"[orientation % 2])
    content = saved(image, format_, **options)
    upright = ImageOps.exif_transpose(opened(content))
    picture = read(content)
    assert (inspect(content).width, inspect(content).height) == upright.size == (picture.size.width, picture.size.height)
    assert np.array_equal(picture.frames[0].colour, bgr(upright))


@pytest.mark.parametrize("quality", [1, 10, 25, 50, 75, 85, 90, 92, 95, 100])
def test_the_quality_of_a_jpeg_is_read_off_its_tables(quality: int) -> None:
    nature = read(saved(photograph(), "JPEG", quality=quality, subsampling=1)).nature
    assert (nature.quality, nature.chroma_quality, nature.sampling) == (quality, quality, (2, 1))


def test_the_quality_of_unusual_tables_is_the_nearest() -> None:
    image = photograph()
    tables = [[step + 1 for step in table] for table in opened(saved(image, "JPEG", quality=60)).quantization.values()]
    nature = read(saved(image, "JPEG", qtables=tables)).nature
    assert 55 <= nature.quality <= 60


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 100])
def test_the_quality_of_a_lossy_webp_is_about_known(quality: int) -> None:
    noise = np.random.default_rng(1).normal(0, 12, (120, 160, 3))
    image = Image.fromarray(np.clip(np.asarray(photograph(160, 120)) + noise, 0, 255).astype(np.uint8))
    assert abs(read(saved(image, "WEBP", quality=quality)).nature.quality - quality) <= 12


def test_of_several_pictures_in_a_jpeg_the_first_is_taken() -> None:
    first, second = photograph(48, 32), photograph(16, 16)
    content = saved(first, "MPO", save_all=True, append_images=[second])
    assert np.array_equal(read(content).frames[0].colour, bgr(opened(content)))


def test_frames_of_a_gif_are_as_they_are_seen() -> None:
    frames = [photograph(40, 30).rotate(angle).quantize(32) for angle in (0, 10, 20, 30)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[0, 50, 70, 1000], loop=0, disposal=2)
    picture, other = read(content), opened(content)
    assert [frame.duration_ms for frame in picture.frames] == [0, 50, 70, 1000]
    assert picture.nature.plays == FOREVER
    for number, frame in enumerate(picture.frames):
        other.seek(number)
        assert np.array_equal(frame.colour, bgr(other))


def pixel(number: int) -> bytes:
    """LZW of one pixel."""
    code = 4 | number << 3 | 5 << 6
    return bytes((2, code & 255, code >> 8, 0))


def control(disposal: int, transparent: int | None = None, delay: int = 10) -> bytes:
    return struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (transparent is not None), delay, transparent or 0, 0)


def test_what_a_frame_leaves_behind_is_as_it_says() -> None:
    def at(x: int, number: int) -> bytes:
        return gif_frame(1, 1, x=x, data=pixel(number))

    content = gif(3, 1, control(1), at(0, 1), control(2), at(1, 1), control(3), at(2, 1), control(1, transparent=1), at(0, 1))
    frames = read(content).frames
    assert [frame.alpha.tolist() for frame in frames if frame.alpha is not None] == [
        [[255, 0, 0]],
        [[255, 255, 0]],
        [[255, 0, 255]],
        [[255, 0, 0]],
    ]


@pytest.mark.parametrize("format_", ["WEBP", "PNG"])
def test_animations_have_their_frames_times_and_repeats(format_: str) -> None:
    frames = [photograph(40, 30).convert("RGBA").rotate(angle) for angle in (0, 25, 50)]
    options: dict[str, object] = {"lossless": True, "exact": True} if format_ == "WEBP" else {"blend": 1, "disposal": 1}
    content = saved(frames[0], format_, save_all=True, append_images=frames[1:], duration=[30, 40, 50], loop=2, **options)
    picture, other = read(content), opened(content)
    assert inspect(content).frames == 3
    assert ([frame.duration_ms for frame in picture.frames], picture.nature.plays) == ([30, 40, 50], 2)
    for number, frame in enumerate(picture.frames):
        other.seek(number)
        expected = np.asarray(other.convert("RGBA"))
        assert np.array_equal(alpha_of(frame), expected[..., 3])
        seen = expected[..., 3] > 0
        assert np.array_equal(frame.colour[seen], expected[seen][:, 2::-1])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"BM" + bytes(60), "BMP"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(60), "HEIC"),
        (b"\x00\x00\x00\x18ftypavif" + bytes(60), "AVIF"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(60), "MP4"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("<svg/>".encode("utf-16"), "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\x00\x01", "Photoshop"),
        (b"\x00\x00\x01\x00\x01\x00", "icon"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\n <!DOCTYPE html><html>", "HTML"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "AVI"),
        (b"PK\x03\x04", "ZIP"),
        (b"II+\x00\x08\x00\x00\x00", "BigTIFF"),
        (b"P6\n1 1\n255\n", "Netpbm"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_a_file_that_is_not_taken_is_called_by_its_name(content: bytes, name: str) -> None:
    found = refusal(content)
    assert (found.reason, name in found.message) == ("FORMAT_NOT_ALLOWED", True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EMPTY"),
        (bytes(16 * 2**20 + 1), "TOO_LARGE"),
        (b"no picture at all", "NOT_AN_IMAGE"),
        (b"\x89PNG", "TRUNCATED"),
        (b"GIF8", "TRUNCATED"),
        (b"\xff\xd8\xff", "TRUNCATED"),
        (b"\xff\xd8\xff\xd9" + bytes(9), "NOT_AN_IMAGE"),
    ],
)
def test_what_is_no_picture_says_why(content: bytes, reason: str) -> None:
    assert refusal(content).reason == reason


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_file_that_was_cut_off_is_never_taken(format_: str) -> None:
    content = saved(photograph(), format_)
    for length in range(1, len(content) - 2, max(1, len(content) // 40)):
        assert refusal(content[:length]).reason in ("TRUNCATED", "NOT_AN_IMAGE")
    assert refusal(content[: len(content) // 2]).reason == "TRUNCATED"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(format_: str) -> None:
    content = saved(photograph(), format_, **({"save_all": True, "append_images": [photograph()]} if format_ == "GIF" else {}))
    generator = np.random.default_rng(5)
    for _ in range(60):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 4):
            changed[place] = generator.integers(0, 256)
        try:
            picture = read(bytes(changed), Limits(pixels=100_000))
        except InvalidArgument as refused:
            assert refused.reason in (  # noqa: PT017
                "NOT_AN_IMAGE",
                "TRUNCATED",
                "FORMAT_NOT_ALLOWED",
                "TOO_MANY_PIXELS",
                "TOO_MANY_FRAMES",
            )
        else:
            assert picture.frames[0].colour.size


def test_limits_are_the_callers() -> None:
    content = saved(photograph(20, 10), "PNG")
    assert refusal(content, Limits(pixels=199)).reason == "TOO_MANY_PIXELS"
    assert refusal(content, Limits(side=19)).reason == "TOO_MANY_PIXELS"
    assert refusal(content, Limits(bytes=len(content) - 1)).reason == "TOO_LARGE"
    assert inspect(content, Limits(pixels=200, side=20)).pixels == 200


def test_a_png_whose_checksum_is_wrong_is_refused() -> None:
    content = png(2, 1, 8, 3, b"\x00\x00\x01", chunk(b"PLTE", b"\x01\x02\x03\x04\x05\x06"))
    place = content.index(b"\x01\x02\x03\x04\x05\x06")
    found = refusal(content[:place] + b"\x09" + content[place + 1 :])
    assert (found.reason, "PLTE" in found.message) == ("NOT_AN_IMAGE", True)


def test_white_can_be_zero_in_a_tiff() -> None:
    assert read(gray_tiff(2, 1, b"\x00\xf0", colours=0)).frames[0].colour.tolist() == [[255, 15]]


def of_samples(*, planar: int = 1, extra: int | None = None, samples: int = 3) -> list[tuple[int, int, int, int]]:
    """Entries of a TIFF of 2 x 1 pixels of 8 bit in one strip at byte 8, or one for each plane."""
    entries = [(256, 4, 1, 2), (257, 4, 1, 1), (258, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, samples), (278, 4, 1, 1), (284, 3, 1, planar)]
    return entries if extra is None else [*entries, (338, 3, 1, extra)]


def test_planes_of_a_tiff_are_put_together() -> None:
    planes = struct.pack("<3I3I", 32, 34, 36, 2, 2, 2) + b"\x01\x02\x03\x04\x05\x06"
    content = tiff([*of_samples(planar=2), (273, 4, 3, 8), (279, 4, 3, 20)], planes)
    assert read(content).frames[0].colour.tolist() == [[[5, 3, 1], [6, 4, 2]]]


def test_alpha_that_was_multiplied_in_is_taken_out_again() -> None:
    body = bytes((100, 50, 0, 128, 7, 7, 7, 0))
    strips = [(273, 4, 1, 8), (279, 4, 1, len(body))]
    multiplied = read(tiff([*of_samples(extra=1, samples=4), *strips], body)).frames[0]
    assert (multiplied.colour[0, 0].tolist(), alpha_of(multiplied).tolist()) == ([0, 100, 199], [[128, 0]])
    plain = read(tiff([*of_samples(extra=2, samples=4), *strips], body)).frames[0]
    assert plain.colour[0, 0].tolist() == [0, 50, 100]
    assert read(tiff([*of_samples(extra=0, samples=4), *strips], body)).frames[0].alpha is None


@pytest.mark.parametrize("packed", [False, True])
def test_tiles_of_a_tiff_are_put_side_by_side(packed: bool) -> None:
    values = np.arange(20 * 36, dtype=np.uint16).reshape(20, 36).astype(np.uint8)
    whole = np.zeros((32, 48), np.uint8)
    whole[:20, :36] = values
    tiles = [whole[top : top + 16, left : left + 16].tobytes() for top in (0, 16) for left in (0, 16, 32)]
    if packed:
        tiles = [zlib.compress(tile) for tile in tiles]
    places = np.cumsum([8 + 48, *map(len, tiles)])[:-1]
    body = struct.pack("<6I6I", *places, *map(len, tiles)) + b"".join(tiles)
    entries = [(256, 4, 1, 36), (257, 4, 1, 20), (258, 3, 1, 8), (259, 3, 1, 8 if packed else 1), (262, 3, 1, 1)]
    content = tiff([*entries, (322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 6, 8), (325, 4, 6, 32)], body)
    assert np.array_equal(read(content).frames[0].colour, values)


def test_numbers_of_a_tiff_can_begin_with_the_large_end() -> None:
    values = (np.arange(48, dtype=np.uint16) * 1000).reshape(6, 8)
    content = saved(Image.fromarray(values.astype(">u2")), "TIFF")
    assert content.startswith(b"MM")
    assert np.array_equal(read(content).frames[0].colour, values)


def test_a_tiff_of_two_pages_is_refused_and_one_with_a_small_copy_taken() -> None:
    pages = [photograph(), photograph(24, 16)]
    found = refusal(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (found.reason, "2 pages" in found.message) == ("FORMAT_NOT_ALLOWED", True)
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}
    assert read(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])).size.width == 48


@pytest.mark.parametrize(
    ("image", "options", "word"),
    [
        (photograph(), {"compression": "jpeg"}, "JPEG"),
        (photograph().convert("1"), {"compression": "group4"}, "CCITT"),
        (photograph().convert("F"), {}, "fractions"),
        (photograph().convert("LAB"), {}, "L*a*b*"),
        (photograph().convert("I"), {}, "fractions"),
    ],
    ids=["JPEG", "fax", "fractions", "Lab", "signs"],
)
def test_an_exotic_tiff_is_refused_with_what_would_be_taken(image: Image.Image, options: dict[str, object], word: str) -> None:
    found = refusal(saved(image, "TIFF", **options))
    assert (found.reason, word in found.message) == ("FORMAT_NOT_ALLOWED", True)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_colour_profile_is_found(format_: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read(saved(photograph(), format_, icc_profile=profile)).nature.profile == profile


def test_the_hash_is_of_the_file() -> None:
    assert content_hash(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_a_format_is_known_by_its_header() -> None:
    formats = {"JPEG": Format.JPEG, "PNG": Format.PNG, "GIF": Format.GIF, "WEBP": Format.WEBP, "TIFF": Format.TIFF}
    for name, format_ in formats.items():
        header = inspect(saved(photograph(31, 17), name))
        assert (header.format, header.width, header.height, header.frames, header.pixels) == (format_, 31, 17, 1, 31 * 17)
