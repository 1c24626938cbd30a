"""Bends: elastic distortion, and the barrel and pincushion distortion of lenses. The frame keeps its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.pipelines.random import noise
from labelmesh_augment.transforms.effects import Displace, Effect
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Values, draw_number

Numbers = NDArray[np.float64]

# The steepest slope of a displacement, at strength 1. Below 1 nothing folds; contract of `Displace`: below 0.9.
STEEPEST = 0.8
# Of the term with the radius cubed. Its slope along the radius is three times this.
MAX_CURVATURE = 0.28

# Per square, where slopes are looked at. They are piecewise polynomials of the squares, which differ from their values there by less than
# 0.03 of the largest difference between control points, and that is about three times the steepest slope: 0.8 is 0.87 at most.
_SAMPLES = 6
# Points at a time, so that what is in between stays in the processor's cache.
_BLOCK = 8192


class Grid:
    """A displacement in pixels: uniform cubic B-splines over control points on squares of `side` pixels.

    `control` is (2, rows, columns): along x and along y. The first row and column lie one square outside of the frame. Where squares do not
    have all their control points any more the displacement goes on as at the edge. C. de Boor, "A Practical Guide to Splines" (1978).
    """

    def __init__(self, control: NDArray[np.float64], side: float) -> None:
        self._control = control
        self._side = side

    @property
    def steepest(self) -> float:
        """Its slope in the direction and at the place where it is steepest: the largest singular value of the partial derivatives."""
        _, rows, columns = self._control.shape
        x, y = (np.arange((count - 3) * _SAMPLES + 1) / _SAMPLES for count in (columns, rows))
        across, down = _weights(x, columns, _basis), _weights(y, rows, _basis)
        by_x = down @ self._control @ _weights(x, columns, _slopes).T
        by_y = _weights(y, rows, _slopes) @ self._control @ across.T
        squares = (by_x**2 + by_y**2).sum(axis=0)
        folded = by_x[0] * by_y[1] - by_x[1] * by_y[0]
        largest = (squares + np.sqrt(np.maximum(squares**2 - 4 * folded**2, 0.0))) / 2
        return math.sqrt(float(largest.max())) / self._side

    def scaled(self, factor: float) -> Grid:
        return Grid(self._control * factor, self._side)

    def at(self, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
        """Displacement at points, arrays of one shape."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        _, rows, columns = self._control.shape
        if _upright(x, y):
            # All points of a lattice: the weights of rows and columns by themselves.
            across, down = _weights(x[0] / self._side, columns, _basis), _weights(y[:, 0] / self._side, rows, _basis)
            return down @ self._control[0] @ across.T, down @ self._control[1] @ across.T
        dx, dy = np.empty(x.size), np.empty(x.size)
        flat_x, flat_y = x.reshape(-1), y.reshape(-1)
        for start in range(0, x.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            bent = self._at(flat_x[block], flat_y[block])
            dx[block], dy[block] = bent.real, bent.imag
        return dx.reshape(x.shape), dy.reshape(x.shape)

    def _at(self, x: Numbers, y: Numbers) -> NDArray[np.complex128]:
        """Both displacements of each point as one number."""
        _, rows, columns = self._control.shape
        column, along = _place(x / self._side, columns)
        row, below = _place(y / self._side, rows)
        first = row * columns + column
        control = (self._control[0] + 1j * self._control[1]).reshape(-1)
        weights_x = _basis(along)
        bent = np.zeros(len(x), dtype=np.complex128)
        for i, weight_y in enumerate(_basis(below)):
            line = np.zeros_like(bent)
            for j, weight_x in enumerate(weights_x):
                line += weight_x * control[first + (i * columns + j)]
            bent += weight_y * line
        return bent


def _upright(x: Numbers, y: Numbers) -> bool:
    return x.ndim == 2 and x.size > 1 and bool((x == x[:1]).all() and (y == y[:, :1]).all())


def _place(position: Numbers, count: int) -> tuple[NDArray[np.int64], Numbers]:
    """Which control point is the first of the four that weigh at a position in squares, and how far it is along the square (0 to 1)."""
    inside = np.clip(position, 0.0, count - 3.0)
    first = np.minimum(inside.astype(np.int64), count - 4)
    return first, inside - first


def _basis(along: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Of the uniform cubic B-spline; they add up to 1."""
    rest = 1 - along
    return (
        rest**3 / 6,
        (3 * along**3 - 6 * along**2 + 4) / 6,
        (3 * rest**3 - 6 * rest**2 + 4) / 6,
        along**3 / 6,
    )


def _slopes(along: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Derivatives of `_basis`, per square."""
    rest = 1 - along
    return (-(rest**2) / 2, (3 * along**2 - 4 * along) / 2, (4 * rest - 3 * rest**2) / 2, along**2 / 2)


def _weights(position: Numbers, count: int, of: Callable[[Numbers], tuple[Numbers, ...]]) -> NDArray[np.float64]:
    """(positions, count): how much each control point weighs at each position."""
    first, along = _place(position, count)
    weights = np.zeros((len(position), count))
    for offset, weight in enumerate(of(along)):
        weights[np.arange(len(position)), first + offset] = weight
    return weights


def elastic_grid(key: str, cells: int, strength: float, size: Size) -> Grid:
    """Random control points, as far apart as the longer side has `cells`, scaled so that the slope is at most `strength` times STEEPEST."""
    side = max(size.width, size.height) / cells
    # Four control points weigh on each square.
    rows, columns = math.ceil(size.height / side - 1e-9) + 3, math.ceil(size.width / side - 1e-9) + 3
    control = noise(key).random((2, rows, columns)) * 2 - 1
    # What they have in common would only shift the picture.
    grid = Grid(control - control.mean(axis=(1, 2), keepdims=True), side)
    return grid.scaled(strength * STEEPEST / max(grid.steepest, 1e-9))


def _draw_elastic(settings: Values, draws: Draws, scene: Scene) -> Values:
    return {
        "strength": draw_number(_STRENGTH, settings["strength"], draws),
        "cells": draws.integer(int(settings["cells"][0]), int(settings["cells"][1])),
        "key": draws.key(),
    }


def _elastic(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    strength = float(drawn["strength"])
    if strength == 0:
        return ()
    return (Displace(elastic_grid(str(drawn["key"]), int(drawn["cells"]), strength, size).at),)


def _optical_distortion(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    curvature = float(drawn["k1"])
    if curvature == 0:
        return ()
    centre_x, centre_y = size.width / 2, size.height / 2
    corner = centre_x**2 + centre_y**2

    def field(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
        right, down = x - centre_x, y - centre_y
        # Farther out than the corners it goes on in proportion, so that it stays as steep at most.
        bend = curvature * np.minimum((right * right + down * down) / corner, 1.0)
        return right * bend, down * bend

    return (Displace(field),)


_BENT = (
    "Outlines of boxes and polygons bend with the picture: a box becomes the smallest rectangle around its bent outline, polygons get "
    "points between their corners. Keypoints move along. Masks move without mixing values."
)

_STRENGTH = Parameter(
    "strength",
    "Strength",
    "How steep the bends are: 1 is the most at which the picture is nowhere folded over.",
    Kind.NUMBER,
    default=(0.2, 0.6),
    minimum=0,
    maximum=1,
    step=0.01,
    unit="of the strongest",
    ranged=True,
)

_CELLS = Parameter(
    "cells",
    "Cells",
    "How many bends there are along the longer side: few make long waves that move far, many make small ripples.",
    Kind.INTEGER,
    default=(4, 8),
    minimum=2,
    maximum=32,
    step=1,
    unit="cells along the longer side",
    ranged=True,
)

ELASTIC = Transform(
    name="elastic",
    title="Elastic",
    family=Family.DISTORTION,
    summary="Bends the picture like a rubber sheet: neighbouring parts move about alike, parts that are far from each other do not.",
    labels_summary=_BENT,
    act=_elastic,
    parameters=(_STRENGTH, _CELLS),
    source="Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, ICDAR 2003, section 2; here on a coarse grid "
    "with cubic B-splines between",
    draw=_draw_elastic,
    drawn=(
        replace(_STRENGTH, ranged=False, default=0.0),
        replace(_CELLS, ranged=False, default=2),
        Parameter("key", "Key", "What the bends are made out of.", Kind.KEY, default="0" * 32),
    ),
)

OPTICAL_DISTORTION = Transform(
    name="optical_distortion",
    title="Lens distortion",
    family=Family.DISTORTION,
    summary="Bends straight lines as lenses do: above 0 outwards (barrel, as wide-angle lenses do), below 0 inwards (pincushion, as "
    "telephoto lenses do).",
    labels_summary=_BENT,
    act=_optical_distortion,
    parameters=(
        Parameter(
            "k1",
            "Curvature",
            "How much farther from the middle a corner's pixels are taken, as a share of its distance; elsewhere with the cube of the "
            "distance.",
            Kind.NUMBER,
            default=(-0.15, 0.15),
            minimum=-MAX_CURVATURE,
            maximum=MAX_CURVATURE,
            step=0.01,
            unit="of half the diagonal",
            ranged=True,
        ),
    ),
    source="Brown, Decentering Distortion of Lenses, Photogrammetric Engineering 32(3), 1966: the first radial term",
)

TRANSFORMS = (ELASTIC, OPTICAL_DISTORTION)
