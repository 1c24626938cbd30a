"""Curves, matrices and histograms do to colours what they say."""

from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
import pytest
from labelmesh_augment.transforms.effects import ColourMatrix, PixelStep, Tones
from labelmesh_augment.transforms.histograms import equalized, equalized_locally
from labelmesh_augment.transforms.tones import (
    LUMA,
    brighter,
    contrasted,
    hue_turning,
    inverted,
    posterized,
    powered,
    saturating,
    solarized,
)
from numpy.typing import NDArray

from tests.unit.augment.transforms.pixels import TYPES, acting, apart, random_pixels, smooth_pixels, white
from tests.unit.augment.transforms.steps import drawn, scene

SCALE = np.linspace(0.0, 1.0, 256)
GREY = random_pixels(2, 2)


def the_curve(name: str, **values: Any) -> NDArray[np.float64]:
    """What a step that is one curve makes of the scale."""
    (effect,) = acting(name, GREY, values)
    assert isinstance(effect, Tones)
    (curve,) = effect.curves
    return curve(SCALE)


def the_matrix(name: str, **values: Any) -> NDArray[np.float64]:
    (effect,) = acting(name, GREY, values)
    assert isinstance(effect, ColourMatrix) and effect.matrix.shape == (3, 4)
    # Nothing is added to channels.
    assert not effect.matrix[:, 3].any()
    return effect.matrix[:, :3]


@pytest.mark.parametrize(
    "curve",
    [
        *(tones.curves[0] for tones in (brighter(0.3), brighter(-1), contrasted(10), contrasted(0.1), inverted())),
        powered(0.1),
        powered(10),
        posterized(1),
    ],
)
def test_curves_stay_on_the_scale(curve: Any) -> None:
    values = curve(SCALE)
    assert values.shape == SCALE.shape and values.min() >= 0 and values.max() <= 1


def test_brightness_adds_a_share_of_the_scale_and_cuts_off() -> None:
    assert np.allclose(the_curve("brightness", shift=0.2), np.minimum(SCALE + 0.2, 1))
    assert not the_curve("brightness", shift=-1).any()


def test_contrast_turns_around_middle_grey() -> None:
    values = the_curve("contrast", factor=2)
    assert values[0] == 0 and values[-1] == 1
    assert np.isclose(np.interp(0.5, SCALE, values), 0.5)
    assert np.isclose(np.interp(0.6, SCALE, values), 0.7)


