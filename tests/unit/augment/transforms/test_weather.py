"""Shadows darken, fog takes contrast away with distance, rain falls as it is told."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.clouds import billows, coarse_size, laid_over
from labelmesh_augment.transforms.effects import PixelStep, Tones
from labelmesh_augment.transforms.noise import Stream
from labelmesh_augment.transforms.tones import LUMA
from labelmesh_augment.transforms.weather import bands, leaves, streaks, veil
from numpy.typing import NDArray

from tests.unit.augment.transforms.pixels import KEY, OTHER_KEY, TYPES, acting, apart, changed, drawn_and_changed, random_pixels, white

FOG = {"density": 0.6, "depth": 0.0, "horizon": 0.3, "patches": 0.0, "colour": (200, 220, 240), "key": KEY}
SHADE = {"strength": 0.5, "shape": "bands", "count": 3, "softness": 0.01, "tint": 0.0, "key": KEY}
RAIN = {"amount": 0.5, "length": 0.1, "angle": 0.0, "opacity": 0.5, "haze": 0.0, "key": KEY}


@pytest.mark.parametrize("depth", TYPES)
@pytest.mark.parametrize(("height", "width"), [(90, 130), (3, 2), (5, 400), (700, 1)])
def test_a_cover_is_stretched_evenly_over_the_picture(height: int, width: int, depth: type) -> None:
    colour = random_pixels(height, width, 3, depth=depth)
    cover = np.random.default_rng(3).random((7, 9)).astype(np.float32)
    stretched = cv2.resize(cover, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float64).reshape(height, width, 1)
    target = np.array([240, 220, 200]) * (white(colour) // 255)
    expected = colour + (target - colour.astype(np.float64)) * stretched * [0.2, 0.5, 1.0]
    assert apart(laid_over(colour, cover, (200, 220, 240), (1.0, 0.5, 0.2)), expected) <= (0.52 if depth is np.uint8 else 4)


def test_a_grey_picture_is_covered_by_lumas() -> None:
    grey = random_pixels(20, 20)
    assert (laid_over(grey, np.ones((1, 1), np.float32), (255, 0, 0)) == 76).all()


def test_billows_are_within_bounds_and_their_own_for_each_key() -> None:
    first, second = (billows(Stream(key), Size(80, 60), 4, 3, 4) for key in (KEY, OTHER_KEY))
    assert first.shape == (60, 80) and not np.allclose(first, second)
    assert 0.3 < first.std() < 0.9 and np.abs(first).max() < 2.5


def test_coarse_sizes_keep_the_shape_and_are_never_larger() -> None:
    assert coarse_size(Size(4000, 3000), 400) == Size(400, 300)
    assert coarse_size(Size(30, 20), 400) == Size(30, 20)
    assert coarse_size(Size(30_000, 1), 400) == Size(400, 1)


@pytest.mark.parametrize("depth", TYPES)
def test_even_fog_takes_its_density_of_the_contrast(depth: type) -> None:
    colour = random_pixels(40, 50, 3, depth=depth)
    fog = np.array([240, 220, 200]) * (white(colour) // 255)
    assert apart(changed("fog", colour, **FOG), 0.4 * colour + 0.6 * fog) <= (0.52 if depth is np.uint8 else 2)


def test_fog_over_a_plain_is_thickest_at_the_horizon_and_thins_towards_the_foreground() -> None:
    fog = veil(Size(40, 100), Stream(KEY), 0.7, 1.0, 0.3, 0.0)
    assert np.allclose(fog[:30], 0.7, atol=0.01)
    assert (np.diff(fog[30:, 0]) < 0).all()
    # Koschmieder's law: a tenth of the distance at the lower border has a tenth of the optical depth.
    assert math.isclose(fog[-1, 0], 1 - 0.3**0.1, abs_tol=0.01)


def test_fog_is_uneven_only_if_that_is_asked_for() -> None:
    even, uneven = (veil(Size(60, 60), Stream(KEY), 0.5, 0.0, 0.3, patches) for patches in (0.0, 0.8))
    assert np.ptp(even) < 1e-6 and uneven.std() > 0.05
    assert uneven.min() >= 0 and uneven.max() <= 1


@pytest.mark.parametrize("shape", ["bands", "leaves"])
def test_shadows_take_their_share_of_the_light_and_leave_what_is_lit(shape: str) -> None:
    grey = np.full((200, 300), 40000, np.uint16)
    made = changed("shade", grey, **{**SHADE, "shape": shape}).astype(np.float64)
    assert made.max() == 40000
    # Half of the light is its 2.2th root of the stored value.
    assert math.isclose(made.min() / 40000, 0.5 ** (1 / 2.2), rel_tol=0.01)
    shaded = (made < 35000).mean()
    assert 0.02 < shaded < 0.9


def test_shadows_of_an_open_sky_are_bluish_at_about_the_same_luma() -> None:
    grey = np.full((200, 300, 3), 40000, np.uint16)
    plain, tinted = (changed("shade", grey, **{**SHADE, "tint": tint}).reshape(-1, 3) for tint in (0.0, 1.0))
    darkest = plain[:, 0].argmin()
    blue, green, red = tinted[darkest]
    assert blue > green > red
    assert abs(LUMA @ [red, green, blue] - plain[darkest, 0]) < 0.05 * plain[darkest, 0]


def test_all_of_the_light_taken_is_black() -> None:
    made = changed("shade", np.full((60, 60, 3), 255, np.uint8), **{**SHADE, "strength": 1.0, "count": 12})
    assert made.min() == 0


def test_softer_shadows_have_wider_edges() -> None:
    for shapes in (bands, leaves):
        shades = [shapes(Size(200, 200), Stream(KEY), 2, softness) for softness in (0.005, 0.03, 0.15)]
        edges = [((shade > 0.05) & (shade < 0.95)).mean() for shade in shades]
        assert edges == sorted(edges) and edges[-1] > 2 * edges[0]


def direction(layer: NDArray[Any]) -> float:
    """Of lines, in degrees from upright, above 0 where they come from the right: along them gradients are least."""
    values = cv2.GaussianBlur(layer.astype(np.float64), (0, 0), 2)
    down, across = np.gradient(values)
    xx, yy, xy = (across * across).sum(), (down * down).sum(), (across * down).sum()
    normal = math.degrees(0.5 * math.atan2(2 * xy, xx - yy))
    return (normal + 90) % 180 - 90


@pytest.mark.parametrize("angle", [-40.0, -10.0, 0.0, 25.0])
def test_rain_falls_at_its_angle(angle: float) -> None:
    assert abs(direction(streaks(Size(400, 300), Stream(KEY), 0.5, 0.1, angle)) - angle) < 3


def test_drops_come_from_the_right_above_zero() -> None:
    layer = streaks(Size(300, 300), Stream(KEY), 0.01, 0.4, 45.0).astype(np.float64)
    # Moved along a streak it lies on itself; across, it does not.
    here = layer[10:, 10:-10]
    along, across = (np.sum(here * np.roll(layer, (10, way), axis=(0, 1))[10:, 10:-10]) for way in (-10, 10))
    assert along > 2 * across


def test_more_rain_is_more_drops_and_longer_drops_are_longer() -> None:
    amounts = [streaks(Size(300, 200), Stream(KEY), amount, 0.1, 0.0).mean() for amount in (0.0, 0.1, 0.4, 1.0)]
    assert amounts[0] == 0 and amounts == sorted(amounts) and amounts[-1] > 2 * amounts[1]
    lengths = [streaks(Size(300, 200), Stream(KEY), 0.3, length, 0.0).mean() for length in (0.02, 0.1, 0.3)]
    assert lengths == sorted(lengths)


def test_drops_brighten_what_is_dark_and_haze_is_a_curve_of_its_own() -> None:
    dark = np.full((150, 200, 3), 20, np.uint8)
    made = changed("rain", dark, **RAIN)
    assert (made >= 20).all() and made.max() > 60
    haze, drops = acting("rain", dark, {**RAIN, "haze": 0.4})
    assert isinstance(haze, Tones) and isinstance(drops, PixelStep)
    assert np.allclose(haze.curves[0](np.array([0.0, 0.5, 1.0])), [0.2, 0.5, 0.8])


@pytest.mark.parametrize("name", ["shade", "fog", "rain"])
def test_weather_is_the_same_weather_in_a_larger_picture(name: str) -> None:
    values = {"shade": SHADE, "fog": {**FOG, "patches": 0.5}, "rain": {**RAIN, "length": 0.3, "opacity": 1.0}}[name]
    small = changed(name, np.full((180, 240), 60, np.uint8), **values)
    large: NDArray[Any] = cv2.resize(changed(name, np.full((720, 960), 60, np.uint8), **values), (240, 180), interpolation=cv2.INTER_AREA)
    small, large = (cv2.GaussianBlur(picture.astype(np.float64), (0, 0), 3) for picture in (small, large))
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > (0.8 if name == "rain" else 0.98)


def test_every_draw_of_weather_differs() -> None:
    colour = random_pixels(40, 50, 3)
    for name in ("shade", "fog", "rain"):
        made = [drawn_and_changed(name, colour, number) for number in range(3)]
        assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])
