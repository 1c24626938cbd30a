"""Sizes that results get, and where the picture lies in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import PixelStep, Warp
from labelmesh_augment.transforms.sizing import result_size
from labelmesh_chassis.errors import FailedPrecondition

from tests.unit.augment.transforms.steps import effects, moved, scene, warp


@pytest.mark.parametrize(
    ("given_", "size"),
    [
        ({"mode": "longest", "side": 100}, Size(100, 50)),
        ({"mode": "shortest", "side": 100}, Size(200, 100)),
        ({"mode": "exact", "width": 30, "height": 70}, Size(30, 70)),
    ],
    ids=["longest", "shortest", "exact"],
)
def test_a_picture_is_brought_to_a_size(given_: dict[str, Any], size: Size) -> None:
    effect = warp("resize", scene(640, 320), **given_)
    assert effect.size == size
    assert moved(effect, (0, 0), (640, 320)) == pytest.approx(np.array([[0, 0], [size.width, size.height]]))


def test_a_line_of_pixels_keeps_a_pixel_when_it_shrinks() -> None:
    assert warp("resize", scene(30_000, 1), mode="longest", side=10).size == Size(10, 1)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 700), st.integers(1, 700), st.sampled_from([0, 1, 32, 100]), st.booleans()
)
def test_a_letterbox_holds_the_whole_picture_in_its_shape(
    width: int, height: int, inner: int, outer: int, stride: int, enlarge: bool
) -> None:
    fitted = next(
        effect
        for effect in effects("letterbox", scene(width, height), width=inner, height=outer, stride=stride, enlarge=enlarge)
        if isinstance(effect, Warp) and not effect.cuts
    )
    start, end = moved(fitted, (0, 0), (width, height))
    sides = np.array([fitted.size.width, fitted.size.height])
    # Whole pixels, centred.
    assert start == pytest.approx(np.round(start), abs=1e-6) and end == pytest.approx(np.round(end), abs=1e-6)
    assert (np.abs(start - (sides - end)) < 1.001).all()
    factors = (end - start) / (width, height)
    # As near to its shape as whole pixels let it be.
    assert (np.abs((end - start) - factors.max() * np.array([width, height])) <= 1.001).any()
    assert enlarge or (end - start <= np.array([width, height]) + 1e-6).all()
    if stride:
        assert not (sides % stride).any() and (sides - (end - start) < stride).all()
    else:
        assert sides.tolist() == [inner, outer]


def test_a_small_picture_stays_small_in_a_letterbox_that_does_not_enlarge() -> None:
    _, fitted, _ = effects("letterbox", scene(20, 10), width=100, height=100, enlarge=False)
    assert isinstance(fitted, Warp)
    assert moved(fitted, (0, 0), (20, 10)).tolist() == [[40, 45], [60, 55]]


def test_bars_are_painted_and_the_picture_is_not() -> None:
    cut, _, bars = effects("letterbox", scene(20, 10), width=20, height=20, colour=[250, 20, 3])
    assert isinstance(cut, Warp) and cut.cuts and isinstance(bars, PixelStep) and not bars.keeps_gray
    pixels = np.arange(20 * 20 * 3, dtype=np.uint8).reshape(20, 20, 3)
    before = pixels.copy()
    painted = bars.change(pixels)
    assert (pixels == before).all()
    assert (painted[5:15] == pixels[5:15]).all()
    # Blue, green, red.
    assert (painted[:5] == [3, 20, 250]).all() and (painted[15:] == [3, 20, 250]).all()


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 114), (np.uint16, 114 * 257)])
def test_bars_are_as_grey_and_as_deep_as_the_picture(dtype: type[np.generic], value: int) -> None:
    bars = effects("letterbox", scene(20, 10), width=20, height=20)[-1]
    assert isinstance(bars, PixelStep) and bars.keeps_gray
    painted = bars.change(np.zeros((20, 20), dtype=dtype))
    assert painted.dtype == dtype
    assert (painted[:5] == value).all() and not painted[5:15].any()


def test_a_picture_of_the_frames_shape_gets_no_bars() -> None:
    assert len(effects("letterbox", scene(1280, 960), width=640, height=480)) == 1


def test_borders_add_up() -> None:
    effect = warp("pad", scene(100, 50), left=3, top=4, right=5, bottom=6, min_width=120, min_height=10, multiple=8)
    # 108 x 60, then 120 x 60, then 120 x 64.
    assert effect.size == Size(120, 64)
    assert moved(effect, (0, 0)).tolist() == [[3 + 6, 4 + 2]]


def test_a_picture_that_fits_already_is_not_padded() -> None:
    assert warp("pad", scene(64, 96)).matrix.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("sides", [(30_001, 1), (1, 30_001), (10_001, 10_000)])
def test_a_result_that_is_too_large_is_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(FailedPrecondition) as raised:
        result_size(*sides)
    assert raised.value.reason == "RESULT_TOO_LARGE"


@pytest.mark.parametrize("sides", [(30_000, 3_333), (10_000, 10_000), (1, 1)])
def test_the_largest_results_are_made(sides: tuple[int, int]) -> None:
    assert result_size(*sides) == Size(*sides)


@pytest.mark.parametrize(
    ("name", "given_"),
    [
        ("resize", {"mode": "shortest", "side": 30_000}),
        ("pad", {"left": 10_000, "right": 10_000}),
        ("rotate", {"angle": 45, "expand": True}),
        ("letterbox", {"width": 30_000, "height": 30_000}),
    ],
)
def test_no_step_makes_a_result_that_is_too_large(name: str, given_: dict[str, Any]) -> None:
    with pytest.raises(FailedPrecondition):
        effects(name, scene(29_000, 1_500), **given_)


def test_sizes_are_drawn_by_factors_as_their_slider_moves() -> None:
    sides = [warp("resize", scene(10, 10), number, side=[10, 1000]).size.width for number in range(400)]
    assert 160 < sum(side < 100 for side in sides) < 240
    assert min(sides) >= 10 and max(sides) <= 1000
