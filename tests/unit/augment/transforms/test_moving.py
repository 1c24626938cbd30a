"""Where movements take points of the frame."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.matrices import MAX_TILT, tilt

from tests.unit.augment.transforms.steps import drawn, moved, scene, warp


def test_a_horizontal_flip_mirrors_left_and_right() -> None:
    assert moved(warp("horizontal_flip", scene(6, 4)), (0, 0), (1.5, 3)).tolist() == [[6, 0], [4.5, 3]]


def test_a_vertical_flip_mirrors_top_and_bottom() -> None:
    assert moved(warp("vertical_flip", scene(6, 4)), (0, 0), (1.5, 3)).tolist() == [[0, 4], [1.5, 1]]


@pytest.mark.parametrize(
    ("turns", "size", "corner"), [(1, Size(4, 6), [4, 0]), (2, Size(6, 4), [6, 4]), (3, Size(4, 6), [0, 6])], ids=["90", "180", "270"]
)
def test_quarter_turns_are_clockwise_exact_and_turn_the_frame(turns: int, size: Size, corner: list[float]) -> None:
    effect = warp("quarter_turn", scene(6, 4), turns=turns)
    assert effect.size == size
    assert moved(effect, (0, 0)).tolist() == [corner]


def test_above_zero_a_rotation_is_clockwise_around_the_middle() -> None:
    effect = warp("rotate", scene(100, 60), angle=30)
    up, middle = moved(effect, (50, 10), (50, 30))
    assert middle == pytest.approx([50, 30])
    assert up == pytest.approx([50 + 20 * 0.5, 30 - 20 * np.sqrt(0.75)])


@pytest.mark.parametrize("angle", [-180, -77.7, -45, 0, 1e-9, 30, 90, 180])
@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (37, 20)])
def test_a_larger_frame_holds_the_whole_rotated_picture_and_no_more(sides: tuple[int, int], angle: float) -> None:
    width, height = sides
    effect = warp("rotate", scene(width, height), angle=angle, expand=True)
    corners = moved(effect, (0, 0), (width, 0), (width, height), (0, height))
    after = np.array([effect.size.width, effect.size.height])
    assert (corners > -1e-5).all() and (corners < after + 1e-5).all()
    assert (np.ptp(corners, axis=0) > after - 1).all()


def test_a_frame_that_grows_by_a_quarter_turn_has_its_sides_exchanged() -> None:
    effect = warp("rotate", scene(37, 20), angle=90, expand=True)
    assert effect.size == Size(20, 37)
    assert effect.matrix.tolist() == warp("quarter_turn", scene(37, 20), turns=1).matrix.tolist()


def test_a_shear_keeps_the_area_and_the_middle() -> None:
    effect = warp("shear", scene(100, 60), x=60, y=60)
    assert np.linalg.det(effect.matrix) == pytest.approx(1)
    assert moved(effect, (50, 30))[0] == pytest.approx([50, 30])


def test_above_zero_a_shear_moves_the_bottom_to_the_right_and_the_right_down() -> None:
    assert moved(warp("shear", scene(100, 60), x=45, y=0), (50, 60))[0] == pytest.approx([80, 60])
    assert moved(warp("shear", scene(100, 60), x=0, y=45), (100, 30))[0] == pytest.approx([100, 80])


def test_a_zoom_of_two_shows_the_middle_half() -> None:
    assert moved(warp("zoom", scene(100, 60), factor=2), (25, 15), (75, 45)).tolist() == [[0, 0], [100, 60]]


def test_a_zoom_is_drawn_to_enlarge_as_often_as_to_shrink() -> None:
    factors = [float(drawn("zoom", scene(9, 9), number, factor=[0.1, 10])["factor"]) for number in range(400)]
    assert 160 < sum(factor > 1 for factor in factors) < 240
    assert min(factors) >= 0.1 and max(factors) <= 10


def test_a_shift_is_by_whole_pixels() -> None:
    assert moved(warp("translate", scene(101, 33), x=0.123, y=-0.5), (0, 0)).tolist() == [[12, -16]]


@pytest.mark.parametrize("size", [Size(1, 1), Size(1, 50)])
def test_the_strongest_tilts_keep_the_frame_in_front_of_the_horizon(size: Size) -> None:
    corners = np.array([[0, 0, 1], [size.width, 0, 1], [size.width, size.height, 1], [0, size.height, 1]])
    for flat in itertools.product((-MAX_TILT, MAX_TILT), repeat=8):
        matrix = tilt([(flat[corner], flat[corner + 4]) for corner in range(4)], size)
        # It is linear, so what holds for the corners holds in between.
        assert (corners @ matrix[2]).min() > 0.1


def test_a_tilt_takes_corners_to_where_they_were_drawn() -> None:
    values = drawn("perspective", scene(200, 100), 4, strength=0.2)
    effect = warp("perspective", scene(200, 100), 4, strength=0.2)
    names = ("top_left", "top_right", "bottom_right", "bottom_left")
    offsets = np.array([[values[f"{name}_x"], values[f"{name}_y"]] for name in names]) * (200, 100)
    corners = np.array([[0, 0], [200, 0], [200, 100], [0, 100]])
    assert moved(effect, (0, 0), (200, 0), (200, 100), (0, 100)) == pytest.approx(corners + offsets)
    assert np.abs(offsets).max() > 5


def test_an_affine_step_zooms_shears_rotates_and_shifts_in_this_order() -> None:
    found = scene(100, 60)
    separate = np.eye(3)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("zoom", {"factor": 1.5}),
        ("shear", {"x": 10, "y": -5}),
        ("rotate", {"angle": 40}),
        ("translate", {"x": 0.1, "y": 0.2}),
    ]
    for name, given in steps:
        separate = warp(name, found, **given).matrix @ separate
    together = warp("affine", found, zoom=1.5, shear_x=10, shear_y=-5, angle=40, x=0.1, y=0.2)
    assert together.matrix == pytest.approx(separate)
