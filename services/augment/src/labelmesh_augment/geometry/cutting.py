"""Polygons cut at a frame, and areas that others lie over. Shapely is loaded when the first of them comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Points
from labelmesh_augment.pictures.picture import Size

# A polygon has at most this many pieces after a cut, the largest ones.
MAX_RINGS = 1000
# Square pixels; pieces of less are rounding.
_NOTHING = 1e-6


def _shape(ring: Points) -> Any:
    """The area that a ring encloses, by the even-odd rule where it crosses itself."""
    import shapely

    if len(ring) < 3:
        return shapely.Polygon()
    shape = shapely.Polygon(ring)
    return shape if shape.is_valid else shapely.make_valid(shape)


def ring_area(ring: Points) -> float:
    """Square pixels within a ring, by the even-odd rule where it crosses itself."""
    return float(_shape(ring).area)


def cut(ring: Points, size: Size) -> list[Points]:
    """The pieces of a ring within the frame, each a ring without crossings."""
    import shapely

    window = shapely.box(0.0, 0.0, size.width, size.height)
    return pieces(shapely.intersection(_shape(ring), window))


def pieces(shape: Any) -> list[Points]:
    """The rings around all areas of a shape, the largest first; those with holes are divided so that none has one."""
    import shapely

    found: list[tuple[float, Points]] = []
    waiting = [part for part in shapely.get_parts(shape).tolist() if part.geom_type == "Polygon"]
    waiting += [
        inner
        for part in shapely.get_parts(shape).tolist()
        if part.geom_type.startswith("Multi")
        for inner in part.geoms
        if inner.geom_type == "Polygon"
    ]
    # Each cut takes at least one hole away.
    while waiting and len(found) + len(waiting) <= 200_000:
        part = waiting.pop()
        if part.area < _NOTHING:
            continue
        if not part.interiors:
            found.append((part.area, shapely.get_coordinates(part.exterior)[:-1]))
            continue
        x0, y0, x1, y1 = part.bounds
        left, _, right, _ = part.interiors[0].bounds
        middle = (left + right) / 2
        for side in (shapely.box(x0, y0, middle, y1), shapely.box(middle, y0, x1, y1)):
            waiting += [inner for inner in shapely.get_parts(shapely.intersection(part, side)).tolist() if inner.geom_type == "Polygon"]
    found.sort(key=lambda entry: -entry[0])
    return [ring for _, ring in found[:MAX_RINGS]]


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

    over = shapely.union_all([_shape(cover) for cover in covers])
    shapes = [_shape(ring) for ring in rings]
    whole = np.array([shape.area for shape in shapes])
    hidden = np.array([shapely.intersection(shape, over).area for shape in shapes])
    shares: NDArray[np.float64] = np.where(whole > 0.0, hidden / np.where(whole > 0.0, whole, 1.0), 0.0)
    return shares
