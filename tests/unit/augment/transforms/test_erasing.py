"""Erased areas are where their outlines say, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Cover
from labelmesh_augment.transforms.erasing import Filling, hole
from numpy.typing import NDArray

from tests.unit.augment.transforms.pixels import KEY, TYPES, acting, apart, random_pixels, smooth_pixels
from tests.unit.augment.transforms.steps import drawn, scene

BLACK = {"fill": "colour", "colour": (0, 0, 0), "key": KEY}


def covering(name: str, colour: NDArray[Any], /, **values: Any) -> Cover:
    (effect,) = acting(name, colour, values)
    assert isinstance(effect, Cover)
    return effect


def inside(effect: Cover, height: int, width: int, margin: float = 0.0) -> NDArray[np.bool_]:
    """Pixels whose centres lie in one of the outlines, or closer to it than `margin`."""
    y, x = np.mgrid[:height, :width] + 0.5
    found = np.zeros((height, width), bool)
    for outline in effect.outlines:
        # Outlines go round clockwise: the inside is to the right of every edge.
        depths = []
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            depths.append(((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / np.hypot(x1 - x0, y1 - y0))
        found |= np.min(depths, axis=0) >= -margin
    return found


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("name", ["cutout", "grid_mask"])
def test_what_changes_lies_in_the_outlines_and_all_of_it_does(name: str, number: int) -> None:
    colour = np.full((31, 42, 3), 200, np.uint8)
    (effect,) = acting(name, colour, drawn(name, scene(42, 31), number))
    assert isinstance(effect, Cover)
    assert np.array_equal((effect.paint(colour) != colour).all(axis=2), inside(effect, 31, 42))


@pytest.mark.parametrize("angle", [-45, 10, 33])
def test_a_turned_grid_is_erased_where_its_outlines_are(angle: float) -> None:
    colour = np.full((37, 50), 9, np.uint16)
    values = {"unit": 0.2, "hole": 0.5, "angle": angle, "offset_x": 0.3, "offset_y": 0.9, **BLACK}
    effect = covering("grid_mask", colour, **values)
    erased = effect.paint(colour) == 0
    assert not (erased & ~inside(effect, 37, 50, 1e-3)).any()
    assert not (~erased & inside(effect, 37, 50, -1e-3)).any()
    for outline in effect.outlines:
        assert np.allclose(np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1), 5)


@pytest.mark.parametrize(("share", "angle"), [(0.3, 0), (0.5, 0), (0.5, 20), (0.9, 0)])
def test_a_grid_erases_the_share_that_its_squares_have(share: float, angle: float) -> None:
    colour = np.full((300, 300), 9, np.uint8)
    values = {"unit": 0.1, "hole": share, "angle": angle, "offset_x": 0.0, "offset_y": 0.0, **BLACK}
    assert abs((covering("grid_mask", colour, **values).paint(colour) == 0).mean() - share**2) < 0.02


def test_the_offset_of_a_grid_moves_it() -> None:
    colour = np.full((40, 40), 9, np.uint8)
    values = {"unit": 0.25, "hole": 0.4, "angle": 0.0, **BLACK}
    here = covering("grid_mask", colour, offset_x=0.0, offset_y=0.0, **values).paint(colour)
    there = covering("grid_mask", colour, offset_x=0.3, offset_y=0.5, **values).paint(colour)
    assert np.array_equal(np.roll(here, (5, 3), axis=(0, 1)), there)
    assert not here[:4, :4].any() and here[4:10].all()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((0.5, 0.5, 0.2, 0.4), (40, 15, 60, 35)),
        ((0, 0, 0.2, 0.4), (0, 0, 10, 10)),
        ((1, 1, 0.2, 0.4), (90, 40, 100, 50)),
        ((0, 0, 1, 1), (0, 0, 50, 25)),
    ],
)
def test_a_hole_is_where_it_is_said_and_ends_at_the_border(place: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert hole(Size(100, 50), *place) == expected


def test_even_the_smallest_hole_erases_a_pixel() -> None:
    for x, y in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.2)):
        for size in (Size(1, 1), Size(7, 1), Size(30, 30)):
            x0, y0, x1, y1 = hole(size, x, y, 0.01, 0.01)
            assert (x1 - x0, y1 - y0) == (1, 1) and 0 <= x0 < size.width and 0 <= y0 < size.height


def test_holes_are_as_many_and_as_large_as_is_asked_for() -> None:
    values = drawn("cutout", scene(50, 50), count=(32, 32), width=(0.2, 0.3), height=(0.05, 0.1))
    assert len(values["x"]) == 32
    assert all(0.2 <= width <= 0.3 for width in values["width"]) and all(0.05 <= height <= 0.1 for height in values["height"])
    assert len(set(values["width"])) == 32


def test_a_recipe_whose_lists_differ_in_length_is_refused() -> None:
    values = {"x": (0.1, 0.2), "y": (0.1,), "width": (0.1, 0.1), "height": (), **BLACK}
    assert [name for name, _ in CATALOGUE["cutout"].check_drawn(values)] == ["y", "height"]


def test_areas_show_the_colour_the_mean_or_noise() -> None:
    for depth in TYPES:
        scale = 1 if depth is np.uint8 else 257
        colour = smooth_pixels(40, 40, 3, depth=depth)
        area = [(3, 4, 20, 30)]
        shown = Filling("colour", (10, 20, 250), KEY).fill(colour, area)[4:30, 3:20]
        assert (shown == np.array([250, 20, 10]) * scale).all()
        shown = Filling("mean", (0, 0, 0), KEY).fill(colour, area)[4:30, 3:20]
        assert apart(shown, np.broadcast_to(colour.mean(axis=(0, 1)), shown.shape)) <= 0.51
        shown = Filling("noise", (0, 0, 0), KEY).fill(colour, area)[4:30, 3:20] / (255.0 * scale)
        assert abs(shown.mean() - 0.5) < 0.05 and abs(shown.std() - 12**-0.5) < 0.03


def test_a_colour_on_a_grey_picture_is_its_luma() -> None:
    grey = random_pixels(5, 5)
    assert (Filling("colour", (255, 0, 0), KEY).fill(grey, [(0, 0, 5, 5)]) == 76).all()


def test_noise_is_the_same_for_all_frames_and_another_in_each_hole() -> None:
    filling = Filling("noise", (0, 0, 0), KEY)
    areas = [(0, 0, 8, 8), (10, 0, 18, 8)]
    first, second = (filling.fill(random_pixels(20, 20, 3, seed=seed), areas) for seed in (1, 2))
    assert np.array_equal(first[:8, :8], second[:8, :8])
    assert not np.array_equal(first[:8, :8], first[:8, 10:18])
