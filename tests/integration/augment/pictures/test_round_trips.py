"""Pictures of any size and kind survive being written and read, here and elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from labelmesh_augment.pictures.headers import FOREVER, Limits, Nature
from labelmesh_augment.pictures.picture import Frame, Picture
from labelmesh_augment.pictures.reading import inspect, read
from labelmesh_augment.pictures.writing import write
from labelmesh_augment.pipelines.pipeline import Format, Output
from labelmesh_chassis.errors import InvalidArgument
from numpy.typing import NDArray
from PIL import Image

from tests.unit.augment.pictures.files import opened, saved

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.sampled_from([(1, 1), (1, 300), (300, 1), (17, 255)])


# So that what a change makes large is refused and not decoded.
_SMALL = Limits(pixels=200_000)


def noise(seed: int, shape: tuple[int, ...], dtype: type = np.uint8, *, few: bool = False) -> NDArray[Any]:
    generator = np.random.default_rng(seed)
    if few:
        palette = generator.integers(0, 256, (7, *shape[2:]), dtype=dtype)
        return palette[generator.integers(0, 7, shape[:2])]
    return generator.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    size=sizes,
    seed=st.integers(0, 10_000),
    format_=st.sampled_from([Format.PNG, Format.TIFF, Format.WEBP]),
    deep=st.booleans(),
    gray=st.booleans(),
    holes=st.booleans(),
    packed=st.booleans(),
)
def test_lossless_formats_give_back_every_pixel(
    size: tuple[int, int], seed: int, format_: Format, deep: bool, gray: bool, holes: bool, packed: bool
) -> None:
    dtype = np.uint16 if deep and format_ is not Format.WEBP else np.uint8
    colour = noise(seed, size if gray else (*size, 3), dtype)
    alpha = noise(seed + 1, size, dtype) if holes else None
    nature = Nature(Format.TIFF, lossless=True, compression=1 + 7 * packed)
    content = write(Picture((Frame(colour, alpha),), nature), Output(format_)).content
    found = read(content).frames[0]
    expected = np.repeat(colour[..., None], 3, axis=2) if gray and format_ is Format.WEBP else colour
    assert np.array_equal(found.colour, expected)
    if alpha is not None and found.alpha is not None:
        assert np.array_equal(found.alpha, alpha)
    else:
        # WebP says nothing of alpha that is opaque everywhere.
        assert alpha is None or (alpha == np.iinfo(dtype).max).all()
    if dtype == np.uint8:
        # The other reader finds the same.
        other = np.asarray(opened(content).convert("RGBA"))
        assert np.array_equal(other[..., 2::-1], expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=sizes,
    seed=st.integers(0, 10_000),
    format_=st.sampled_from([Format.GIF, Format.WEBP, Format.PNG]),
    durations=st.lists(st.integers(0, 300).map(lambda number: 10 * number), min_size=2, max_size=6),
    holes=st.booleans(),
    plays=st.sampled_from([FOREVER, 1, 2, 1000]),
)
@example(size=(1, 1), seed=3129, format_=Format.GIF, durations=[0, 0], holes=True, plays=FOREVER)
def test_animations_come_back_frame_by_frame(
    size: tuple[int, int], seed: int, format_: Format, durations: list[int], holes: bool, plays: int
) -> None:
    frames = []
    for index, duration in enumerate(durations):
        # Some frames are as the one before.
        colour = noise(seed + index // 2, (*size, 3), few=True)
        alpha = np.where(noise(seed + index, size) > 99, 255, 0).astype(np.uint8) if holes else None
        frames.append(Frame(colour, alpha, duration))
    content = write(Picture(tuple(frames), Nature(format_, lossless=True, plays=plays)), Output(format_)).content
    again, other = read(content), opened(content)
    assert inspect(content).frames == len(frames) == other.n_frames
    assert [frame.duration_ms for frame in again.frames] == durations
    assert again.nature.plays == plays
    for index, (before, after) in enumerate(zip(frames, again.frames, strict=True)):
        other.seek(index)
        seen = np.asarray(other.convert("RGBA"))
        shown = np.ones(size, bool) if before.alpha is None else before.alpha > 0
        assert np.array_equal(after.colour[shown], before.colour[shown])
        assert np.array_equal(seen[shown][:, 2::-1], before.colour[shown])
        assert (seen[..., 3] == np.where(shown, 255, 0)).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=sizes, seed=st.integers(0, 10_000), quality=st.integers(1, 100), sampling=st.sampled_from([0, 1, 2]), gray=st.booleans())
def test_a_jpeg_written_again_has_the_same_tables_and_nearly_the_same_pixels(
    size: tuple[int, int], seed: int, quality: int, sampling: int, gray: bool
) -> None:
    pixels = np.full(size if gray else (*size, 3), seed % 256, np.uint8)
    content = saved(Image.fromarray(pixels), "JPEG", quality=quality, subsampling=sampling)
    picture = read(content)
    encoded = write(picture).content
    assert opened(encoded).quantization == opened(content).quantization
    assert opened(encoded).mode == ("L" if gray else "RGB")
    assert np.abs(read(encoded).frames[0].colour.astype(int) - picture.frames[0].colour).max() <= 3


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_change_of_a_file_makes_anything_but_a_picture_or_a_refusal(format_: str, data: st.DataObject) -> None:
    frames = [Image.fromarray(noise(number, (9, 11, 3), few=True)) for number in (1, 2)]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]} if format_ in ("GIF", "WEBP", "PNG") else {}
    content = bytearray(saved(frames[0], format_, **options))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["change", "cut", "repeat"]))
        if how == "change":
            content[place] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del content[place : place + data.draw(st.integers(1, 40))]
        else:
            content[place:place] = content[place : place + data.draw(st.integers(1, 40))]
        if not content:
            return
    try:
        picture = read(bytes(content), _SMALL)
    except InvalidArgument as refused:
        assert refused.violations[0].field == "source"  # noqa: PT017
        return
    assert write(picture).size == picture.size
