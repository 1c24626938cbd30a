"""Rectangles around outlines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Points

# A rectangle along the outline's own axis is taken as long as none is smaller by more than this share.
_TIE = 1e-6


def _hull(points: Points) -> Points:
    """The convex hull, in order (Andrew 1979)."""
    ordered = sorted(set(map(tuple, points.tolist())))
    if len(ordered) < 3:
        return np.array(ordered)

    def half(sequence: list[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for x, y in sequence:
            while len(chain) >= 2:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0.0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def smallest_rectangle(points: Points, axis: NDArray[np.float64]) -> tuple[float, float, float, float, float]:
    """The rectangle of least area around points, at any angle: x, y, width and height before it is turned, and degrees clockwise, above
    -180 and up to 180.

    One of its sides lies along the hull (Freeman and Shapira 1975). Of the four ways to say the same rectangle it is the one whose x axis
    is nearest to `axis`, (2,).
    """
    hull = _hull(points)
    sides = np.roll(hull, -1, axis=0) - hull
    own = math.atan2(float(axis[1]), float(axis[0]))
    angles = np.concatenate(([own], np.arctan2(sides[:, 1], sides[:, 0])))
    # Of each, the direction within 45 degrees of the own axis.
    angles = own + (angles - own + math.pi / 4) % (math.pi / 2) - math.pi / 4
    cosines, sines = np.cos(angles), np.sin(angles)
    along = hull @ np.stack((cosines, sines))
    across = hull @ np.stack((-sines, cosines))
    x0, x1, y0, y1 = along.min(axis=0), along.max(axis=0), across.min(axis=0), across.max(axis=0)
    areas = (x1 - x0) * (y1 - y0)
    best = 0 if areas[0] <= areas.min() * (1.0 + _TIE) else int(areas.argmin())
    cosine, sine = float(cosines[best]), float(sines[best])
    middle_along, middle_across = float(x0[best] + x1[best]) / 2, float(y0[best] + y1[best]) / 2
    width, height = float(x1[best] - x0[best]), float(y1[best] - y0[best])
    middle_x, middle_y = cosine * middle_along - sine * middle_across, sine * middle_along + cosine * middle_across
    degrees = math.degrees(float(angles[best])) % 360.0
    rotation = degrees - 360.0 if degrees > 180.0 else degrees
    return middle_x - width / 2, middle_y - height / 2, width, height, 0.0 if abs(rotation) < 1e-9 else rotation
