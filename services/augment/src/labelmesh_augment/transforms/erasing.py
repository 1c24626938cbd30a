"""Areas that are erased, so that a model learns not to rely on one part of what it looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.labels import Points
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Cover, Effect
from labelmesh_augment.transforms.noise import Stream
from labelmesh_augment.transforms.quality import KEY, draw_with_key
from labelmesh_augment.transforms.strips import strips
from labelmesh_augment.transforms.tones import LUMA
from labelmesh_augment.transforms.transform import Draws, Family, Kind, Parameter, Scene, Transform, Values

MAX_HOLES = 32

_COVERED = (
    "Keypoints in erased areas become hidden. Boxes and polygons lose the share of their area that is erased, and are dropped where too"
    " little is left. Masks stay as they are."
)

# Whole pixels: x0, y0, x1, y1.
Area = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Filling:
    """What erased areas show: one `colour` (red, green, blue, 0 to 255), the picture's "mean", or "noise" of a key, even over the scale."""

    kind: str
    colour: tuple[int, int, int]
    key: str

    @classmethod
    def of(cls, drawn: Values) -> Filling:
        red, green, blue = (int(channel) for channel in drawn["colour"])
        return cls(str(drawn["fill"]), (red, green, blue), str(drawn["key"]))

    def value(self, colour: NDArray[Any]) -> NDArray[Any]:
        """What single-coloured areas show: () or (3,), as the picture's pixels are."""
        if self.kind == "mean":
            shown = np.array(cv2.mean(np.ascontiguousarray(colour))[:3])
        else:
            scale = 1.0 if colour.dtype == np.uint8 else 257.0
            shown = np.array(self.colour[::-1] if colour.ndim == 3 else [LUMA @ self.colour]) * scale
        return np.asarray(np.rint(shown if colour.ndim == 3 else shown[0]), colour.dtype)

    def fill(self, colour: NDArray[Any], areas: Sequence[Area]) -> NDArray[Any]:
        """A picture with these areas filled."""
        filled = colour.copy()
        stream, value = Stream(self.key), self.value(colour)
        for x0, y0, x1, y1 in areas:
            area = filled[y0:y1, x0:x1]
            if self.kind != "noise":
                area[...] = value
                continue
            for rows in strips(area):
                area[rows] = _noise(stream, area[rows])
        return filled


def _noise(stream: Stream, part: NDArray[Any]) -> NDArray[Any]:
    numbers = stream.values(*part.shape)
    return (numbers >> 8).astype(np.uint8) if part.dtype == np.uint8 else numbers


def _outline(area: Area) -> Points:
    x0, y0, x1, y1 = area
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def hole(size: Size, x: float, y: float, width: float, height: float) -> Area:
    """A rectangle of these shares of the sides around (x, y), also shares, on whole pixels, at least one each way, cut at the border."""

    def span(centre: float, share: float, side: int) -> tuple[int, int]:
        pixels = max(1, round(share * side))
        start = min(max(math.floor(centre * side - pixels / 2.0 + 0.5), 1 - pixels), side - 1)
        return max(start, 0), min(start + pixels, side)

    (x0, x1), (y0, y1) = span(x, width, size.width), span(y, height, size.height)
    return x0, y0, x1, y1


def _draw_cutout(settings: Values, draws: Draws, scene: Scene) -> Values:
    holes: dict[str, list[float]] = {"x": [], "y": [], "width": [], "height": []}
    for _ in range(draws.integer(int(settings["count"][0]), int(settings["count"][1]))):
        holes["x"].append(draws.uniform(0.0, 1.0))
        holes["y"].append(draws.uniform(0.0, 1.0))
        holes["width"].append(draws.uniform(*settings["width"]))
        holes["height"].append(draws.uniform(*settings["height"]))
    return {**holes, "fill": settings["fill"], "colour": settings["colour"], "key": draws.key()}


