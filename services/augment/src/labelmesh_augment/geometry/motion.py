"""Movements put together: any number of steps, and still one map between the first frame and the last.

All coordinates here are continuous, as those of labels are (see `geometry.labels`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Points
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Displace, Warp

# (3, 3), float64; the last number is 1 wherever it can be.
Matrix = NDArray[np.float64]
Stage = Matrix | Displace

# Where a point is put that no place in the plane belongs to: behind the horizon of a perspective. Nothing is ever that far away.
FAR = 1e7
# Parts of a pixel that a crop may seem to be overstepped by, since numbers are rounded.
_OVERSTEP = 1e-3
_BEND_TOLERANCE = 1e-3
_MAX_BEND_ROUNDS = 250


def project(matrix: Matrix, points: Points) -> Points:
    """Moves points, (n, 2). Those behind the horizon, where the third row is not above 0, go `FAR` away in their direction."""
    if matrix[2, 0] == 0.0 and matrix[2, 1] == 0.0:
        moved: Points = points @ matrix[:2, :2].T
        moved += matrix[:2, 2]
        return moved
    across = points @ matrix[:2, :2].T + matrix[:2, 2]
    depth = points @ matrix[2, :2] + matrix[2, 2]
    hidden = depth <= 1e-9
    if not hidden.any():
        across /= depth[:, None]
        return across
    length = np.maximum(np.hypot(across[:, 0], across[:, 1]), 1e-300)
    away = across / length[:, None] * FAR
    away[length <= 1e-300] = FAR
    return np.where(hidden[:, None], away, across / np.where(hidden, 1.0, depth)[:, None])


def _project_lattice(matrix: Matrix, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b, shift_x, c, d, shift_y, g, h, i = matrix.ravel().tolist()
    if g == 0.0 and h == 0.0:
        return a * x + b * y + shift_x, c * x + d * y + shift_y
    depth = g * x + h * y + i
    hidden = depth <= 1e-9
    depth[hidden] = 1.0
    across, down = (a * x + b * y + shift_x) / depth, (c * x + d * y + shift_y) / depth
    across[hidden] = down[hidden] = FAR
    return across, down


def _single(places: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        fewer = np.broadcast_to(places, shape).astype(np.float32)
    return np.clip(fewer, -FAR, FAR, out=fewer)


def inverted(matrix: Matrix) -> Matrix:
    """The way back; zeros where there is none, so that everything comes from one place.

    It is the adjugate over the determinant, so its third row stays positive in front of the horizon.
    """
    a, b, c, d, e, f, g, h, i = matrix.ravel().tolist()
    big_a, big_b, big_c = e * i - f * h, f * g - d * i, d * h - e * g
    determinant = a * big_a + b * big_b + c * big_c
    if not math.isfinite(determinant) or abs(determinant) < 1e-280:
        return np.array([[0.0, 0.0, -FAR], [0.0, 0.0, -FAR], [0.0, 0.0, 1.0]])
    rows = [
        [big_a, c * h - b * i, b * f - c * e],
        [big_b, a * i - c * g, c * d - a * f],
        [big_c, b * g - a * h, a * e - b * d],
    ]
    return np.array(rows) / determinant


def _unbent(bend: Displace, points: Points) -> Points:
    """Where a bend takes points: the places q with q + d(q) = p. The slope of d is below 1, so q = p - d(q) closes in on it."""
    places = points
    for _ in range(_MAX_BEND_ROUNDS):
        dx, dy = bend.field(places[:, 0], places[:, 1])
        following = np.column_stack((points[:, 0] - dx, points[:, 1] - dy))
        step = float(np.abs(following - places).max(initial=0.0))
        places = following
        # What is left is at most the last step times 0.9 / (1 - 0.9).
        if step < _BEND_TOLERANCE:
            break
    return places


def step_forward(stage: Stage, points: Points) -> Points:
    """Where one stage takes points; no further than a thousand times `FAR`."""
    if isinstance(stage, Displace):
        return _unbent(stage, points)
    places = project(stage, points)
    # The sum is finite where every number is, and not worth a look at each otherwise.
    if not abs(float(places.sum())) < FAR:
        places = np.clip(np.nan_to_num(places, nan=FAR), -1000.0 * FAR, 1000.0 * FAR)
    return places


def border_of(size: Size, bent: bool) -> Points:
    """Points around a frame, in order; corners alone where its sides stay straight."""
    if not bent:
        return np.array([[0.0, 0.0], [size.width, 0.0], [size.width, size.height], [0.0, size.height]])
    across = np.linspace(0.0, 1.0, min(max(size.width // 4, 2), 512), endpoint=False)
    down = np.linspace(0.0, 1.0, min(max(size.height // 4, 2), 512), endpoint=False)
    zero, one = np.zeros_like(across), np.ones_like(across)
    sides = [
        np.column_stack((across, zero)),
        np.column_stack((np.ones_like(down), down)),
        np.column_stack((1.0 - across, one)),
        np.column_stack((np.zeros_like(down), 1.0 - down)),
    ]
    around: Points = np.concatenate(sides) * (size.width, size.height)
    return around


def _inside(points: Points, size: Size) -> bool:
    return bool(
        (points >= -_OVERSTEP).all() and (points[:, 0] <= size.width + _OVERSTEP).all() and (points[:, 1] <= size.height + _OVERSTEP).all()
    )


@dataclass(frozen=True, eq=False)
class Motion:
    """A map from the frame of `source_size` to that of `size`; `stages` are done in order, and neighbouring matrices are one.

    What one step moves out of sight another may bring back. Only a `Warp` that cuts has an edge: before a step that would show what it cut
    away (`shows_beyond_cut`) the frame has to be made, and a new motion started.
    """

    source_size: Size
    size: Size
    stages: tuple[Stage, ...] = ()
    # From the newest cut on; it starts in the window that the cut left.
    since_cut: Motion | None = None

    @staticmethod
    def start(size: Size) -> Motion:
        """Nothing moves yet."""
        return Motion(size, size)

    def then(self, step: Warp | Displace) -> Motion:
        """This motion and another step."""
        cut = self.since_cut._with(step) if self.since_cut is not None else None
        whole = self._with(step)
        if isinstance(step, Warp) and step.cuts and not (cut or whole)._keeps_all():
            cut = Motion.start(step.size)
        return Motion(whole.source_size, whole.size, whole.stages, cut)

    def shows_beyond_cut(self, step: Warp | Displace) -> bool:
        """Whether a further step would show something that an earlier one cut away."""
        if self.since_cut is None:
            return False
        further = self.since_cut._with(step)
        return not _inside(further.backward(border_of(further.size, further.bent)), further.source_size)

    @property
    def bent(self) -> bool:
        """Whether straight lines may become curves."""
        return any(isinstance(stage, Displace) for stage in self.stages)

    @property
    def matrix(self) -> Matrix | None:
        """The whole motion as one matrix; None where something is bent."""
        if not self.stages:
            return np.eye(3)
        first = self.stages[0]
        return first if len(self.stages) == 1 and not isinstance(first, Displace) else None

    @property
    def affine(self) -> bool:
        """Whether parallels stay parallel."""
        matrix = self.matrix
        return matrix is not None and matrix[2, 0] == 0.0 and matrix[2, 1] == 0.0

    @property
    def is_identity(self) -> bool:
        """Whether every pixel stays what and where it is."""
        if self.size != self.source_size:
            return False
        if not self.stages:
            return True
        matrix = self.matrix
        if matrix is None:
            return False
        # The upper left corner alone mostly tells.
        x, y, depth = matrix[:, 2].tolist()
        if depth > 1e-9 and (abs(x) >= 1e-4 * depth or abs(y) >= 1e-4 * depth):
            return False
        border = border_of(self.size, False)
        return bool(np.abs(project(matrix, border) - border).max() < 1e-4)

    @cached_property
    def mirrored(self) -> bool:
        """Whether left and right changed places."""
        odd = [float(np.linalg.det(stage)) < 0.0 for stage in self.stages if not isinstance(stage, Displace)]
        return sum(odd) % 2 == 1

    def forward(self, points: Points) -> Points:
        """Where points of the source frame go, (n, 2); to within 0.01 pixels where something is bent, else exactly."""
        places = points
        for stage in self.stages:
            places = step_forward(stage, places)
        return places

    def backward(self, points: Points) -> Points:
        """Where points of the last frame come from, (n, 2)."""
        places = points
        for stage, inverse in zip(reversed(self.stages), self.inverses, strict=True):
            if isinstance(stage, Displace):
                dx, dy = stage.field(places[:, 0], places[:, 1])
                places = np.column_stack((places[:, 0] + dx, places[:, 1] + dy))
            else:
                places = project(inverse, places)
        return places

    def centres_of(self, left: int, top: int, right: int, bottom: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where the centres of pixels in a part of the last frame come from: x and y, (bottom - top, right - left) each."""
        # A row and a column, until a bend or a perspective needs both of every pixel.
        x: NDArray[np.float64] = np.arange(left, right, dtype=np.float64)[None, :] + 0.5
        y: NDArray[np.float64] = np.arange(top, bottom, dtype=np.float64)[:, None] + 0.5
        for stage, inverse in zip(reversed(self.stages), self.inverses, strict=True):
            if isinstance(stage, Displace):
                x, y = np.broadcast_arrays(x, y)
                dx, dy = stage.field(x, y)
                x, y = x + dx, y + dy
            else:
                x, y = _project_lattice(inverse, x, y)
        shape = (bottom - top, right - left)
        return _single(x, shape), _single(y, shape)

    @cached_property
    def centres(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`centres_of` the whole frame, kept: a picture may have many frames."""
        return self.centres_of(0, 0, self.size.width, self.size.height)

    @cached_property
    def inverses(self) -> tuple[Any, ...]:
        """Of the matrices, last stage first; None for bends."""
        return tuple(None if isinstance(stage, Displace) else inverted(stage) for stage in reversed(self.stages))

    def _with(self, step: Warp | Displace) -> Motion:
        if isinstance(step, Displace):
            return Motion(self.source_size, self.size, (*self.stages, step))
        matrix = np.asarray(step.matrix, dtype=np.float64)
        if self.stages and not isinstance(self.stages[-1], Displace):
            return Motion(self.source_size, step.size, (*self.stages[:-1], _scaled(matrix @ self.stages[-1])))
        return Motion(self.source_size, step.size, (*self.stages, _scaled(matrix)))

    def _keeps_all(self) -> bool:
        """Whether the whole source frame is still in sight."""
        return _inside(self.forward(border_of(self.source_size, self.bent)), self.size)


def _scaled(matrix: Matrix) -> Matrix:
    """The same map with 1 as its last number, where it is above 0."""
    last = float(matrix[2, 2])
    return matrix if last == 1.0 or not 1e-12 < last < 1e12 else matrix / last
