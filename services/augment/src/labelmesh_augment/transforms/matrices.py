"""Movements as matrices: (3, 3) float64, continuous coordinates before to those after. Angles are degrees, clockwise on the screen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size

Matrix = NDArray[np.float64]

# Of the sides. Below a quarter, corners that move both ways always span a convex quadrangle (see `tilt`).
MAX_TILT = 0.2


def matrix(rows: Sequence[Sequence[float]]) -> Matrix:
    """3x3, float64."""
    return np.array(rows, dtype=np.float64)


def shift(x: float, y: float) -> Matrix:
    """By pixels, to the right and down."""
    return matrix([[1, 0, x], [0, 1, y], [0, 0, 1]])


def scaling(x: float, y: float) -> Matrix:
    """By factors, from the upper left corner."""
    return matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]])


def turn(degrees: float) -> Matrix:
    """Clockwise around (0, 0); exact for quarter turns."""
    quarters = degrees / 90
    if quarters == round(quarters):
        sine, cosine = ((0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0))[round(quarters) % 4]
    else:
        sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return matrix([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def slant(x: float, y: float) -> Matrix:
    """Degrees: along x, then along y. Its area is 1 whatever the angles are, so it never folds flat."""
    along_x = matrix([[1, math.tan(math.radians(x)), 0], [0, 1, 0], [0, 0, 1]])
    along_y = matrix([[1, 0, 0], [math.tan(math.radians(y)), 1, 0], [0, 0, 1]])
    return along_y @ along_x


def about_centre(movement: Matrix, size: Size, after: Size | None = None) -> Matrix:
    """The movement around the middle of the frame, which comes to the middle of the frame after."""
    after = after or size
    return shift(after.width / 2, after.height / 2) @ movement @ shift(-size.width / 2, -size.height / 2)


def tilt(offsets: Sequence[tuple[float, float]], size: Size) -> Matrix:
    """The projective movement that moves the corners of the frame, clockwise from the upper left, by `offsets`: shares of width and height,
    each from -MAX_TILT to MAX_TILT.

    The corners stay convex: seen in sides, with offsets up to e a corner is at most 2e along the diagonal, and the line through its
    neighbours at least 1 - 2e, so e must be below 1/4. Then the third row is positive all over the frame. P. Heckbert, "Fundamentals of
    Texture Mapping and Image Warping" (1989).
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        (cx + dx, cy + dy) for (cx, cy), (dx, dy) in zip(((0, 0), (1, 0), (1, 1), (0, 1)), offsets, strict=True)
    )
    sum_x, sum_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    ax, ay, bx, by = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    area = ax * by - bx * ay
    g, h = (sum_x * by - bx * sum_y) / area, (ax * sum_y - sum_x * ay) / area
    square = matrix([[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, 1]])
    return scaling(size.width, size.height) @ square @ scaling(1 / size.width, 1 / size.height)
