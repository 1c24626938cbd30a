"""Changes of single values: one table for any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.transforms.effects import ColourMatrix, Tones
from labelmesh_augment.transforms.tones import LUMA

# By the largest value; nobody writes into what a curve is given.
_LEVELS = {white: np.linspace(0.0, 1.0, white + 1) for white in (255, 65535)}
for _levels in _LEVELS.values():
    _levels.flags.writeable = False
# The matrix of greyscale.
WITHOUT_COLOURS = ColourMatrix(np.array([[*LUMA, 0.0]] * 3))


def table(changes: Sequence[Tones], white: int, *, gray: bool) -> NDArray[Any]:
    """All of them as one table from value to value: (white + 1,) where all channels share one, else (white + 1, 3) for blue, green, red.

    `gray`: for a frame that stays grey, which takes the mean of three curves. Between steps values are cut off at 0 and 1 and not rounded.
    """
    levels = _LEVELS[white]
    if gray or all(len(change.curves) == 1 for change in changes):
        for change in changes:
            results = [np.clip(curve(levels), 0.0, 1.0) for curve in change.curves]
            levels = results[0] if len(results) == 1 else np.mean(results, axis=0)
        return _rounded(levels, white)
    channels = [levels, levels, levels]
    for change in changes:
        curves = change.curves * 3 if len(change.curves) == 1 else change.curves
        channels = [np.clip(curve(channel), 0.0, 1.0) for curve, channel in zip(curves, channels, strict=True)]
    return np.stack([_rounded(channel, white) for channel in reversed(channels)], axis=1)


def look_up(pixels: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Each value replaced by what the table has for it. A table of three channels makes colour of grey pixels."""
    if pixels.ndim == 2 and values.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    if pixels.dtype == np.uint8:
        looked_up: NDArray[Any] = cv2.LUT(pixels, values if values.ndim == 1 else values[:, np.newaxis, :])
        return looked_up
    if values.ndim == 1:
        found: NDArray[Any] = values[pixels]
        return found
    return np.stack([values[pixels[:, :, channel], channel] for channel in range(3)], axis=2)


def is_grayscale(matrix: NDArray[np.float64]) -> bool:
    """Whether it makes all channels equal."""
    return bool((matrix[0] == matrix[1]).all() and (matrix[0] == matrix[2]).all())


def mix_channels(pixels: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    """The colour matrix on (height, width, 3); (height, width) where it makes all channels equal."""
    if pixels.dtype == np.uint8 and np.array_equal(matrix, WITHOUT_COLOURS.matrix):
        # The same, several times as fast; its weights are rounded to 1/2^14, which 16 bit would show.
        gray: NDArray[Any] = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        return gray
    white = 255 if pixels.dtype == np.uint8 else 65535
    rows = matrix[:1] if is_grayscale(matrix) else matrix[::-1]
    turned = np.concatenate([rows[:, 2::-1], rows[:, 3:] * white], axis=1)
    mixed: NDArray[Any] = cv2.transform(pixels, turned)
    return mixed


def gray_curves(change: ColourMatrix) -> Tones:
    """What a colour matrix does to equal channels."""

    def of(row: NDArray[np.float64]) -> Tones:
        slope, offset = float(row[:3].sum()), float(row[3])
        return Tones((lambda levels: levels * slope + offset,))

    curves = [of(row).curves[0] for row in change.matrix]
    if is_grayscale(change.matrix):
        return Tones((curves[0],))
    return Tones(tuple(curves))


def by_luma(changes: Tones) -> Tones:
    """One curve for a frame that stays grey: the luma of what three make."""
    if len(changes.curves) == 1:
        return changes
    red, green, blue = changes.curves

    def luma(levels: NDArray[np.float64]) -> NDArray[np.float64]:
        channels = [np.clip(curve(levels), 0.0, 1.0) for curve in (red, green, blue)]
        mixed: NDArray[np.float64] = sum(weight * channel for weight, channel in zip(LUMA, channels, strict=True))
        return mixed

    return Tones((luma,))


def _rounded(levels: NDArray[np.float64], white: int) -> NDArray[Any]:
    rounded: NDArray[Any] = np.rint(np.clip(levels, 0.0, 1.0) * white).astype(np.uint8 if white == 255 else np.uint16)
    return rounded
