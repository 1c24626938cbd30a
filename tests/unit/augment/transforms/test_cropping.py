"""Where crops lie, and what they keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Warp
from labelmesh_augment.transforms.transform import Values

from tests.unit.augment.transforms.steps import drawn, moved, scene, warp


def inside(values: Values, width: int, height: int) -> bool:
    fits_across = 0 <= values["x"] < values["x"] + values["width"] <= width
    return bool(fits_across and 0 <= values["y"] < values["y"] + values["height"] <= height)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1), st.floats(0.1, 10), st.integers(0, 1 << 30))
def test_a_random_crop_lies_within_the_picture(width: int, height: int, area: float, ratio: float, number: int) -> None:
    assert inside(
        drawn("random_crop", scene(width, height), number, area=[area, 1], ratio=[min(ratio, 1.0), max(ratio, 1.0)]), width, height
    )


def test_a_random_crop_has_the_area_and_the_shape_that_were_asked_for() -> None:
    crops = [drawn("random_crop", scene(1000, 800), number, area=[0.2, 0.4], ratio=[0.5, 2]) for number in range(200)]
    areas = [crop["width"] * crop["height"] / 800_000 for crop in crops]
    shapes = [crop["width"] / crop["height"] for crop in crops]
    assert 0.198 < min(areas) < 0.22 and 0.38 < max(areas) < 0.402
    assert 0.49 < min(shapes) < 0.6 and 1.7 < max(shapes) < 2.02
    assert len({(crop["x"], crop["y"]) for crop in crops}) > 190


@pytest.mark.parametrize(("sides", "crop"), [((1000, 10), (20, 10)), ((10, 1000), (10, 20))], ids=["flat", "steep"])
def test_where_no_shape_fits_a_random_crop_is_the_largest_of_the_nearest_shape(sides: tuple[int, int], crop: tuple[int, int]) -> None:
    values = [drawn("random_crop", scene(*sides), number, area=[0.9, 1], ratio=[0.5, 2]) for number in range(20)]
    assert {(value["width"], value["height"]) for value in values} == {crop}
    assert len({(value["x"], value["y"]) for value in values}) > 10


def test_a_crop_in_pixels_has_them_as_far_as_the_picture_does() -> None:
    assert warp("random_crop", scene(100, 50), width=64, height=64).size == Size(64, 50)
    assert warp("centre_crop", scene(100, 50), width=64, height=64).size == Size(64, 50)


def test_a_crop_is_brought_to_a_size() -> None:
    values = drawn("random_crop", scene(100, 50), 3, resize_width=224, resize_height=112)
    effect = warp("random_crop", scene(100, 50), 3, resize_width=224, resize_height=112)
    assert effect.size == Size(224, 112)
    x, y, width, height = (values[name] for name in ("x", "y", "width", "height"))
    assert moved(effect, (x, y), (x + width, y + height)) == pytest.approx(np.array([[0, 0], [224, 112]]))


@pytest.mark.parametrize("name", ["random_crop", "centre_crop", "crop_around_boxes"])
def test_what_a_crop_cuts_off_is_gone(name: str) -> None:
    assert warp(name, scene(100, 50, (10, 10, 20, 20))).cuts


@pytest.mark.parametrize("pair", [("width", "height"), ("resize_width", "resize_height")])
def test_one_side_of_a_size_is_not_enough(pair: tuple[str, str]) -> None:
    settings = {"width": 0, "height": 0, "resize_width": 0, "resize_height": 0}
    for given_, missing in (pair, pair[::-1]):
        (finding,) = CATALOGUE["random_crop"].check({**settings, given_: 5})
        assert finding[0] == missing


def test_a_centre_crop_is_in_the_middle() -> None:
    effect = warp("centre_crop", scene(101, 50), share=0.5)
    assert effect.size == Size(50, 25)
    assert moved(effect, (25, 12)).tolist() == [[0, 0]]


def test_a_recipe_from_a_larger_picture_crops_what_there_is() -> None:
    values = {"x": 500, "y": 400, "width": 300, "height": 30_000, "resize_width": 0, "resize_height": 0}
    (effect,) = CATALOGUE["random_crop"].act(values, Size(320, 200), ())
    assert isinstance(effect, Warp)
    assert effect.size == Size(300, 200)
    assert moved(effect, (20, 0), (320, 200)).tolist() == [[0, 0], [300, 200]]


boxes_in_100 = st.lists(
    st.tuples(st.floats(0, 99), st.floats(0, 99), st.floats(0.01, 100), st.floats(0.01, 100)).map(
        lambda box: (box[0], box[1], min(box[0] + box[2], 100.0), min(box[1] + box[3], 100.0))
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(boxes_in_100, st.floats(0.01, 1), st.floats(0, 1), st.integers(0, 1 << 30))
def test_a_crop_around_boxes_keeps_the_share_of_each(
    boxes: list[tuple[float, float, float, float]], share: float, room: float, number: int
) -> None:
    values = drawn("crop_around_boxes", scene(100, 100, *boxes), number, min_share=share, room=[0, room])
    assert inside(values, 100, 100)
    bounds = np.array(boxes)
    start = np.maximum(bounds[:, :2], (values["x"], values["y"]))
    end = np.minimum(bounds[:, 2:], (values["x"] + values["width"], values["y"] + values["height"]))
    visible = np.prod(np.maximum(end - start, 0), axis=1) / np.prod(bounds[:, 2:] - bounds[:, :2], axis=1)
    assert (visible > share - 1e-6).all()


def test_without_room_a_crop_is_as_near_to_its_boxes_as_can_be() -> None:
    values = drawn("crop_around_boxes", scene(100, 100, (20, 30, 40, 50), (35, 10, 60.5, 20)), room=0)
    assert [values[name] for name in ("x", "y", "width", "height")] == [20, 10, 41, 40]


def test_a_crop_around_one_box_takes_each_of_them_in_its_turn() -> None:
    found = scene(100, 100, (0, 0, 10, 10), (90, 90, 100, 100), (40, 40, 60, 60))
    places = {
        (values["x"], values["width"]) for values in (drawn("crop_around_boxes", found, number, keep="one", room=0) for number in range(30))
    }
    assert places == {(0, 10), (90, 10), (40, 20)}


def test_where_there_are_no_boxes_nothing_is_cut_off() -> None:
    assert warp("crop_around_boxes", scene(31, 17)).matrix.tolist() == np.eye(3).tolist()
