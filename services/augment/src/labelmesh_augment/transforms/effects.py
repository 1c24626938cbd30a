"""What steps do, as values: the pipeline puts neighbours together before a pixel is touched.

Every effect is made from drawn parameters and the size of the frame alone, so it is the same wherever it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Points
from labelmesh_augment.pictures.picture import Size

# float64, values 0 to 1 in and out, any shape.
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
# (height, width) or (height, width, 3) BGR, uint8 or uint16, to the same shape and type. It must not write into what it is given.
PixelChange = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """A projective movement. `matrix` (3x3) takes continuous coordinates of the frame before to those of the frame after, which has `size`.

    Its third row times (x, y, 1) must be above 0 everywhere in the frame before. `cuts`: what is outside of the new frame is gone for good.
    """

    matrix: NDArray[np.float64]
    size: Size
    cuts: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Displace:
    """A bend that keeps the frame. `field(x, y)` takes arrays of continuous coordinates of the frame after, and gives arrays dx, dy: what
    is at (x, y) after was at (x + dx, y + dy) before. It is smooth, and its slope stays below 0.9, so that it can be turned round."""

    field: Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, slots=True, eq=False)
class Tones:
    """Each value of a channel becomes another, wherever it is: one curve for all channels, or three for red, green, blue.

    A grey frame takes the single curve; of three, the mean of the results. `line` says the slope and offset of a single curve that is a
    straight line before it is cut off at 0 and 1: neighbours of that kind are put together and cut off once.
    """

    curves: tuple[Curve, ...]
    line: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ColourMatrix:
    """(3, 4): red, green, blue, each 0 to 1, and 1, to red, green, blue, cut off at 0 and 1.

    On a grey frame all three rows act on equal channels; where the results differ from one another, it stays grey by their luma."""

    matrix: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PixelStep:
    """Any other change of colours that moves nothing. It sees colour only, alpha stays. `keeps_gray`: equal channels stay equal."""

    change: PixelChange
    keeps_gray: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """Areas that are erased: convex outlines in continuous coordinates, and what they are filled with by `paint`, which gets the pixels and
    gives them back with the areas filled. Keypoints under them become hidden, boxes and polygons lose visible share."""

    outlines: tuple[Points, ...]
    paint: PixelChange


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A picture's part in a mix. `source` 0 is the picture itself, 1 the first of the further ones ... `matrix` takes its coordinates to
    those of the result; it shows within the rectangle `region` (x0, y0, x1, y1), whole pixels, with `weight` 0 to 1."""

    source: int
    matrix: NDArray[np.float64]
    region: tuple[int, int, int, int]
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """Several pictures put together in a frame of `size`. Layers of weight 1 lie over those before them; those of less are blended."""

    layers: tuple[Layer, ...]
    size: Size


Effect = Warp | Displace | Tones | ColourMatrix | PixelStep | Cover | Mix
