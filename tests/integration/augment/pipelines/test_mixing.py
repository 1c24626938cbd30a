"""Pictures that are put together bring their labels along."""

from __future__ import annotations

import numpy as np
import pytest
from labelmesh_augment.geometry.labels import Box, Keypoint, LabelRules, Labels, Visibility
from labelmesh_augment.pipelines.augmenting import Loaded, Sample, augment, load
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.pipelines.validation import normalised

from tests.integration.augment.pipelines.forms import FORMS
from tests.integration.augment.pipelines.painting import dot_in, dotted, pixels_of, png


def with_dot(width: int, height: int, x: int, y: int, label: str) -> Loaded:
    """A dot at (x, y) with a keypoint and a box around it."""
    labels = Labels((Box(x - 4, y - 4, 9, 9, label=label),), keypoints=(Keypoint(x + 0.5, y + 0.5, label=label),))
    return load(Sample(png(dotted(width, height, x, y)), labels))


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("name", ["mixup", "mosaic"])
def test_a_dot_of_a_further_picture_is_found_where_its_keypoint_went(name: str, fit: str) -> None:
    first = load(Sample(png(np.zeros((60, 80), np.uint8))))
    pipeline = normalised(Pipeline((Step(name, 1.0, {"fit": fit}),), labels=LabelRules(0.0, 0.0)))
    further, found = [with_dot(50, 70, 24, 33, "far"), first, first], 0
    for copy in range(8):
        result = augment(first, pipeline, seed=2, copy=copy, further=further)
        seen = [point for point in result.labels.keypoints if point.visibility is Visibility.VISIBLE]
        place = dot_in(pixels_of(result.content))
        if seen and place is not None and 4 < place[0] < result.size.width - 4 and 4 < place[1] < result.size.height - 4:
            assert abs(place[0] - seen[0].x) <= 1.0 and abs(place[1] - seen[0].y) <= 1.0
            assert [box.label for box in result.labels.boxes if box.x < place[0] < box.x + box.width] == ["far"]
            found += 1
    assert found


def test_a_mix_has_the_form_of_the_first_picture() -> None:
    pipeline = normalised(Pipeline((Step("mixup"),)))
    for form in ("grey", "alpha", "16-bit PNG", "16-bit grey TIFF"):
        first = load(Sample(FORMS[form]))
        for other in FORMS:
            result = augment(first, pipeline, seed=1, further=[load(Sample(FORMS[other]))])
            before, after = first.picture.frames[0], load(Sample(result.content)).picture.frames[0]
            assert (after.colour.shape, after.colour.dtype) == (before.colour.shape, before.colour.dtype)
            assert (after.alpha is None) == (before.alpha is None)


def test_shares_of_a_blend_are_weights_of_labels() -> None:
    first, other = with_dot(40, 40, 10, 10, "near"), with_dot(40, 40, 30, 30, "far")
    result = augment(first, normalised(Pipeline((Step("mixup"),))), seed=1, further=[other])
    share = result.recipe.steps[0].parameters["share"]
    weights = {box.label: box.weight for box in result.labels.boxes}
    assert weights == pytest.approx({"near": 1.0 - share, "far": share})
    pixels = pixels_of(result.content)
    assert abs(int(pixels[10, 10]) - 255 * (1 - share)) <= 1 and abs(int(pixels[30, 30]) - 255 * share) <= 1


def test_mixing_without_further_pictures_does_nothing() -> None:
    first = with_dot(40, 40, 10, 10, "near")
    result = augment(first, normalised(Pipeline((Step("mixup"), Step("cutmix"), Step("mosaic")))), seed=1)
    assert np.array_equal(pixels_of(result.content), first.picture.frames[0].colour)
