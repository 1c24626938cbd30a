"""Pixels moved by a motion, once.

Between pixels, values are interpolated bilinearly from the four nearest centres. Where flips, quarter turns and whole pixels are enough, nothing is
interpolated at all; where a motion shrinks, pixels are averaged over areas first, so that nothing aliases.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.aligned import align, carry_out
from labelmesh_augment.geometry.motion import Matrix, Motion
from labelmesh_augment.pictures.picture import Frame
from labelmesh_augment.pipelines.pipeline import Fill, FillKind

# Shrinking by more than this along one side is prepared by averaging.
_SHRINK = 2.0

_BORDERS = {FillKind.COLOUR: cv2.BORDER_CONSTANT, FillKind.EDGE: cv2.BORDER_REPLICATE, FillKind.MIRROR: cv2.BORDER_REFLECT}


def warp(frame: Frame, motion: Motion, fill: Fill) -> Frame:
    """The frame after the motion. What comes in from outside is `fill`; of no colour, it is black, and transparent where there is an alpha.

    The frame has the motion's `source_size`. Where nothing changes the same arrays come back.
    """
    if motion.is_identity:
        return frame
    border = _BORDERS[fill.kind]
    colour = _move(frame.colour, motion, border, _fill_value(frame, fill))
    opaque = 0 if fill.colour is None else frame.white
    return frame.with_pixels(colour, None if frame.alpha is None else _move(frame.alpha, motion, border, opaque))


def warp_mask(values: NDArray[Any], motion: Motion) -> NDArray[Any]:
    """The values after the motion, each that of the nearest pixel; outside is 0."""
    if motion.is_identity:
        return values
    return _move(values, motion, cv2.BORDER_CONSTANT, 0, nearest=True)


def _fill_value(frame: Frame, fill: Fill) -> Any:
    red, green, blue = fill.colour or (0, 0, 0)
    step = frame.white // 255
    if frame.gray:
        return round((0.299 * red + 0.587 * green + 0.114 * blue) * step)
    return (blue * step, green * step, red * step)


def _centred(matrix: Matrix) -> Matrix:
    """For OpenCV, where whole numbers are the centres of pixels, and not their corners."""
    a, b, x, c, d, y, g, h, i = matrix.ravel().tolist()
    # T(-1/2) M T(1/2)
    w = i + 0.5 * (g + h)
    return np.array(
        [
            [a - 0.5 * g, b - 0.5 * h, x + 0.5 * (a + b) - 0.5 * w],
            [c - 0.5 * g, d - 0.5 * h, y + 0.5 * (c + d) - 0.5 * w],
            [g, h, w],
        ]
    )


def _move(pixels: NDArray[Any], motion: Motion, border: int, value: Any, *, nearest: bool = False) -> NDArray[Any]:
    matrix = motion.matrix
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    size = motion.size
    if matrix is not None:
        alignment = align(matrix, motion.source_size, size)
        if alignment is not None:
            done = carry_out(pixels, alignment, border, value, nearest=nearest)
            if done is not None:
                return done
        if matrix[2, 0] == 0.0 and matrix[2, 1] == 0.0:
            return cv2.warpAffine(
                pixels, _centred(matrix)[:2], (size.width, size.height), flags=method, borderMode=border, borderValue=value
            )
        return cv2.warpPerspective(pixels, _centred(matrix), (size.width, size.height), flags=method, borderMode=border, borderValue=value)
    x, y = np.meshgrid(np.arange(size.width) + 0.5, np.arange(size.height) + 0.5)
    places = motion.backward(np.column_stack((x.ravel(), y.ravel()))).astype(np.float32) - np.float32(0.5)
    maps = places.reshape(size.height, size.width, 2)
    return cv2.remap(pixels, maps, None, method, borderMode=border, borderValue=value)