def test_gamma_keeps_black_and_white_and_brightens_below_one() -> None:
    values = the_curve("gamma", gamma=0.5)
    assert values[0] == 0 and values[-1] == 1 and np.allclose(values, np.sqrt(SCALE))


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterising_leaves_as_many_values_as_the_bits_have_from_black_to_white(bits: int) -> None:
    values = the_curve("posterize", bits=bits)
    left, counts = np.unique(values, return_counts=True)
    assert len(left) == 2**bits and left[0] == 0 and left[-1] == 1
    assert set(counts) == {256 // 2**bits}
    if bits == 8:
        assert np.array_equal(np.rint(values * 255), np.arange(256))


def test_solarising_inverts_what_is_brighter_than_the_threshold() -> None:
    values = the_curve("solarize", threshold=0.5)
    assert np.array_equal(values[:128], SCALE[:128]) and np.allclose(values[128:], 1 - SCALE[128:])
    assert np.array_equal(solarized(1.0)(SCALE), SCALE)


def test_inverting_twice_gives_the_values_back() -> None:
    assert np.allclose(inverted().curves[0](the_curve("invert")), SCALE)


def test_greyscale_is_luma_in_every_channel() -> None:
    assert np.allclose(the_matrix("grayscale"), np.tile([0.299, 0.587, 0.114], (3, 1)))


@pytest.mark.parametrize("matrix", [saturating(0), saturating(0.4), saturating(3), hue_turning(77), hue_turning(-180)])
def test_saturation_and_hue_keep_luma_and_greys(matrix: NDArray[np.float64]) -> None:
    assert np.allclose(LUMA @ matrix, LUMA)
    assert np.allclose(matrix @ [1, 1, 1], [1, 1, 1])


def test_saturation_changes_how_far_colours_are_from_grey() -> None:
    red = np.array([0.7, 0.3, 0.2])
    luma = LUMA @ red
    assert np.allclose(saturating(2) @ red - luma, 2 * (red - luma))


@pytest.mark.parametrize("angle", [-90, -20, 15, 60, 120])
def test_hue_turns_about_as_far_as_the_colour_circle_says(angle: float) -> None:
    pale = 0.5 + 0.1 * (np.array([1.0, 0.0, 0.0]) - LUMA[0])
    turned = hue_turning(angle) @ pale
    hue = colorsys.rgb_to_hsv(*turned)[0] * 360
    away = (hue - angle + 180) % 360 - 180
    assert abs(away) < 25


def test_hue_turns_come_back_and_add_up() -> None:
    assert np.allclose(hue_turning(360), np.eye(3))
    assert np.allclose(hue_turning(50) @ hue_turning(-30), hue_turning(20))


def test_a_shuffle_gives_each_channel_the_values_of_another() -> None:
    assert np.array_equal(the_matrix("channel_shuffle", order="bgr") @ [1, 2, 3], [3, 2, 1])
    assert np.array_equal(the_matrix("channel_shuffle", order="gbr") @ [1, 2, 3], [2, 3, 1])


def test_a_shuffle_in_any_order_draws_each_of_the_five_others() -> None:
    orders = {drawn("channel_shuffle", scene(2, 2), number)["order"] for number in range(60)}
    assert orders == {"rbg", "grb", "gbr", "brg", "bgr"}
    assert drawn("channel_shuffle", scene(2, 2), order="brg") == {"order": "brg"}


def test_jitter_is_what_its_four_steps_are_one_after_another() -> None:
    values = {"brightness": 0.1, "contrast": 0.8, "saturation": 1.4, "hue": 20.0}
    first, second, third = acting("colour_jitter", GREY, values)
    assert isinstance(first, Tones) and isinstance(second, Tones) and isinstance(third, ColourMatrix)
    assert np.array_equal(first.curves[0](SCALE), the_curve("brightness", shift=0.1))
    assert np.array_equal(second.curves[0](SCALE), the_curve("contrast", factor=0.8))
    assert np.allclose(third.matrix[:, :3], the_matrix("hue", angle=20) @ the_matrix("saturation", factor=1.4))


def slowly_equalized(values: NDArray[Any]) -> NDArray[np.float64]:
    """How many pixels are darker, of those that are not of the darkest value."""
    flat = np.sort(values.reshape(-1))
    up_to = np.searchsorted(flat, values, side="right")
    darkest = np.searchsorted(flat, flat[0], side="right")
    spread: NDArray[np.float64] = (up_to - darkest) * (white(values) / (values.size - darkest))
    return spread


@pytest.mark.parametrize("depth", TYPES)
def test_equalising_spreads_values_by_their_rank(depth: type) -> None:
    grey: NDArray[Any] = (smooth_pixels(60, 70, depth=depth) // 3 + 20).astype(depth)
    assert apart(equalized(grey, each=False), slowly_equalized(grey)) <= 1
    colour: NDArray[Any] = (smooth_pixels(60, 70, 3, depth=depth) // 3 + 20).astype(depth)
    each = equalized(colour, each=True)
    for channel in range(3):
        assert apart(each[:, :, channel], slowly_equalized(colour[:, :, channel])) <= 1


@pytest.mark.parametrize("depth", TYPES)
def test_equalising_luma_keeps_differences_of_colours(depth: type) -> None:
    pale: NDArray[Any] = (smooth_pixels(60, 70, 3, depth=depth) // 8 + 3 * (np.iinfo(depth).max // 8)).astype(depth)
    made = equalized(pale, each=False).astype(np.float64)
    before, after = (values @ LUMA[::-1] for values in (pale.astype(np.float64), made))
    assert apart(after, slowly_equalized(np.rint(before).astype(depth))) <= 0.02 * white(pale)
    inside = (made.min(axis=2) > 0) & (made.max(axis=2) < white(pale))
    differences = (made - after[:, :, np.newaxis]) - (pale - before[:, :, np.newaxis])
    assert np.abs(differences[inside]).max() <= 3


@pytest.mark.parametrize("depth", TYPES)
def test_a_picture_of_one_value_has_nothing_to_spread(depth: type) -> None:
    plain: NDArray[Any] = np.full((9, 8), 77, depth)
    assert np.array_equal(equalized(plain, each=False), plain)


@pytest.mark.parametrize(("height", "width", "tiles"), [(64, 64, 4), (61, 70, 5), (40, 90, 8), (100, 120, 1)])
def test_local_equalisation_is_the_same_with_8_and_16_bits(height: int, width: int, tiles: int) -> None:
    eight = smooth_pixels(height, width)
    sixteen = eight.astype(np.uint16) * 257
    for limit in (1.0, 3.0, 40.0):
        assert apart(equalized_locally(eight, limit, tiles), equalized_locally(sixteen, limit, tiles) / 257) <= 3


def test_local_equalisation_of_16_bits_obeys_its_limit() -> None:
    # Faint noise that a limit of 2 may make about twice as strong, and that no limit would spread over the whole scale.
    noise = (30000 + np.random.default_rng(2).normal(0, 300, (128, 128))).astype(np.uint16)
    made = equalized_locally(noise, 2.0, 4)
    assert 1.0 < np.std(made) / np.std(noise) < 3.0


def test_local_equalisation_brings_out_what_is_faint_in_a_corner() -> None:
    picture = np.full((80, 80), 120, np.uint8)
    picture[:20, :20][::2] = 124
    picture[40:, 40:] = np.linspace(0, 255, 40, dtype=np.uint8)
    made = equalized_locally(picture, 40.0, 4)
    assert np.ptp(made[4:16, 4:16]) > 5 * np.ptp(picture[4:16, 4:16])


def test_local_equalisation_of_8_bits_is_that_of_opencv() -> None:
    picture = smooth_pixels(48, 64)
    expected = cv2.createCLAHE(clipLimit=2.5, tileGridSize=(8, 8)).apply(picture)
    (effect,) = acting("clahe", picture, {"clip_limit": 2.5, "tiles": 8})
    assert isinstance(effect, PixelStep)
    assert np.array_equal(effect.change(picture), expected)
