"""Blur, sharpening, compression and coarse pixels against plain ways of computing them."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from labelmesh_augment.transforms.blurring import gaussian_blurred, motion_blurred, motion_kernel, sharpened
from labelmesh_augment.transforms.quality import downscaled, recompressed
from numpy.typing import NDArray

from tests.unit.augment.transforms.pixels import TYPES, apart, random_pixels, smooth_pixels, white


def slowly_filtered(colour: NDArray[Any], kernel: NDArray[Any]) -> NDArray[np.float64]:
    """Weights times mirrored neighbours, summed up."""
    down, across = (side // 2 for side in kernel.shape)
    edges = ((down, down), (across, across), *((0, 0),) * (colour.ndim - 2))
    around = np.pad(colour.astype(np.float64), edges, mode="symmetric")
    total = np.zeros(colour.shape)
    for y, x in zip(*np.nonzero(kernel), strict=True):
        total += kernel[y, x] * around[y : y + colour.shape[0], x : x + colour.shape[1]]
    return total


def slowly_blurred(colour: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    reach = math.ceil(4 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    return slowly_filtered(slowly_filtered(colour, weights[np.newaxis]), weights[:, np.newaxis])


@pytest.mark.parametrize("sigma", [0.4, 1.5, 7.9, 8.1, 13.0, 50.0])
@pytest.mark.parametrize("depth", TYPES)
def test_gaussian_blur_is_the_mean_with_gaussian_weights(depth: type, sigma: float) -> None:
    colour = random_pixels(60, 75, 3, depth=depth)
    # 8 bits are blurred with weights that end at three deviations; wide blurs are made from a smaller picture.
    assert apart(gaussian_blurred(colour, sigma), slowly_blurred(colour, sigma)) <= 0.02 * white(colour)


def test_a_wide_blur_joins_on_to_a_narrow_one() -> None:
    colour = smooth_pixels(200, 180, 3)
    assert apart(gaussian_blurred(colour, 8.0), gaussian_blurred(colour, 8.01)) <= 3


def test_a_blur_of_one_value_is_that_value() -> None:
    for depth in TYPES:
        plain = np.full((40, 30), np.iinfo(depth).max, depth)
        for sigma in (0.5, 3.0, 20.0):
            assert np.array_equal(gaussian_blurred(plain, sigma), plain)
        assert np.array_equal(motion_blurred(plain, 33.3, 20.0), plain)


@pytest.mark.parametrize(("length", "angle"), [(0.5, 45), (4, 0), (7, 90), (9, 33), (20, 45), (31, 120), (60, 170)])
@pytest.mark.parametrize("depth", TYPES)
def test_motion_blur_is_the_mean_along_a_line(depth: type, length: float, angle: float) -> None:
    colour = random_pixels(40, 47, 3, depth=depth)
    expected = slowly_filtered(colour, motion_kernel(length, angle))
    assert apart(motion_blurred(colour, length, angle), expected) <= 0.52
    assert apart(motion_blurred(colour[:, :, 1], length, angle), expected[:, :, 1]) <= 0.52


def test_motion_blur_of_large_pictures_has_no_seams() -> None:
    # More than one part each way.
    colour = random_pixels(420, 610)
    assert apart(motion_blurred(colour, 14, 30), slowly_filtered(colour, motion_kernel(14, 30))) <= 0.51


@pytest.mark.parametrize(("length", "angle"), [(0.01, 0), (1, 10), (12.5, 77), (200, 135)])
def test_a_moving_point_is_in_the_middle_of_its_way_and_leaves_all_of_its_light(length: float, angle: float) -> None:
    kernel = motion_kernel(length, angle).astype(np.float64)
    assert np.isclose(kernel.sum(), 1) and (kernel >= 0).all()
    places = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    x, y = kernel.sum(axis=0), kernel.sum(axis=1)
    assert abs(x @ places) < 1e-3 and abs(y @ places) < 1e-3
    # As long as it says: an even line has a variance of its length squared over 12, and pixels add a little.
    spread = x @ places**2 + y @ places**2
    assert length**2 / 12 - 1e-3 <= spread <= length**2 / 12 + 0.51
    covariance = (kernel * np.outer(places, places)).sum()
    assert np.isclose(covariance, length**2 / 24 * math.sin(2 * math.radians(angle)), atol=0.02 * length**2 / 24 + 1e-3)


def test_sharpening_adds_what_a_blur_takes_away() -> None:
    for depth in TYPES:
        colour = smooth_pixels(50, 40, 3, depth=depth)
        blurred = gaussian_blurred(colour, 2.0).astype(np.float64)
        expected = np.clip(colour + 1.5 * (colour - blurred), 0, white(colour))
        assert apart(sharpened(colour, 1.5, 2.0), expected) <= 0.51


def test_sharpening_makes_an_edge_steeper_and_leaves_even_areas() -> None:
    picture = np.full((20, 40), 100, np.uint8)
    picture[:, 20:] = 150
    made = sharpened(picture, 1.0, 1.0)
    assert made[10, 19] < 100 and made[10, 20] > 150
    assert made[10, 5] == 100 and made[10, 35] == 150


def test_compression_is_worse_with_less_quality() -> None:
    colour = smooth_pixels(64, 64, 3)
    losses = [np.abs(recompressed(colour, quality).astype(int) - colour).mean() for quality in (95, 60, 20, 1)]
    assert losses == sorted(losses) and losses[0] < 2.0 < losses[-1]


def test_compression_is_what_a_file_of_that_quality_holds() -> None:
    colour = smooth_pixels(30, 41, 3)
    file = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, 33])[1]
    read = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert read is not None and np.array_equal(recompressed(colour, 33), read)


def test_compression_leaves_8_of_16_bits() -> None:
    eight = smooth_pixels(30, 41, 3)
    sixteen = (eight.astype(np.uint16) * 257).clip(100, 65400) + 90
    assert np.array_equal(recompressed(sixteen, 70), recompressed(eight, 70).astype(np.uint16) * 257)


def test_coarse_pixels_are_means_and_are_seen_as_blocks() -> None:
    colour = random_pixels(24, 36, 3)
    made = downscaled(colour, 0.25, "blocks")
    means = colour.reshape(6, 4, 9, 4, 3).mean(axis=(1, 3))
    assert apart(made, np.repeat(np.repeat(means, 4, axis=0), 4, axis=1)) <= 0.51


def test_coarse_pixels_are_joined_smoothly_unless_blocks_are_asked_for() -> None:
    colour = random_pixels(64, 64)
    steps = [np.abs(np.diff(downscaled(colour, 0.1, way).astype(int), axis=1)).max() for way in ("blocks", "cubic", "linear")]
    assert steps == sorted(steps, reverse=True) and steps[0] > 2 * steps[2]
