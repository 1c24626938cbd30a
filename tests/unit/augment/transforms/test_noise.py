"""Noise has the strength and the form that it says, and is made again from its key."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.transforms.noise import (
    FULL_WELL,
    READ_NOISE,
    Stream,
    normal_quantiles,
    with_gaussian_noise,
    with_salt_and_pepper,
    with_sensor_noise,
)
from numpy.typing import NDArray

from tests.unit.augment.transforms.pixels import KEY, OTHER_KEY, TYPES, apart, white


def test_a_stream_is_that_of_numpys_philox() -> None:
    expected = np.random.Philox(key=int(KEY, 16)).random_raw(100).astype("<u8").view("<u2")
    assert np.array_equal(Stream(KEY).values(20, 20), expected.reshape(20, 20))


def test_a_stream_does_not_depend_on_how_much_is_taken_at_once() -> None:
    whole = Stream(KEY).values(1000)
    stream = Stream(KEY)
    parts = [stream.values(count) for count in (1, 2, 3, 5, 0, 8, 400, 581)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_quantiles_are_those_of_the_normal_distribution() -> None:
    quantiles = normal_quantiles()
    assert (np.diff(quantiles) > 0).all() and np.array_equal(quantiles, -quantiles[::-1])
    assert np.isclose(quantiles[65535 * 3 // 4], NormalDist().inv_cdf((65535 * 3 // 4 + 0.5) / 65536))
    assert abs(quantiles.std() - 1) < 1e-3 and 4.2 < quantiles[-1] < 4.4


@pytest.mark.parametrize("depth", TYPES)
@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.1])
def test_gaussian_noise_is_as_strong_as_it_says_and_has_no_bias(depth: type, sigma: float) -> None:
    grey: NDArray[Any] = np.full((200, 300), np.iinfo(depth).max // 2, depth)
    added = (with_gaussian_noise(grey, KEY, sigma, True) - grey.astype(np.float64)) / white(grey)
    # Rounding to whole values adds some, 1/12 of a step squared.
    expected = math.sqrt(sigma**2 + 1 / 12 / white(grey) ** 2)
    assert abs(added.std() / expected - 1) < 0.02 and abs(added.mean()) < 4 * expected / math.sqrt(added.size)


def test_each_channel_has_noise_of_its_own_only_if_that_is_asked_for() -> None:
    grey = np.full((90, 100, 3), 128, np.uint8)
    own = with_gaussian_noise(grey, KEY, 0.05, True)
    assert abs(np.corrcoef(own[:, :, 0].ravel(), own[:, :, 1].ravel())[0, 1]) < 0.05
    shared = with_gaussian_noise(grey, KEY, 0.05, False)
    assert np.array_equal(shared[:, :, 0], shared[:, :, 2])
    assert np.array_equal(shared[:, :, 0], with_gaussian_noise(grey[:, :, 0], KEY, 0.05, True))


def test_16_bits_have_the_same_noise_as_8() -> None:
    eight = np.full((70, 80, 3), 120, np.uint8)
    sixteen = eight.astype(np.uint16) * 257
    assert apart(with_gaussian_noise(eight, KEY, 0.05, True), with_gaussian_noise(sixteen, KEY, 0.05, True) / 257) <= 0.51
    assert np.array_equal(with_salt_and_pepper(eight, KEY, 0.1, 0.3).astype(int) * 257, with_salt_and_pepper(sixteen, KEY, 0.1, 0.3))
    assert apart(with_sensor_noise(eight, KEY, 800, 0.5), with_sensor_noise(sixteen, KEY, 800, 0.5) / 257) <= 0.51


def test_another_key_is_another_noise_and_the_same_key_the_same() -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    ways: list[Callable[[str], NDArray[Any]]] = [
        lambda key: with_gaussian_noise(grey, key, 0.05, True),
        lambda key: with_salt_and_pepper(grey, key, 0.2, 0.5),
        lambda key: with_sensor_noise(grey, key, 1600, 0.5),
    ]
    for noisy in ways:
        assert np.array_equal(noisy(KEY), noisy(KEY))
        assert not np.array_equal(noisy(KEY), noisy(OTHER_KEY))


def test_noise_at_the_ends_of_the_scale_is_cut_off_and_does_not_come_out_at_the_other_end() -> None:
    for depth in TYPES:
        top = np.iinfo(depth).max
        assert with_gaussian_noise(np.full((50, 50), top, depth), KEY, 0.02, True).min() > 0.85 * top
        assert with_gaussian_noise(np.zeros((50, 50), depth), KEY, 0.02, True).max() < 0.15 * top


def test_salt_and_pepper_strike_whole_pixels_as_often_as_they_say() -> None:
    grey = np.full((200, 200, 3), 100, np.uint8)
    made = with_salt_and_pepper(grey, KEY, 0.2, 0.75)
    assert np.array_equal(made[:, :, 0], made[:, :, 1]) and np.array_equal(made[:, :, 0], made[:, :, 2])
    assert abs((made[:, :, 0] == 255).mean() - 0.15) < 0.01 and abs((made[:, :, 0] == 0).mean() - 0.05) < 0.006
    assert set(np.unique(made)) == {0, 100, 255}


def test_every_pixel_can_be_struck() -> None:
    grey = np.full((30, 30), 100, np.uint16)
    assert (with_salt_and_pepper(grey, KEY, 1.0, 1.0) == 65535).all()
    assert not with_salt_and_pepper(grey, KEY, 1.0, 0.0).any()


@pytest.mark.parametrize("iso", [100.0, 1600.0, 6400.0])
@pytest.mark.parametrize("level", [0.3, 0.8])
def test_sensor_noise_has_the_variance_of_photons_and_of_reading(level: float, iso: float) -> None:
    grey = np.full((200, 200), round(level * 65535), np.uint16)
    light = np.square(with_sensor_noise(grey, KEY, iso, 0.5) / 65535.0)
    electrons = FULL_WELL * 100 / iso
    expected = math.sqrt(level**2 / electrons + (READ_NOISE / electrons) ** 2)
    assert abs(light.mean() - level**2) < 5 * expected / 200
    assert abs(light.std() / expected - 1) < 0.02


def test_colour_noise_is_as_much_as_is_asked_for() -> None:
    grey = np.full((150, 150, 3), 30000, np.uint16)
    shared, half, own = (with_sensor_noise(grey, KEY, 1600, share).astype(np.float64) for share in (0.0, 0.5, 1.0))
    assert np.array_equal(shared[:, :, 0], shared[:, :, 1])
    assert abs(np.corrcoef(half[:, :, 0].ravel(), half[:, :, 1].ravel())[0, 1] - 0.5) < 0.03
    assert abs(np.corrcoef(own[:, :, 0].ravel(), own[:, :, 1].ravel())[0, 1]) < 0.03
    # The strength is the same.
    assert abs(own.std() / shared.std() - 1) < 0.02 and abs(half.std() / shared.std() - 1) < 0.02
