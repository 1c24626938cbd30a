"""Pictures become files that others read as they were meant."""

from __future__ import annotations

import struct
import threading
from dataclasses import replace

import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pictures.previews import preview
from labelmesh_augment.pictures.reading import read
from labelmesh_augment.pictures.writing import write
from labelmesh_augment.pipelines.pipeline import Format, Output
from labelmesh_chassis.errors import FailedPrecondition
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.unit.augment.pictures.files import alpha_of, bgr, exif, opened, photograph, saved

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NAMES = {Format.JPEG: "JPEG", Format.PNG: "PNG", Format.WEBP: "WEBP", Format.TIFF: "TIFF", Format.GIF: "GIF"}


def see_through(width: int = 48, height: int = 32) -> Image.Image:
    image = photograph(width, height)
    image.putalpha(image.getchannel("R"))
    return image


def moving(format_: str = "GIF", count: int = 4) -> bytes:
    frames = [photograph(40, 30).rotate(15 * number).quantize(64) for number in range(count)]
    if format_ != "GIF":
        frames = [frame.convert("RGB") for frame in frames]
    options: dict[str, object] = {"lossless": True} if format_ == "WEBP" else {}
    return saved(
        frames[0], format_, save_all=True, append_images=frames[1:], duration=list(range(20, 20 + 10 * count, 10)), loop=5, **options
    )


