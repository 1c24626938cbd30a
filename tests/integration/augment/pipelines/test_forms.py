"""Every transform, at the ends of its parameters, on every form of picture: a sane result of that form, made again by its recipe."""

from __future__ import annotations

import io

import numpy as np
import pytest
from labelmesh_augment.geometry.labels import Box, Keypoint, Labels, Mask, Polygon
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.augmenting import Loaded, Sample, augment, load, original_preview, preview, repeat
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.validation import normalised
from labelmesh_augment.transforms.transform import Transform
from PIL import Image

from tests.integration.augment.pipelines.forms import FORMS
from tests.integration.augment.pipelines.steps import SINGLE, extremes

_MODES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP", "image/tiff": "TIFF"}


def labelled(content: bytes) -> Loaded:
    """With a label of each kind, partly outside of the picture."""
    plain = load(Sample(content))
    size = plain.picture.size
    ring = np.array([[-1.0, -1.0], [size.width * 0.7, 0.0], [size.width + 2.0, size.height + 1.0]])
    labels = Labels(
        boxes=(Box(-1, -1, size.width * 0.8 + 1, size.height + 3, label="cat"), Box(0, 0, size.width, size.height, 30, True)),
        polygons=(Polygon((ring,)),),
        keypoints=(Keypoint(size.width / 2, size.height / 2), Keypoint(-4, 2)),
        masks=(Mask(np.arange(size.pixels, dtype=np.uint8).reshape(size.height, size.width)),),
    )
    return load(Sample(content, labels))


def assert_sane(result_size: Size, labels: Labels) -> None:
    width, height = result_size.width, result_size.height
    for box in labels.boxes:
        assert np.isfinite([box.x, box.y, box.width, box.height, box.rotation]).all()
        assert box.width > 0 and box.height > 0 and 0 <= box.visible_share <= 1 and 0 <= box.weight <= 1
        if not box.oriented:
            assert box.x >= -1e-6 and box.y >= -1e-6 and box.x + box.width <= width + 1e-6 and box.y + box.height <= height + 1e-6
    for polygon in labels.polygons:
        points = np.concatenate(polygon.rings)
        assert (points >= -1e-6).all() and (points <= np.array([width, height]) + 1e-6).all()
    for keypoint in labels.keypoints:
        assert np.isfinite([keypoint.x, keypoint.y]).all() and abs(keypoint.x) <= 1e6 and abs(keypoint.y) <= 1e6
    for mask in labels.masks:
        assert mask.values.shape == (height, width) and mask.values.dtype == np.uint8


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("transform", SINGLE, ids=lambda transform: transform.name)
def test_every_transform_bears_every_form(transform: Transform, form: str) -> None:
    loaded = labelled(FORMS[form])
    further = [labelled(FORMS[other]) for other in ("alpha", "16-bit PNG", "grey")]
    for step in extremes(transform):
        result = augment(loaded, normalised(Pipeline((step,))), seed=3, further=further)
        image = Image.open(io.BytesIO(result.content))
        image.load()
        assert (image.width, image.height) == (result.size.width, result.size.height)
        assert _MODES[result.media_type] == image.format
        assert result.frames == len(loaded.picture.frames) or result.media_type in ("image/gif", "image/webp")
        assert_sane(result.size, result.labels)
        assert len(result.labels.keypoints) >= 2
        # What was read back has the depth, the channels and the transparency of the input.
        read, before = load(Sample(result.content)).picture.frames[0], loaded.picture.frames[0]
        assert read.colour.dtype == before.colour.dtype
        assert read.gray == before.gray or form == "palette"
        again = repeat(loaded, result.recipe, further=further)
        assert again.content == result.content and again.recipe.steps == result.recipe.steps
        assert again.labels.boxes == result.labels.boxes and again.labels.keypoints == result.labels.keypoints


@pytest.mark.parametrize("form", FORMS)
def test_previews_of_every_form_are_what_a_browser_shows(form: str) -> None:
    loaded = labelled(FORMS[form])
    small = preview(loaded, normalised(Pipeline((Step("rotate"), Step("grayscale")))), seed=3, max_side=6)
    shown = Image.open(io.BytesIO(small.content))
    assert shown.format in ("JPEG", "PNG", "GIF") and max(shown.size) <= 6
    assert small.full_size == loaded.picture.size
    original = original_preview(loaded, 5)
    assert max(Image.open(io.BytesIO(original.content)).size) <= 5 and original.labels.boxes == loaded.labels.boxes


def test_all_frames_are_moved_alike() -> None:
    before = load(Sample(FORMS["GIF"])).picture.frames
    result = augment(load(Sample(FORMS["GIF"])), normalised(Pipeline((Step("horizontal_flip"),))), seed=3)
    after = load(Sample(result.content)).picture.frames
    assert len(after) == len(before) == 3
    assert [frame.duration_ms for frame in after] == [frame.duration_ms for frame in before]
    for first, second in zip(before, after, strict=True):
        assert np.array_equal(first.colour[:, ::-1], second.colour)
