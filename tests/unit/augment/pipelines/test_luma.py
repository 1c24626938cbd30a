"""A JPEG whose colours get lost is read without them."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from labelmesh_augment.pictures.reading import read
from labelmesh_augment.pipelines.augmenting import Augmented, Sample, augment, load, repeat
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_chassis.errors import InvalidArgument
from PIL import Image

TURNED_AND_GRAY = normalised(Pipeline((Step("rotate", parameters={"angle": 10}), Step("brightness"), Step("grayscale"))))
GRAY = normalised(Pipeline((Step("grayscale"),)))
# EXIF's way to say that the file is to be turned by 90 degrees.
TURN = 6


def photograph(mode: str = "RGB", **saved: Any) -> bytes:
    chance = np.random.default_rng(3)
    coarse = cv2.resize(chance.integers(0, 256, (6, 8, 3), dtype=np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    Image.fromarray(coarse).convert(mode).save(file, "JPEG", quality=95, **saved)
    return file.getvalue()


def gray_of(result: Augmented) -> Any:
    pixels = read(result.content).frames[0].colour
    assert pixels.ndim == 3, "the file keeps its channels"
    return pixels[:, :, 0].astype(int)


@pytest.mark.parametrize("saved", [{}, {"subsampling": 0}, {"progressive": True}])
def test_its_luma_is_that_of_its_colours(saved: dict[str, Any]) -> None:
    content = photograph(**saved)
    colours = read(content).frames[0].colour
    expected = cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY).astype(int)
    off = np.abs(gray_of(augment(load(Sample(content)), GRAY, seed=1)) - expected)
    assert off.max() <= 6 and off.mean() < 1


def test_it_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = TURN
    result = augment(load(Sample(photograph(exif=exif.tobytes()))), GRAY, seed=1)
    assert (result.size.width, result.size.height) == (60, 80)
    upright = cv2.cvtColor(read(photograph(exif=exif.tobytes())).frames[0].colour, cv2.COLOR_BGR2GRAY).astype(int)
    assert np.abs(gray_of(result) - upright).mean() < 1


def test_nothing_depends_on_what_was_read_before() -> None:
    first, second = load(Sample(photograph())), load(Sample(photograph()))
    assert second.picture.frames[0].colour.ndim == 3
    results = [augment(loaded, TURNED_AND_GRAY, seed=5, copy=2) for loaded in (first, second)]
    assert results[0].content == results[1].content == repeat(first, results[0].recipe).content


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_others_are_read_as_ever(mode: str) -> None:
    loaded = load(Sample(photograph(mode)))
    assert loaded.luma is None
    assert loaded.colourful == (mode == "CMYK")
    assert augment(loaded, TURNED_AND_GRAY, seed=1).size == loaded.size


@pytest.mark.parametrize("pipeline", [GRAY, normalised(Pipeline())])
def test_a_file_that_ends_early_is_refused_with_the_place_of_its_picture(pipeline: Pipeline) -> None:
    content = photograph()
    with pytest.raises(InvalidArgument) as caught:
        augment(load(Sample(content[: len(content) // 2]), field="further[1]"), pipeline, seed=1)
    assert caught.value.reason == "TRUNCATED"
    assert [violation.field for violation in caught.value.violations] == ["further[1].source"]