@pytest.mark.parametrize("quality", [30, 75, 90, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_is_written_with_the_tables_and_the_sampling_of_the_input(quality: int, subsampling: int) -> None:
    content = saved(photograph(), "JPEG", quality=quality, subsampling=subsampling)
    encoded = write(read(content))
    before, after = opened(content), opened(encoded.content)
    assert (encoded.media_type, after.format) == ("image/jpeg", "JPEG")
    assert after.quantization == before.quantization
    assert read(encoded.content).nature.sampling == read(content).nature.sampling


def test_a_quality_of_its_own_is_obeyed() -> None:
    encoded = write(read(saved(photograph(), "JPEG", quality=90)), Output(quality=40))
    assert read(encoded.content).nature.quality == 40


def test_chroma_of_another_quality_than_luma_is_written_so() -> None:
    image = photograph()
    tables = [opened(saved(image, "JPEG", quality=quality)).quantization[index] for index, quality in enumerate((90, 70))]
    content = saved(image, "JPEG", qtables=tables)
    nature = read(write(read(content)).content).nature
    assert (nature.quality, nature.chroma_quality) == (90, 70)


@pytest.mark.parametrize("format_", [Format.PNG, Format.TIFF])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (5, 3)])
def test_lossless_formats_lose_nothing(format_: Format, dtype: type, channels: int, transparent: bool, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(3)
    shape = size if channels == 1 else (*size, channels)
    colour = generator.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    alpha = generator.integers(0, np.iinfo(dtype).max + 1, size, dtype=dtype) if transparent else None
    found = read(write(Picture((Frame(colour, alpha),)), Output(format_)).content).frames[0]
    assert found.colour.dtype == dtype
    assert np.array_equal(found.colour, colour)
    assert (found.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(alpha_of(found), alpha)


def test_png_and_webp_and_tiff_with_alpha_are_read_alike_elsewhere() -> None:
    image = see_through()
    for format_ in (Format.PNG, Format.TIFF, Format.WEBP):
        encoded = write(read(saved(image, "PNG")), Output(format_))
        assert np.array_equal(np.asarray(opened(encoded.content)), np.asarray(image))
    gray = write(read(saved(image.convert("LA"), "PNG")))
    assert np.array_equal(np.asarray(opened(gray.content)), np.asarray(image.convert("LA")))


def test_what_is_transparent_is_put_on_white_in_a_jpeg() -> None:
    colour = np.zeros((16, 16, 3), np.uint8)
    alpha = np.zeros((16, 16), np.uint8)
    alpha[:, 8:] = 255
    shown = np.asarray(opened(write(Picture((Frame(colour, alpha),)), Output(Format.JPEG)).content))
    assert shown[:, :8].min() > 250
    assert shown[:, 8:].max() < 5


def test_sixteen_bits_become_eight_where_the_format_has_no_more() -> None:
    values = np.full((8, 8), 0x8080, np.uint16)
    shown = read(write(Picture((Frame(values),)), Output(Format.JPEG, quality=100)).content).frames[0]
    assert shown.colour.dtype == np.uint8
    assert shown.colour[0, 0] == 128


@pytest.mark.parametrize("format_", [Format.JPEG, Format.PNG, Format.WEBP, Format.TIFF])
def test_the_colour_profile_goes_along_where_it_still_says_what_colours_mean(format_: Format) -> None:
    picture = read(saved(photograph(), "PNG", icc_profile=PROFILE))
    assert opened(write(picture, Output(format_)).content).info["icc_profile"] == PROFILE
    gray = Picture((Frame(np.ascontiguousarray(picture.frames[0].colour[..., 0])),), picture.nature)
    if format_ is not Format.WEBP:
        assert "icc_profile" not in opened(write(gray, Output(format_)).content).info


def test_a_profile_of_many_segments_goes_along() -> None:
    large = PROFILE[:128] + bytes(200_000)
    content = saved(photograph(), "JPEG", icc_profile=large)
    assert opened(write(read(content)).content).info["icc_profile"] == large


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_metadata_is_dropped_unless_asked_for_and_then_says_upright(format_: str) -> None:
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf tiff:Orientation=\"6\"/></x:xmpmeta>"
    options = {"lossless": True} if format_ == "WEBP" else {}
    content = saved(photograph(), format_, exif=b"Exif\x00\x00" + exif(6), xmp=packet, **options)
    if format_ == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        content = saved(photograph(), format_, exif=exif(6), pnginfo=info)
    picture = read(content)
    plain, kept = opened(write(picture).content), opened(write(picture, Output(keep_metadata=True)).content)
    assert not plain.getexif()
    assert "xmp" not in plain.info
    assert dict(kept.getexif()) == {0x010F: "Abc", 0x0112: 1}
    assert kept.info["xmp"] == packet.replace(b'"6"', b'"1"')
    # What is upright now is not turned once more by who reads it.
    assert read(write(picture, Output(keep_metadata=True)).content).size == picture.size


def taken_at_noon(order: str) -> bytes:
    """EXIF with a directory of its own below, and a position below that."""
    words = {"<": b"II*\x00", ">": b"MM\x00*"}[order] + struct.pack(order + "I", 8)
    first = [(0x010F, 2, 4, b"Abc\x00"), (0x0112, 3, 1, struct.pack(order + "HH", 6, 0)), (34665, 4, 1, struct.pack(order + "I", 50))]
    second = [(33434, 5, 1, struct.pack(order + "I", 100)), (36867, 2, 20, struct.pack(order + "I", 80))]

    def directory(entries: list[tuple[int, int, int, bytes]]) -> bytes:
        lines = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
        return struct.pack(order + "H", len(entries)) + lines + bytes(4)

    block = words + directory(first)
    block += directory(second)
    return block.ljust(80, b"\x00") + b"2024:05:06 12:00:00\x00" + struct.pack(order + "II", 1, 250)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("before", "after"), [("PNG", Format.TIFF), ("TIFF", Format.TIFF), ("TIFF", Format.JPEG), ("JPEG", Format.TIFF)])
def test_facts_of_a_photograph_go_from_format_to_format(order: str, before: str, after: Format) -> None:
    content = saved(photograph(), "PNG" if before == "TIFF" else before, exif=b"Exif\x00\x00" + taken_at_noon(order))
    if before == "TIFF":
        content = write(read(content), Output(Format.TIFF, keep_metadata=True)).content
    found = opened(write(read(content), Output(after, keep_metadata=True)).content).getexif()
    assert (found[0x010F], found.get(0x0112, 1)) == ("Abc", 1)
    assert dict(found.get_ifd(34665)) == {33434: 1 / 250, 36867: "2024:05:06 12:00:00"}
    assert not opened(write(read(content), Output(after)).content).getexif().get_ifd(34665)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_animations_keep_frames_times_and_repeats(format_: str) -> None:
    picture = read(moving(format_))
    encoded = write(picture)
    again, other = read(encoded.content), opened(encoded.content)
    assert (encoded.frames, other.n_frames, other.is_animated) == (4, 4, True)
    assert [frame.duration_ms for frame in again.frames] == [20, 30, 40, 50]
    assert again.nature.plays == picture.nature.plays
    for number, (frame, before) in enumerate(zip(again.frames, picture.frames, strict=True)):
        other.seek(number)
        assert np.array_equal(frame.colour, before.colour)
        assert np.array_equal(frame.colour, bgr(other))


@pytest.mark.parametrize("format_", [Format.GIF, Format.WEBP])
def test_frames_that_are_alike_stay_as_many_as_they_are(format_: Format) -> None:
    frame = replace(read(saved(photograph(), "PNG")).frames[0], duration_ms=40)
    still = Picture((frame, frame, frame))
    again = read(write(still, Output(format_)).content)
    assert [shown.duration_ms for shown in again.frames] == [40, 40, 40]


def test_an_animation_becomes_its_first_frame_in_still_formats() -> None:
    picture = read(moving())
    for format_ in (Format.JPEG, Format.PNG, Format.TIFF):
        encoded = write(picture, Output(format_))
        assert (encoded.frames, getattr(opened(encoded.content), "n_frames", 1)) == (1, 1)


def test_moving_pictures_with_holes_keep_them() -> None:
    frames = []
    for number in range(3):
        colour, alpha = np.full((20, 20, 3), 40 * number, np.uint8), np.zeros((20, 20), np.uint8)
        alpha[5 * number : 5 * number + 8, 3:9] = 255
        frames.append(Frame(colour, alpha, 50))
    for format_ in (Format.GIF, Format.WEBP):
        again = read(write(Picture(tuple(frames)), Output(format_)).content)
        for before, after in zip(frames, again.frames, strict=True):
            shown = alpha_of(before) > 0
            assert np.array_equal(alpha_of(after), alpha_of(before))
            assert np.array_equal(after.colour[shown], before.colour[shown])


def test_a_gif_of_many_colours_stays_near_them() -> None:
    before = bgr(photograph(200, 150))
    after = read(write(Picture((Frame(before),)), Output(Format.GIF)).content).frames[0].colour
    assert np.abs(after.astype(int) - before).mean() < 6


def test_a_side_that_a_format_does_not_have_is_refused() -> None:
    wide = Picture((Frame(np.zeros((1, 16_384, 3), np.uint8)),))
    with pytest.raises(FailedPrecondition, match="WEBP") as refused:
        write(wide, Output(Format.WEBP))
    assert refused.value.reason == "RESULT_TOO_LARGE"
    assert write(wide, Output(Format.JPEG)).size == Size(16_384, 1)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_the_same_picture_gives_the_same_bytes_also_in_threads(name: str) -> None:
    content = moving(name) if name in ("GIF", "WEBP") else saved(photograph(), name)
    expected = write(read(content)).content
    found: list[bytes] = []

    def work() -> None:
        found.extend(write(read(content)).content for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 20


@pytest.mark.parametrize("source", list(NAMES))
@pytest.mark.parametrize("target", list(NAMES))
def test_every_format_becomes_every_other(source: Format, target: Format) -> None:
    encoded = write(read(saved(photograph(), NAMES[source])), Output(target))
    other = opened(encoded.content)
    assert other.format == NAMES[target]
    shown = np.asarray(other.convert("RGB")).astype(int)
    assert np.abs(shown - np.asarray(photograph())).mean() < 12
    assert encoded.media_type == f"image/{NAMES[target].lower()}"


def test_a_preview_is_small_and_of_a_kind_that_browsers_show() -> None:
    still = preview(read(saved(photograph(400, 200), "TIFF")), 100)
    assert (still.media_type, still.size) == ("image/jpeg", Size(100, 50))
    assert preview(read(saved(photograph(), "PNG")), 100).size == Size(48, 32)
    holes = preview(read(saved(see_through(200, 100), "PNG")), 100)
    assert (holes.media_type, opened(holes.content).mode) == ("image/png", "RGBA")
    moves = preview(read(moving()), 20)
    assert (moves.media_type, moves.frames, moves.size) == ("image/gif", 4, Size(20, 15))
    deep = preview(Picture((Frame(np.full((300, 300), 0x8080, np.uint16)),)), 100)
    assert (deep.media_type, opened(deep.content).getpixel((5, 5))) == ("image/jpeg", 128)


def test_the_preview_of_a_long_animation_is_short_and_lasts_as_long() -> None:
    frame = Frame(np.zeros((8, 8, 3), np.uint8), duration_ms=20)
    small = preview(Picture((frame,) * 500), 100)
    frames = read(small.content).frames
    assert len(frames) <= 60
    assert sum(shown.duration_ms for shown in frames) == 10_000


def test_what_is_transparent_lends_no_colour_to_a_preview() -> None:
    colour, alpha = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    colour[:, 31:], alpha[:, 31:] = 200, 255
    shown = read(preview(Picture((Frame(colour, alpha),)), 8).content).frames[0]
    assert shown.alpha is not None
    assert shown.colour[shown.alpha > 0].min() >= 195
