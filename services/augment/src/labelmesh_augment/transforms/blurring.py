"""Blur: a lens out of focus, a movement while the shutter is open, and the opposite of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.transforms.strips import STRIP_VALUES

# Pixels: beyond it a smaller picture is blurred by less, which looks the same and takes a fraction of the time.
_WIDE_SIGMA = 8.0
# Weights that OpenCV sums up directly; with larger kernels it goes over Fourier transforms, which take longer for a line.
_DIRECT_SIDE = 9
_SAMPLES_PER_PIXEL = 16


def gaussian_blurred(colour: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Sigma in pixels; 0 gives a copy. The border is mirrored."""
    colour = np.ascontiguousarray(colour)
    if sigma <= 0.0:
        return colour.copy()
    if sigma <= _WIDE_SIGMA:
        return cv2.GaussianBlur(colour, (0, 0), sigma, borderType=cv2.BORDER_REFLECT).reshape(colour.shape)
    return _widely_blurred(colour, sigma)


def sharpened(colour: NDArray[Any], amount: float, radius: float) -> NDArray[Any]:
    """An unsharp mask: `amount` times the difference from the picture blurred by `radius` (sigma, pixels) is added."""
    colour = np.ascontiguousarray(colour)
    if amount <= 0.0:
        return colour.copy()
    blurred = gaussian_blurred(colour, radius)
    return cv2.addWeighted(colour, 1.0 + amount, blurred, -amount, 0.0, dst=blurred).reshape(colour.shape)


def motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """(side, side), side odd, sum 1: how long a point that moves `length` pixels stays over each pixel. 0 degrees is level, 90 upright."""
    reach = math.ceil(length / 2.0)
    kernel = np.zeros((2 * reach + 3, 2 * reach + 3))
    count = max(1, math.ceil(length * _SAMPLES_PER_PIXEL))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    turned = math.radians(angle)
    x, y = along * math.cos(turned) + reach + 1, along * math.sin(turned) + reach + 1
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - across - (x - left)) * np.abs(1 - down - (y - top))
        np.add.at(kernel, (np.clip(top + down, 0, 2 * reach + 2), np.clip(left + across, 0, 2 * reach + 2)), weight / count)
    kernel[kernel < 1e-9] = 0.0
    weights: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return weights


def motion_blurred(colour: NDArray[Any], length: float, angle: float) -> NDArray[Any]:
    """Length in pixels; 0 gives a copy. The border is mirrored."""
    colour = np.ascontiguousarray(colour)
    if length <= 0.0:
        return colour.copy()
    kernel = motion_kernel(length, angle)
    reach = kernel.shape[0] // 2
    pieces = _pieces(kernel)
    if len(pieces) == 1 and colour.dtype == np.uint8:
        top, left, weights = pieces[0]
        anchor = (reach - left, reach - top)
        return cv2.filter2D(colour, -1, weights, anchor=anchor, borderType=cv2.BORDER_REFLECT).reshape(colour.shape)
    depth = cv2.CV_8U if colour.dtype == np.uint8 else cv2.CV_16U
    wide = cv2.copyMakeBorder(colour, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    blurred: NDArray[Any] = np.empty(colour.shape, colour.dtype)
    for rows, columns in _squares(colour, at_least=2 * reach):
        near = wide[rows.start : rows.stop + 2 * reach, columns.start : columns.stop + 2 * reach].astype(np.float32)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        total: NDArray[Any] = np.zeros((height, width, *colour.shape[2:]), np.float32)
        for top, left, weights in pieces:
            down, across = weights.shape
            seen = near[top : top + height + down - 1, left : left + width + across - 1]
            total += cv2.filter2D(seen, cv2.CV_32F, weights, anchor=(0, 0))[:height, :width]
        blurred[rows, columns] = cv2.addWeighted(total, 1.0, total, 0.0, 0.0, dtype=depth).reshape(total.shape)
    return blurred


def _squares(colour: NDArray[Any], at_least: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of parts that stay in a core's cache. What is around each is needed too: not more of that than of the part."""
    side = max(at_least, math.isqrt(STRIP_VALUES * colour.shape[0] * colour.shape[1] // colour.size))
    for top in range(0, colour.shape[0], side):
        for left in range(0, colour.shape[1], side):
            yield slice(top, min(top + side, colour.shape[0])), slice(left, min(left + side, colour.shape[1]))


def _pieces(kernel: NDArray[np.float32]) -> list[tuple[int, int, NDArray[np.float32]]]:
    """The line cut across into parts that are small enough to be summed up directly: where each begins, and its weights."""
    level = np.ptp(np.flatnonzero(kernel.any(axis=0))) >= np.ptp(np.flatnonzero(kernel.any(axis=1)))
    parts = []
    for start in range(0, kernel.shape[0], _DIRECT_SIDE):
        cut = kernel[:, start : start + _DIRECT_SIDE] if level else kernel[start : start + _DIRECT_SIDE]
        rows, columns = np.nonzero(cut)
        if rows.size:
            top, left = int(rows.min()), int(columns.min())
            weights = np.ascontiguousarray(cut[top : rows.max() + 1, left : columns.max() + 1])
            parts.append((top, left + start, weights) if level else (top + start, left, weights))
    return parts


def _widely_blurred(colour: NDArray[Any], sigma: float) -> NDArray[Any]:
    height, width = colour.shape[:2]
    factor = int(sigma / (_WIDE_SIGMA / 2.0))
    small_size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(colour, small_size, interpolation=cv2.INTER_AREA)
    # Averaging over squares, and drawing lines between their centres, has blurred by itself already.
    left = math.sqrt(max(sigma**2 - (factor**2 - 1) / 12.0 - factor**2 / 6.0, 0.0))
    sigma_x, sigma_y = left * small_size[0] / width, left * small_size[1] / height
    blurred = cv2.GaussianBlur(small, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR).reshape(colour.shape)