def _cutout(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    holes = zip(drawn["x"], drawn["y"], drawn["width"], drawn["height"], strict=True)
    areas = [hole(size, float(x), float(y), float(width), float(height)) for x, y, width, height in holes]
    filling = Filling.of(drawn)
    return (Cover(tuple(_outline(area) for area in areas), lambda colour: filling.fill(colour, areas)),) if areas else ()


def _check_holes(drawn: Values) -> Sequence[tuple[str, str]]:
    count = len(drawn["x"])
    return [
        (name, f"It has to have a value for each hole, as x has: {count}.")
        for name in ("y", "width", "height")
        if len(drawn[name]) != count
    ]


@dataclass(frozen=True, slots=True)
class Grid:
    """Squares of `hole` pixels at every corner of a grid of `unit` pixels, turned by `angle` degrees clockwise around the centre."""

    size: Size
    unit: float
    hole: float
    offset: tuple[float, float]
    angle: float

    @classmethod
    def of(cls, drawn: Values, size: Size) -> Grid:
        """On whole pixels unless it is turned."""
        unit = max(2, round(float(drawn["unit"]) * max(size.width, size.height)))
        offset = (math.floor(float(drawn["offset_x"]) * unit), math.floor(float(drawn["offset_y"]) * unit))
        return cls(size, unit, round(float(drawn["hole"]) * unit), offset, float(drawn["angle"]))

    def areas(self) -> list[Area]:
        """Of a grid that is not turned."""
        across, down = (
            [(max(0, int(start)), min(side, int(start + self.hole))) for start in np.arange(offset - self.unit, side, self.unit)]
            for side, offset in ((self.size.width, self.offset[0]), (self.size.height, self.offset[1]))
        )
        return [(x0, y0, x1, y1) for y0, y1 in down for x0, x1 in across if x0 < x1 and y0 < y1]

    def outlines(self) -> Iterator[Points]:
        """Every square of which something may be seen."""
        if self.angle == 0.0:
            yield from map(_outline, self.areas())
            return
        turn, centre = self._turn()
        reach = math.hypot(self.size.width, self.size.height) / 2.0
        starts = [
            np.arange(offset - self.unit * math.ceil((reach + offset) / self.unit + 1), reach, self.unit)
            for offset in (self.offset[0] - centre[0], self.offset[1] - centre[1])
        ]
        corners = np.stack(np.meshgrid(*starts), axis=-1).reshape(-1, 1, 2)
        square = np.array([(0.0, 0.0), (self.hole, 0.0), (self.hole, self.hole), (0.0, self.hole)])
        squares = (corners + square) @ turn.T + centre
        seen = (squares.max(axis=1) > 0.0) & (squares.min(axis=1) < (self.size.width, self.size.height))
        yield from squares[seen.all(axis=1)]

    def covered(self, rows: slice) -> NDArray[np.bool_]:
        """(rows, width): whose centres lie in a square of the turned grid."""
        turn, centre = self._turn()
        x = np.arange(self.size.width) + 0.5 - centre[0]
        y = np.arange(rows.start, rows.stop)[:, np.newaxis] + 0.5 - centre[1]
        inside = []
        for axis, offset in enumerate(self.offset):
            # Back to the upright grid: the transpose of a turn is its inverse.
            along = (turn[0, axis] * x + turn[1, axis] * y).astype(np.float32) + np.float32(centre[axis] - offset)
            along -= np.floor(along / np.float32(self.unit)) * np.float32(self.unit)
            inside.append(along < self.hole)
        return np.asarray(inside[0] & inside[1])

    def _turn(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        angle = math.radians(self.angle)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return turn, np.array([self.size.width / 2.0, self.size.height / 2.0])


def _draw_grid_mask(settings: Values, draws: Draws, scene: Scene) -> Values:
    drawn = draw_with_key(_GRID_MASK)(settings, draws, scene)
    return {**drawn, "offset_x": draws.uniform(0.0, 1.0), "offset_y": draws.uniform(0.0, 1.0)}


def _grid_mask(drawn: Values, size: Size, further: Sequence[Size]) -> Sequence[Effect]:
    grid, filling = Grid.of(drawn, size), Filling.of(drawn)

    def paint(colour: NDArray[Any]) -> NDArray[Any]:
        if grid.angle == 0.0:
            return filling.fill(colour, grid.areas())
        filled = colour.copy()
        stream, value = Stream(filling.key), filling.value(colour)
        for rows in strips(colour):
            covered = grid.covered(rows)
            filled[rows][covered] = _noise(stream, filled[rows])[covered] if filling.kind == "noise" else value
        return filled

    outlines = tuple(grid.outlines()) if grid.hole > 0 else ()
    return (Cover(outlines, paint),) if outlines else ()


_FILL = (
    Parameter(
        "fill",
        "Filled with",
        '"colour" is the one below, "mean" the mean colour of the picture, "noise" random values.',
        Kind.CHOICE,
        "colour",
        choices=("colour", "mean", "noise"),
    ),
    Parameter(
        "colour", "Colour", "What areas are filled with where that is a colour. Grey pictures take its luma.", Kind.COLOUR, (0, 0, 0)
    ),
)


def _share(name: str, title: str, summary: str, unit: str) -> Parameter:
    return Parameter(name, title, summary, Kind.NUMBER, (0.1, 0.3), 0.01, 1.0, 0.01, unit, ranged=True)


def _of_each_hole(name: str, title: str, summary: str, low: float, unit: str) -> Parameter:
    return Parameter(name, title, summary, Kind.NUMBER, (), low, 1.0, 0.01, unit, many=MAX_HOLES)


_CUTOUT = (
    Parameter("count", "Holes", "How many there are.", Kind.INTEGER, (1, 3), 1, MAX_HOLES, 1, ranged=True),
    _share("width", "Width", "How wide each hole is; drawn for each by itself.", "of the width"),
    _share("height", "Height", "How high each hole is; drawn for each by itself.", "of the height"),
    *_FILL,
)
_GRID_MASK = (
    Parameter(
        "unit",
        "Spacing",
        "How far it is from one square to the next.",
        Kind.NUMBER,
        (0.15, 0.35),
        0.05,
        1.0,
        0.01,
        "of the longer side",
        ranged=True,
    ),
    Parameter(
        "hole",
        "Squares",
        "How long the sides of the squares are: 0 erases nothing, 0.4 erases 16 % of the picture, 0.9 leaves thin lines.",
        Kind.NUMBER,
        (0.3, 0.5),
        0.0,
        0.9,
        0.01,
        "of the spacing",
        ranged=True,
    ),
    Parameter(
        "angle",
        "Turn",
        "How far the grid is turned, clockwise.",
        Kind.NUMBER,
        (0.0, 0.0),
        -45.0,
        45.0,
        1.0,
        "°",
        ranged=True,
    ),
    *_FILL,
)

TRANSFORMS: tuple[Transform, ...] = (
    Transform(
        name="cutout",
        title="Cut-out",
        family=Family.ERASING,
        summary="Erases rectangles at random places. They may stick out over the border, so that no place is erased more often.",
        labels_summary=_COVERED,
        act=_cutout,
        parameters=_CUTOUT,
        source="T. DeVries, G. W. Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017;"
        " Z. Zhong et al., Random Erasing Data Augmentation, AAAI 2020, for rectangles and noise",
        draw=_draw_cutout,
        drawn=(
            _of_each_hole("x", "x", "Centres of the holes.", 0.0, "of the width"),
            _of_each_hole("y", "y", "Centres of the holes.", 0.0, "of the height"),
            _of_each_hole("width", "Widths", "How wide the holes are.", 0.01, "of the width"),
            _of_each_hole("height", "Heights", "How high the holes are.", 0.01, "of the height"),
            *_FILL,
            KEY,
        ),
        check_drawn=_check_holes,
    ),
    Transform(
        name="grid_mask",
        title="Grid mask",
        family=Family.ERASING,
        summary="Erases squares in a regular grid, so that something of every part stays and something of every part goes.",
        labels_summary=_COVERED,
        act=_grid_mask,
        parameters=_GRID_MASK,
        source="P. Chen et al., GridMask Data Augmentation, 2020",
        draw=_draw_grid_mask,
        drawn=(
            *_GRID_MASK,
            KEY,
            Parameter("offset_x", "x", "Where the grid begins.", Kind.NUMBER, 0.0, 0.0, 1.0, 0.01, "of the spacing"),
            Parameter("offset_y", "y", "Where the grid begins.", Kind.NUMBER, 0.0, 0.0, 1.0, 0.01, "of the spacing"),
        ),
    ),
)
