"""Something seen through something else: how much of it covers each place, known coarsely, and laid over a picture of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.noise import Stream
from labelmesh_augment.transforms.strips import by_strips
from labelmesh_augment.transforms.tones import LUMA

Shares = NDArray[np.float32]

# Red, green, blue, 0 to 255.
Colour = Sequence[float]


def coarse_size(size: Size, longest: int) -> Size:
    """The same shape with sides of at most `longest` pixels, and no more than it has."""
    scale = min(1.0, longest / max(size.width, size.height))
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def billows(stream: Stream, size: Size, columns: int, rows: int, octaves: int) -> Shares:
    """(height, width), about -1 to 1: random values on a grid of columns x rows, then on ever finer ones with half the weight. K. Perlin's
    fractal sum (1985) over cubic interpolation."""
    total: Shares = np.zeros((size.height, size.width), np.float32)
    weights = 0.0
    for octave in range(octaves):
        weight = 0.5**octave
        grid = stream.values(rows << octave, columns << octave).astype(np.float32) * np.float32(2.0 / 65535.0) - 1.0
        cv2.scaleAdd(_enlarged(grid, size), weight, total, dst=total)
        weights += weight**2
    # Even values have a deviation of 1 / sqrt(3), and those between them less; two deviations of the sum become 1.
    total *= np.float32(1.0 / weights**0.5)
    return total


def _enlarged(grid: Shares, size: Size) -> Shares:
    """(height, width). A single row or column of OpenCV's loses a dimension."""
    enlarged = cv2.resize(grid, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.float32).reshape(size.height, size.width)


def laid_over(colour: NDArray[Any], cover: Shares, towards: Colour, strength: Colour = (1.0, 1.0, 1.0)) -> NDArray[Any]:
    """Every pixel on its way `towards` a colour, as far as `cover` says: coarse, (rows, columns), 0 to 1, stretched over the picture,
    times the channel's `strength`. On grey pictures both are lumas."""
    height, width = colour.shape[:2]
    wide = cv2.resize(cover, (width, cover.shape[0]), interpolation=cv2.INTER_LINEAR).reshape(cover.shape[0], width)
    place = np.clip((np.arange(height) + 0.5) * (cover.shape[0] / height) - 0.5, 0.0, cover.shape[0] - 1.0)
    above = np.minimum(place.astype(int), max(cover.shape[0] - 2, 0))
    below = np.minimum(above + 1, cover.shape[0] - 1)
    share = (place - above).astype(np.float32)[:, np.newaxis]
    channels = (towards[::-1], strength[::-1]) if colour.ndim == 3 else ([float(LUMA @ towards)], [float(LUMA @ strength)])
    target = np.tile(np.asarray(channels[0], np.float32) * (1.0 if colour.dtype == np.uint8 else 257.0), width).astype(np.float32)
    depth = cv2.CV_8U if colour.dtype == np.uint8 else cv2.CV_16U

    def change(part: NDArray[Any], rows: slice) -> NDArray[Any]:
        covered = wide[above[rows]]
        covered += (wide[below[rows]] - covered) * share[rows]
        planes = [covered if factor == 1.0 else covered * np.float32(factor) for factor in channels[1]]
        weight = cv2.merge(planes).reshape(part.shape[0], -1) if len(planes) > 1 else planes[0]
        values = part.reshape(part.shape[0], -1).astype(np.float32)
        way = target - values
        way *= weight
        values += way
        return cv2.addWeighted(values, 1.0, values, 0.0, 0.0, dtype=depth).reshape(part.shape)

    return by_strips(colour, change)
