"""Pixels for tests, and what steps make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Cover, Effect, PixelStep
from numpy.typing import NDArray

from tests.unit.augment.transforms.steps import drawn, scene

KEY = "0123456789abcdef" * 2
OTHER_KEY = "fedcba9876543210" * 2
TYPES = (np.uint8, np.uint16)


def random_pixels(height: int, width: int, *channels: int, depth: type = np.uint8, seed: int = 1) -> NDArray[Any]:
    """Any values, in memory that cannot be written to."""
    values: NDArray[Any] = np.random.default_rng(seed).integers(
        0, np.iinfo(depth).max, (height, width, *channels), dtype=depth, endpoint=True
    )
    values.flags.writeable = False
    return values


def smooth_pixels(height: int, width: int, *channels: int, depth: type = np.uint8) -> NDArray[Any]:
    """Waves over most of the scale, different in each channel."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [
        0.5 + 0.4 * np.sin(x / (7.0 + channel) + channel) * np.cos(y / (9.0 - channel)) for channel in range(channels[0] if channels else 1)
    ]
    values: NDArray[Any] = np.rint(np.stack(waves, axis=-1) * np.iinfo(depth).max).astype(depth)
    values = values if channels else np.ascontiguousarray(values[:, :, 0])
    values.flags.writeable = False
    return values


def kinds_of_pixels(height: int, width: int) -> Iterator[NDArray[Any]]:
    """Grey and colour, 8 and 16 bit."""
    for depth in TYPES:
        yield random_pixels(height, width, depth=depth)
        yield random_pixels(height, width, 3, depth=depth)


def acting(name: str, colour: NDArray[Any], values: Any) -> Sequence[Effect]:
    return CATALOGUE[name].act(values, Size(colour.shape[1], colour.shape[0]), ())


def changed(name: str, colour: NDArray[Any], /, **values: Any) -> NDArray[Any]:
    """By a step with these drawn values. Effects that the pipeline does itself are left out."""
    return after(acting(name, colour, values), colour)


def drawn_and_changed(name: str, colour: NDArray[Any], number: int = 0, /, **settings: Any) -> NDArray[Any]:
    return after(acting(name, colour, drawn(name, scene(colour.shape[1], colour.shape[0]), number, **settings)), colour)


def after(effects: Sequence[Effect], colour: NDArray[Any]) -> NDArray[Any]:
    for effect in effects:
        if isinstance(effect, PixelStep):
            colour = effect.change(colour)
        elif isinstance(effect, Cover):
            colour = effect.paint(colour)
    return colour


def white(colour: NDArray[Any]) -> int:
    return int(np.iinfo(colour.dtype).max)


def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference."""
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())
