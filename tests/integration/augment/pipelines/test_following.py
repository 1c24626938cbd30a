"""Labels follow the pixels: for every transform that moves them, and for chains of those, whatever their parameters are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_augment.geometry.labels import Box, Keypoint, LabelRules, Labels, Polygon, Visibility
from labelmesh_augment.pipelines.pipeline import Pipeline, Step
from labelmesh_augment.transforms.transform import Kind, Transform

from tests.integration.augment.pipelines.painting import Pixels, black, bounds_of, dot_in, dotted, made, pixels_of, png
from tests.integration.augment.pipelines.steps import MOVING, chain, step

WIDTH, HEIGHT = 97, 74
KEEP_ALL = LabelRules(0.0, 0.0)
# Pixels around the border where a dot may be cut.
RIM = 3.0
BY_NAME = pytest.mark.parametrize("transform", MOVING, ids=lambda transform: transform.name)


def assert_the_dot_is_where_the_keypoint_went(steps: tuple[Step, ...], x: int, y: int, copy: int) -> bool:
    """Whether there was a dot to look for."""
    labels = Labels(keypoints=(Keypoint(x + 0.5, y + 0.5, label="dot"),), boxes=(Box(20, 16, 40, 30),))
    result = made(png(dotted(WIDTH, HEIGHT, x, y)), labels, Pipeline(steps, labels=KEEP_ALL), copy=copy)
    pixels = pixels_of(result.content)
    assert pixels.shape[:2] == (result.size.height, result.size.width)
    point, found = result.labels.keypoints[0], dot_in(pixels)
    rim = RIM * magnified(pixels)
    if found is not None and point.visibility is Visibility.OUTSIDE:
        # Of what lay at the border a part may still be seen.
        assert not inside(found, pixels, 2 * rim), (found, point, result.recipe.steps)
        return False
    if found is None or not inside((point.x, point.y), pixels, rim):
        return False
    assert abs(found[0] - point.x) <= 1.0 and abs(found[1] - point.y) <= 1.0, (found, point, result.recipe.steps)
    return True


def inside(place: tuple[float, float], pixels: Pixels, rim: float) -> bool:
    """Whether a place is in the picture, and at least `rim` from its border."""
    return all(rim < along < side - rim for along, side in zip(place, pixels.shape[1::-1], strict=True))


def magnified(pixels: Pixels) -> float:
    """How much wider the dot is than it was, at least 1."""
    found = bounds_of(pixels, 16)
    return 1.0 if found is None else max(1.0, (found[2] - found[0]) / 3.0, (found[3] - found[1]) / 3.0)


def assert_the_box_is_around_the_filled_area(steps: tuple[Step, ...], copy: int) -> None:
    x0, y0, x1, y1 = 24, 18, 71, 52
    pixels = black(WIDTH, HEIGHT)
    pixels[y0:y1, x0:x1] = 255
    ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
    labels = Labels(boxes=(Box(x0, y0, x1 - x0, y1 - y0),), polygons=(Polygon((ring,)),))
    result = made(png(pixels), labels, Pipeline(steps, labels=KEEP_ALL), copy=copy)
    after = pixels_of(result.content)
    # What is white for certain lies within the labels, and they lie within what is not black, each to a pixel; to one of the picture before
    # where it was enlarged. Between them are soft borders, and corners so sharp that they cover little of the pixels they reach into.
    sure, faint = bounds_of(after, 240), bounds_of(after, 8)
    pixel = max(1.0, after.shape[1] / WIDTH, after.shape[0] / HEIGHT)
    for told in bounds(result.labels):
        if sure is not None:
            assert encloses(told, sure, pixel), (told, sure, result.recipe.steps)
        if min(told[2] - told[0], told[3] - told[1]) > pixel:
            assert faint is not None and encloses(faint, told, pixel), (told, faint, result.recipe.steps)
    if sure is not None:
        assert len(result.labels.boxes) == len(result.labels.polygons) == 1


def bounds(labels: Labels) -> list[tuple[float, ...]]:
    """Of each box and polygon: x0, y0, x1, y1."""
    of_boxes = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in labels.boxes]
    rings = [np.concatenate(polygon.rings) for polygon in labels.polygons]
    return [*of_boxes, *((*points.min(axis=0), *points.max(axis=0)) for points in rings)]


def encloses(outer: tuple[float, ...], inner: tuple[float, ...], slack: float) -> bool:
    """Whether one rectangle lies in another, or leaves it by no more than the slack."""
    x0, y0, x1, y1 = (there - here for here, there in zip(inner, outer, strict=True))
    return max(x0, y0, -x1, -y1) <= slack


@BY_NAME
@settings(max_examples=12, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_dot_is_found_where_its_keypoint_went(transform: Transform, data: st.DataObject) -> None:
    chosen = data.draw(step(transform))
    place = data.draw(st.tuples(st.integers(2, WIDTH - 3), st.integers(2, HEIGHT - 3)))
    assert_the_dot_is_where_the_keypoint_went((chosen,), *place, data.draw(st.integers(0, 50)))


@BY_NAME
def test_a_dot_is_there_to_be_found_with_default_parameters(transform: Transform) -> None:
    black_bars = {parameter.name: (0, 0, 0) for parameter in transform.parameters if parameter.kind is Kind.COLOUR}
    steps = (Step(transform.name, 1.0, black_bars),)
    found = [assert_the_dot_is_where_the_keypoint_went(steps, WIDTH // 2, HEIGHT // 2, copy) for copy in range(4)]
    assert any(found)


@BY_NAME
@settings(max_examples=12, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_filled_box_keeps_its_bounds(transform: Transform, data: st.DataObject) -> None:
    assert_the_box_is_around_the_filled_area((data.draw(step(transform)),), data.draw(st.integers(0, 50)))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(steps=chain(MOVING, 5), x=st.integers(20, WIDTH - 20), y=st.integers(20, HEIGHT - 20), copy=st.integers(0, 50))
def test_a_dot_is_found_after_any_chain_of_movements(steps: tuple[Step, ...], x: int, y: int, copy: int) -> None:
    assert_the_dot_is_where_the_keypoint_went(steps, x, y, copy)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(steps=chain(MOVING, 5), copy=st.integers(0, 50))
def test_a_filled_box_keeps_its_bounds_after_any_chain_of_movements(steps: tuple[Step, ...], copy: int) -> None:
    assert_the_box_is_around_the_filled_area(steps, copy)
