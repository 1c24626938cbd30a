"""Polygons cut at a frame, and areas that others lie over. Shapely is loaded when the first of them comes.

A ring that crosses itself may do so millions of times, and taking it apart would take as long: it is cut as it is, and stays one ring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Points
from labelmesh_augment.geometry.outlines import area, clipped
from labelmesh_augment.pictures.picture import Size

# A polygon has at most this many pieces after a cut, the largest ones.
MAX_RINGS = 1000
# Square pixels; pieces of less are rounding.
_NOTHING = 1e-6
# Lines through a ring that crosses itself, along which it is measured.
_LINES = 256
# Where nothing is.
_BEYOND = 1e12


def _simple(ring: Points) -> Any:
    """The area that a ring encloses; None where it crosses or touches itself."""
    import shapely

    if len(ring) < 3:
        return shapely.Polygon()
    shape = shapely.Polygon(ring)
    return shape if shape.is_valid else None


def ring_area(ring: Points) -> float:
    """Square pixels within a ring; by the even-odd rule, and to within a hundredth or so, where it crosses itself."""
    return _even_odd_area(ring) if _simple(ring) is None else area(ring)


def cut(ring: Points, size: Size) -> list[Points]:
    """The pieces of a ring within the frame, the largest first."""
    import shapely

    shape = _simple(ring)
    if shape is None:
        left = clipped(ring, size)
        return [left] if len(left) else []
    parts = shapely.get_parts(shapely.intersection(shape, shapely.box(0.0, 0.0, size.width, size.height))).tolist()
    found = [
        (part.area, shapely.get_coordinates(part.exterior)[:-1]) for part in parts if part.geom_type == "Polygon" and part.area > _NOTHING
    ]
    found.sort(key=lambda entry: -entry[0])
    return [piece for _, piece in found[:MAX_RINGS]]


def simplified(ring: Points) -> Points:
    """The ring without points that lie less than a twentieth of a pixel beside the line between others (Douglas and Peucker 1973)."""
    import shapely

    if len(ring) < 4:
        return ring
    line = shapely.LineString(np.concatenate((ring, ring[:1])))
    fewer: Points = shapely.get_coordinates(shapely.simplify(line, 0.05, preserve_topology=False))[:-1]
    return fewer if len(fewer) >= 3 else ring


def covered_shares(rings: Sequence[Points], covers: Sequence[Points]) -> NDArray[np.float64]:
    """What share of the area within each ring lies under any of the covers."""
    import shapely

    over = shapely.union_all([shapely.Polygon(cover).buffer(0.0) for cover in covers if len(cover) >= 3])
    shares = np.zeros(len(rings))
    for index, ring in enumerate(rings):
        shape = _simple(ring)
        if shape is None:
            shares[index] = _drawn_share(ring, covers)
        elif shape.area > 0.0:
            shares[index] = min(shapely.intersection(shape, over).area / shape.area, 1.0)
    return shares


def _crossings(ring: Points, lines: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Where level lines cross a ring: x of each crossing, in order; between the first two is inside, and so on. Some may be followed by
    pairs of `_BEYOND`."""
    start, end = ring, np.roll(ring, -1, axis=0)
    if len(ring) <= _LINES:
        # All at once, since most rings are small.
        y = lines[:, None]
        crossing = (start[:, 1] <= y) != (end[:, 1] <= y)
        rise = np.where(start[:, 1] == end[:, 1], 1.0, end[:, 1] - start[:, 1])
        x = np.where(crossing, start[:, 0] + (end[:, 0] - start[:, 0]) * ((y - start[:, 1]) / rise), _BEYOND)
        yield from np.sort(x, axis=1)[:, : len(ring) // 2 * 2]
        return
    for height in lines.tolist():
        through = (start[:, 1] <= height) != (end[:, 1] <= height)
        one, other = start[through], end[through]
        yield np.sort(one[:, 0] + (other[:, 0] - one[:, 0]) * ((height - one[:, 1]) / (other[:, 1] - one[:, 1])))


def _even_odd_area(ring: Points) -> float:
    """Lengths within the ring along level lines, each for its share of the height."""
    low, high = float(ring[:, 1].min()), float(ring[:, 1].max())
    step = (high - low) / _LINES
    crossings = list(_crossings(ring, low + (np.arange(_LINES, dtype=np.float64) + 0.5) * step))
    if len(ring) <= _LINES:
        x = np.array(crossings)
        return float((x[:, 1::2] - x[:, ::2]).sum()) * step
    return float(sum(float((x[1::2] - x[::2]).sum()) for x in crossings)) * step


def _drawn_share(ring: Points, covers: Sequence[Points]) -> float:
    """Of places spread over the ring."""
    low = ring.min(axis=0)
    side = max(float((ring.max(axis=0) - low).max()), 1e-9) / _LINES
    over = np.zeros((_LINES, _LINES), np.uint8)
    for cover in covers:
        if len(cover) >= 3:
            corners = np.clip((cover - low) / side - 0.5, -1e5, 1e5) * 16
            cv2.fillPoly(over, [np.rint(corners).astype(np.int32)], (1,), cv2.LINE_8, 4)
    places = (np.arange(_LINES, dtype=np.float64) + 0.5) * side
    inside = np.array([np.searchsorted(x, low[0] + places) % 2 for x in _crossings(ring, low[1] + places)])
    return float((inside & over).sum()) / max(float(inside.sum()), 1.0)
