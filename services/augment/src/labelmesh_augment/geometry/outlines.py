"""Closed outlines, many at once, as they move and are cut at a frame.

They lie one after another in a single array, so that the usual case, a few boxes that stay in sight, is a few operations in all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Box, Points
from labelmesh_augment.geometry.motion import Matrix, Motion, border_of, step_forward
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Displace

# Pixels between points of an outline that is about to be bent, and how many points all outlines together may have then.
_BEND_STEP = 4.0
_MAX_BENT_POINTS = 200_000
_NO_POINTS = np.zeros((0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """`points` (n, 2) of all of them, `counts` of each, at least 0; one without points is gone."""

    points: Points
    counts: NDArray[np.intp]

    @staticmethod
    def of(rings: Sequence[Points]) -> Outlines:
        counts = np.array([len(ring) for ring in rings], dtype=np.intp)
        return Outlines(np.concatenate(rings) if rings else _NO_POINTS, counts)

    def __len__(self) -> int:
        return len(self.counts)

    def each(self) -> list[Points]:
        """One array for each."""
        return np.split(self.points, np.cumsum(self.counts)[:-1]) if len(self.counts) else []

    def bounds(self) -> NDArray[np.float64]:
        """(outlines, 4): x0, y0, x1, y1; not a number for those that are gone."""
        result = np.full((len(self.counts), 4), np.nan)
        there = self.counts > 0
        if there.any():
            starts = (np.cumsum(self.counts) - self.counts)[there]
            result[there, :2] = np.minimum.reduceat(self.points, starts)
            result[there, 2:] = np.maximum.reduceat(self.points, starts)
        return result


def corners(boxes: Sequence[Box]) -> Outlines:
    """The four corners of each box, clockwise on a screen from the upper left one before it was turned."""
    points: list[tuple[float, float]] = []
    for box in boxes:
        x0, y0, x1, y1 = box.x, box.y, box.x + box.width, box.y + box.height
        if box.rotation % 360.0 == 0.0:
            points += ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
            continue
        angle = math.radians(box.rotation)
        cosine, sine = math.cos(angle), math.sin(angle)
        middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)):
            dx, dy = x - middle_x, y - middle_y
            points.append((middle_x + cosine * dx - sine * dy, middle_y + sine * dx + cosine * dy))
    return Outlines(np.array(points) if points else _NO_POINTS, np.full(len(boxes), 4, dtype=np.intp))


def area(ring: Points) -> float:
    """What a ring encloses, in square pixels; parts that it runs around the other way count against the rest."""
    if len(ring) < 3:
        return 0.0
    # From its first point on, since far away from the origin the digits would be lost.
    x, y = ring[1:, 0] - ring[0, 0], ring[1:, 1] - ring[0, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


def clipped(ring: Points, size: Size) -> Points:
    """The part of a ring within the frame, in one piece: pieces are joined along the border (Sutherland and Hodgman 1974).

    No points where nothing is left. It never reaches further than the parts that are left.
    """
    return _clipped(ring, (0.0, 0.0), (float(size.width), float(size.height)))


def _clipped(ring: Points, low: tuple[float, float], high: tuple[float, float]) -> Points:
    points: list[tuple[float, float]] = [(x, y) for x, y in ring.tolist()]
    for axis, limit, sign in ((0, low[0], 1.0), (0, high[0], -1.0), (1, low[1], 1.0), (1, high[1], -1.0)):
        if len(points) < 3:
            return _NO_POINTS
        points = _cut(points, axis, limit, sign)
    # Where it ran along the border and back again, it would lead on to where nothing is. A convex one cannot.
    points = _without_spikes(points, low, high) if len(ring) > 4 else points
    return np.array(points) if len(points) >= 3 else _NO_POINTS


def _cut(points: list[tuple[float, float]], axis: int, limit: float, sign: float) -> list[tuple[float, float]]:
    """What is on the side of a straight line that `sign` says."""
    kept: list[tuple[float, float]] = []
    before = points[-1]
    before_in = (before[axis] - limit) * sign >= 0.0
    for point in points:
        point_in = (point[axis] - limit) * sign >= 0.0
        if point_in != before_in:
            share = (limit - before[axis]) / (point[axis] - before[axis])
            other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if point_in:
            kept.append(point)
        before, before_in = point, point_in
    return kept


def _without_spikes(points: list[tuple[float, float]], low: tuple[float, float], high: tuple[float, float]) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for point in points:
        kept.append(point)
        while len(kept) >= 3 and _spike(kept[-3], kept[-2], kept[-1], low, high):
            del kept[-2]
    while len(kept) >= 3:
        if _spike(kept[-2], kept[-1], kept[0], low, high):
            del kept[-1]
        elif _spike(kept[-1], kept[0], kept[1], low, high):
            del kept[0]
        else:
            break
    return kept


def _spike(
    one: tuple[float, float], tip: tuple[float, float], other: tuple[float, float], low: tuple[float, float], high: tuple[float, float]
) -> bool:
    """Whether the way from one to the other turns back at the tip, all along one side of the frame."""
    for axis, along in ((0, 1), (1, 0)):
        if tip[axis] == one[axis] == other[axis] and (tip[axis] == low[axis] or tip[axis] == high[axis]):
            return (tip[along] - one[along]) * (other[along] - tip[along]) <= 0.0
    return False


def moved(outlines: Outlines, motion: Motion) -> tuple[Outlines, NDArray[np.float64]]:
    """The outlines after a motion, cut at its frame, and what share of each one's area is left.

    They lie within the source frame, as those of `moved` and `held` do.
    """
    target = followed(outlines, motion)
    size = motion.size
    over = beyond(target, size)
    shares = np.where(target.counts > 0, 1.0, 0.0)
    if not over.any():
        return target, shares
    rings = target.each()
    before = outlines.each()
    for index in np.flatnonzero(over).tolist():
        ring = clipped(rings[index], size)
        shares[index] = _left(before[index], rings[index], ring, motion)
        rings[index] = ring
    return Outlines.of(rings), shares


def beyond(outlines: Outlines, size: Size) -> NDArray[np.bool_]:
    """Which of them reach out of the frame."""
    points = outlines.points
    # The usual case, in few operations.
    if not len(points) or (points.min() >= 0.0 and points[:, 0].max() <= size.width and points[:, 1].max() <= size.height):
        return np.zeros(len(outlines), dtype=np.bool_)
    bounds = outlines.bounds()
    with np.errstate(invalid="ignore"):
        over: NDArray[np.bool_] = (bounds[:, 0] < 0.0) | (bounds[:, 1] < 0.0) | (bounds[:, 2] > size.width) | (bounds[:, 3] > size.height)
    return over


def followed(outlines: Outlines, motion: Motion) -> Outlines:
    """The outlines after each stage, with as many points as bends need, and without what lies behind a horizon."""
    for number, stage in enumerate(motion.stages):
        if isinstance(stage, Displace):
            outlines = _dense(_nearby(outlines, motion, number))
        elif (stage[2, 0] != 0.0 or stage[2, 1] != 0.0) and len(outlines.points):
            depths = outlines.points @ stage[2, :2] + stage[2, 2]
            horizon = max(float(depths.max()), 0.0) * 1e-4 + 1e-9
            if depths.min() < horizon:
                outlines = Outlines.of([_before(ring, stage, horizon) for ring in outlines.each()])
        outlines = Outlines(step_forward(stage, outlines.points), outlines.counts)
    return outlines


def _nearby(outlines: Outlines, motion: Motion, number: int) -> Outlines:
    """Before a stage, without what lies too far away to be in the last frame: it would need points all along its way."""
    size = motion.size
    bounds = outlines.bounds()
    reach = 3.0 * (size.width + size.height)
    with np.errstate(invalid="ignore"):
        far = (bounds[:, :2] < -reach).any(axis=1) | (bounds[:, 2:] > reach).any(axis=1)
    if not far.any():
        return outlines
    rest = Motion(size, size, motion.stages[number:])
    seen = rest.backward(border_of(size, True))
    low, high = seen.min(axis=0) - 8.0, seen.max(axis=0) + 8.0
    rings = outlines.each()
    for index in np.flatnonzero(far).tolist():
        rings[index] = _clipped(rings[index], (float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
    return Outlines.of(rings)


def _before(ring: Points, matrix: Matrix, horizon: float) -> Points:
    """The part of a ring that is in front of the horizon."""
    if len(ring) == 0:
        return ring
    depths = ring @ matrix[2, :2] + matrix[2, 2] - horizon
    kept: list[Points] = []
    for index in range(len(ring)):
        one, other = float(depths[index - 1]), float(depths[index])
        if (one >= 0.0) != (other >= 0.0):
            kept.append(ring[index - 1] + (ring[index] - ring[index - 1]) * (one / (one - other)))
        if other >= 0.0:
            kept.append(ring[index])
    return np.array(kept) if len(kept) >= 3 else _NO_POINTS


def _left(before: Points, after: Points, cut: Points, motion: Motion) -> float:
    """The share of what was there that is within the frame; measured where it came from, since a perspective stretches what is outside."""
    if len(cut) == 0:
        return 0.0
    whole, rest = (area(after), area(cut)) if motion.affine else (area(before), area(motion.backward(cut)))
    return min(rest / whole, 1.0) if whole > 0.0 else 1.0


def held(outlines: Outlines, size: Size) -> tuple[Outlines, NDArray[np.float64]]:
    """The outlines cut at a frame, and what share of each is left."""
    return moved(outlines, Motion.start(size))


def _dense(outlines: Outlines) -> Outlines:
    """The same outlines with so many points that their sides can be bent."""
    if not len(outlines.points):
        return outlines
    lengths = [np.hypot(*(np.roll(ring, -1, axis=0) - ring).T) for ring in outlines.each()]
    total = float(sum(length.sum() for length in lengths))
    step = max(_BEND_STEP, total / _MAX_BENT_POINTS)
    rings: list[Points] = []
    for ring, length in zip(outlines.each(), lengths, strict=True):
        if len(ring) == 0:
            rings.append(ring)
            continue
        pieces = np.maximum(np.ceil(length / step), 1).astype(np.intp)
        index = np.repeat(np.arange(len(ring)), pieces)
        share = (np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[index]
        following = np.roll(ring, -1, axis=0)
        rings.append(ring[index] + (following[index] - ring[index]) * share[:, None])
    return Outlines.of(rings)
