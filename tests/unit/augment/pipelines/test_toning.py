"""Any number of curves is one look-up, and colours are mixed as the matrix says, in either depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from labelmesh_augment.pipelines import toning
from labelmesh_augment.transforms.effects import ColourMatrix, Tones
from labelmesh_augment.transforms.tones import LUMA
from numpy.typing import NDArray

DEPTHS = [(np.uint8, 255), (np.uint16, 65535)]


def pixels(dtype: Any, *shape: int) -> NDArray[Any]:
    white = 255 if dtype == np.uint8 else 65535
    return np.random.default_rng(3).integers(0, white + 1, shape).astype(dtype)


BRIGHTER = Tones((lambda levels: levels + 0.25,))
INVERTED = Tones((lambda levels: 1.0 - levels,))
TINTED = Tones((lambda levels: levels, lambda levels: levels * 0.5, lambda levels: levels * 0.0))


@pytest.mark.parametrize(("dtype", "white"), DEPTHS)
def test_curves_one_after_the_other_are_cut_off_and_not_rounded_between(dtype: Any, white: int) -> None:
    found = toning.look_up(pixels(dtype, 5, 7, 3), toning.table([BRIGHTER, INVERTED], white, gray=False))
    levels = pixels(dtype, 5, 7, 3) / white
    assert np.array_equal(found, np.rint((1.0 - np.minimum(levels + 0.25, 1.0)) * white).astype(dtype))


@pytest.mark.parametrize(("dtype", "white"), DEPTHS)
def test_three_curves_are_for_red_green_and_blue(dtype: Any, white: int) -> None:
    before = pixels(dtype, 5, 7, 3)
    found = toning.look_up(before, toning.table([TINTED], white, gray=False))
    blue, green, red = (found[:, :, channel] for channel in range(3))
    assert np.array_equal(red, before[:, :, 2])
    assert np.array_equal(green, np.rint(before[:, :, 1] / white * 0.5 * white))
    assert not blue.any()


@pytest.mark.parametrize(("dtype", "white"), DEPTHS)
def test_a_grey_frame_takes_the_mean_of_three_curves(dtype: Any, white: int) -> None:
    before = pixels(dtype, 5, 7)
    found = toning.look_up(before, toning.table([TINTED], white, gray=True))
    assert found.shape == before.shape
    assert np.abs(found - before / white * 0.5 * white).max() <= 0.5 + 1e-9


def test_grey_pixels_under_three_curves_become_colour() -> None:
    found = toning.look_up(np.full((2, 2), 200, np.uint8), toning.table([TINTED], 255, gray=False))
    assert found[0, 0].tolist() == [0, 100, 200]


@pytest.mark.parametrize(("dtype", "white"), DEPTHS)
def test_a_colour_matrix_takes_red_green_blue(dtype: Any, white: int) -> None:
    before = pixels(dtype, 5, 7, 3)
    matrix = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.5, 0.0, 0.0, 0.25]])
    found = toning.mix_channels(before, matrix)
    blue, green, red = (before[:, :, channel] / white for channel in range(3))
    expected = np.clip(np.stack([0.5 * red + 0.25, 2.0 * blue, green], axis=2), 0.0, 1.0) * white
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= 0.51


@pytest.mark.parametrize(("dtype", "white"), DEPTHS)
def test_a_matrix_without_colours_makes_one_channel(dtype: Any, white: int) -> None:
    before = pixels(dtype, 5, 7, 3)
    found = toning.mix_channels(before, np.array([[*LUMA, 0.0]] * 3))
    assert found.shape == (5, 7)
    assert np.abs(found - before[:, :, ::-1] @ LUMA).max() <= 0.53


def test_a_matrix_on_equal_channels_is_a_curve() -> None:
    matrix = ColourMatrix(np.array([[0.5, 0.25, 0.0, 0.1], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5]]))
    grey = pixels(np.uint8, 5, 7)
    tinted = toning.look_up(grey, toning.table([toning.gray_curves(matrix)], 255, gray=False))
    assert np.abs(tinted.astype(int) - toning.mix_channels(np.dstack([grey] * 3), matrix.matrix)).max() <= 1
    stays = toning.look_up(grey, toning.table([toning.by_luma(toning.gray_curves(matrix))], 255, gray=True))
    assert np.abs(stays - tinted[:, :, ::-1] @ LUMA).max() <= 1.0
