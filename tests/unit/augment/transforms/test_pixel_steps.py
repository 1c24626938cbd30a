"""Promises of every step that changes pixels where they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from labelmesh_augment.transforms import colour, erasing, quality, weather
from labelmesh_augment.transforms.effects import ColourMatrix, Cover, PixelStep, Tones
from labelmesh_augment.transforms.transform import Kind, Parameter, Transform
from numpy.typing import NDArray

from tests.unit.augment.transforms.pixels import acting, after, kinds_of_pixels, random_pixels
from tests.unit.augment.transforms.steps import drawn, scene

TRANSFORMS = [
    pytest.param(transform, id=transform.name) for module in (colour, quality, erasing, weather) for transform in module.TRANSFORMS
]
# OpenCV takes four values in a column for one of four channels, where it can.
SHAPES = ((1, 1), (1, 7), (4, 1), (5, 11))


def ends(parameter: Parameter) -> list[Any]:
    values: list[Any] = []
    match parameter.kind:
        case Kind.NUMBER | Kind.INTEGER:
            values = [parameter.minimum, parameter.maximum]
        case Kind.BOOLEAN:
            values = [False, True]
        case Kind.CHOICE:
            values = list(parameter.choices)
        case Kind.COLOUR:
            values = [(0, 0, 0), (255, 0, 255)]
        case Kind.KEY:
            values = ["0" * 32, "f" * 32]
    return [(value,) * 3 for value in values] if parameter.many else values


def extremes(transform: Transform) -> Iterator[Mapping[str, Any]]:
    """All parameters at their least, at their most, and in other combinations, each choice at least once."""
    parameters = transform.parameters if transform.drawn is None else transform.drawn
    choices = [ends(parameter) for parameter in parameters]
    names = [parameter.name for parameter in parameters]
    # Of 3, so that neighbours change at different times.
    for turn in range(max((len(each) for each in choices), default=1) + 2):
        yield {name: each[(turn + place * (turn // 2)) % len(each)] for place, (name, each) in enumerate(zip(names, choices, strict=True))}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_any_pixels_at_extreme_values_keep_shape_and_type_and_come_out_the_same_twice(transform: Transform) -> None:
    for values, (height, width) in itertools.product(extremes(transform), SHAPES):
        for pixels in kinds_of_pixels(height, width):
            effects = acting(transform.name, pixels, values)
            made = after(effects, pixels)
            assert made.shape == pixels.shape and made.dtype == pixels.dtype
            if width == SHAPES[-1][1]:
                assert np.array_equal(made, after(acting(transform.name, pixels, values), pixels))
            # Pixels cannot be written to: a step that does so raises. What it gives is its own.
            assert made is pixels or not np.shares_memory(made, pixels)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_says_that_it_keeps_greys_does(transform: Transform) -> None:
    grey = random_pixels(23, 31)
    in_colour: NDArray[Any] = np.stack([grey] * 3, axis=2)
    for number in range(3):
        values = drawn(transform.name, scene(31, 23), number)
        for effect in acting(transform.name, grey, values):
            if isinstance(effect, PixelStep) and effect.keeps_gray:
                changed = effect.change(in_colour)
                assert np.array_equal(changed[:, :, 0], changed[:, :, 1]) and np.array_equal(changed[:, :, 0], changed[:, :, 2])
                # And it does not matter which way they are kept.
                assert np.abs(changed[:, :, 0].astype(int) - effect.change(grey)).max() <= 1


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_pixels_in_any_order_in_memory_come_out_the_same(transform: Transform) -> None:
    pixels = random_pixels(12, 10, 3)
    turned = np.asfortranarray(pixels)
    mirrored = np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]
    cut = np.ascontiguousarray(np.pad(pixels, ((2, 1), (3, 4), (0, 0))))[2:-1, 3:-4]
    effects = acting(transform.name, pixels, drawn(transform.name, scene(10, 12)))
    for other in (turned, mirrored, cut):
        assert np.array_equal(after(effects, other), after(effects, pixels))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_no_effect_moves_anything(transform: Transform) -> None:
    for effect in acting(transform.name, random_pixels(8, 8), drawn(transform.name, scene(8, 8))):
        assert isinstance(effect, Tones | ColourMatrix | PixelStep | Cover)


NEUTRAL: list[tuple[str, Mapping[str, Any]]] = [
    ("brightness", {"shift": 0}),
    ("contrast", {"factor": 1}),
    ("saturation", {"factor": 1}),
    ("hue", {"angle": 0}),
    ("gamma", {"gamma": 1}),
    ("solarize", {"threshold": 1}),
    ("colour_jitter", {"brightness": 0, "contrast": 1, "saturation": 1, "hue": 0}),
    ("gaussian_blur", {"sigma": 0}),
    ("motion_blur", {"length": 0}),
    ("sharpen", {"amount": 0}),
    ("gaussian_noise", {"sigma": 0}),
    ("salt_and_pepper", {"amount": 0}),
    ("downscale", {"scale": 1}),
    ("grid_mask", {"hole": 0}),
    ("shade", {"strength": 0}),
    ("fog", {"density": 0}),
    ("rain", {"amount": 0, "haze": 0}),
]


@pytest.mark.parametrize(("name", "settings"), NEUTRAL, ids=[name for name, _ in NEUTRAL])
def test_neutral_settings_do_nothing_at_all(name: str, settings: Mapping[str, Any]) -> None:
    assert not acting(name, random_pixels(6, 6), drawn(name, scene(6, 6), **settings))
