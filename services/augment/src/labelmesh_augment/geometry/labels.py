"""Labels of a picture.

Coordinates are pixels, continuous: (0, 0) is the outer corner of the first pixel, (width, height) that of the last; the centre of the
first pixel is (0.5, 0.5). y grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (points, 2), float64: x and y.
Points = NDArray[np.float64]


class Visibility(Enum):
    """Of a keypoint; numbers as in the contract."""

    VISIBLE = 1
    HIDDEN = 2
    OUTSIDE = 3
    ABSENT = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: upper left corner and sides before it is turned by `rotation` degrees clockwise around its centre."""

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0
    oriented: bool = False
    id: str = ""
    label: str = ""
    visible_share: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """An outline in one or several rings, each at least three points, not closed."""

    rings: tuple[Points, ...]
    id: str = ""
    label: str = ""
    visible_share: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A point of interest."""

    x: float
    y: float
    visibility: Visibility = Visibility.VISIBLE
    id: str = ""
    label: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A value for each pixel: (height, width), uint8 or uint16."""

    values: NDArray[Any]
    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a picture."""

    boxes: tuple[Box, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    keypoints: tuple[Keypoint, ...] = ()
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelRules:
    """When boxes and polygons are kept, and which names change places in a mirror."""

    min_visible_share: float = 0.1
    # Square pixels.
    min_area: float = 1.0
    mirror_pairs: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Dropped:
    """A box or polygon that is no longer there."""

    id: str
    label: str
    visible_share: float
