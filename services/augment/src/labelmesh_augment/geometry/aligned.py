"""Movements that keep pixels whole: flips, quarter turns, crops, pads and plain changes of size, done without a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.motion import Matrix
from labelmesh_augment.pictures.picture import Size

# How far from a whole number a border may lie, in pixels.
_CLOSE = 1e-3


@dataclass(frozen=True, slots=True)
class Alignment:
    """The part (x0, y0, x1, y1) of the source is turned, brought to the size of `place`, a part of the result, and put there."""

    part: tuple[int, int, int, int]
    turn: Callable[[NDArray[Any]], NDArray[Any]] | None
    place: tuple[int, int, int, int]
    size: Size
    # Whether pixels stay what they are.
    exact: bool


def _turned_left(pixels: NDArray[Any]) -> NDArray[Any]:
    return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)


def _turned_right(pixels: NDArray[Any]) -> NDArray[Any]:
    return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)


def _transposed(pixels: NDArray[Any]) -> NDArray[Any]:
    return cv2.transpose(pixels)


def _transposed_across(pixels: NDArray[Any]) -> NDArray[Any]:
    return cv2.flip(cv2.transpose(pixels), -1)


def _flipped(code: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda pixels: cv2.flip(pixels, code)


# By whether x and y change places, and the signs of the new x and y.
_TURNS: dict[tuple[bool, bool, bool], Callable[[NDArray[Any]], NDArray[Any]] | None] = {
    (False, False, False): None,
    (False, True, False): _flipped(1),
    (False, False, True): _flipped(0),
    (False, True, True): _flipped(-1),
    (True, False, False): _transposed,
    # x' = -y, y' = x: clockwise on a screen.
    (True, True, False): _turned_right,
    (True, False, True): _turned_left,
    (True, True, True): _transposed_across,
}


def _whole(value: float) -> int | None:
    nearest = round(value)
    return nearest if abs(value - nearest) < _CLOSE else None


def _range(scale: float, offset: float, length: int, room: int) -> tuple[int, int, int, int] | None:
    """Along one axis of the result: (first, last) in the source and (first, last) in the result, where all four are whole numbers."""
    one, other = offset, offset + scale * length
    low, high = max(min(one, other), 0.0), min(max(one, other), float(room))
    if high - low < 1.0 - _CLOSE:
        return None
    start, stop = _whole(low), _whole(high)
    begin, end = (low - offset) / scale, (high - offset) / scale
    first, last = _whole(min(begin, end)), _whole(max(begin, end))
    if start is None or stop is None or first is None or last is None or last <= first:
        return None
    return first, last, start, stop


def align(matrix: Matrix, source: Size, size: Size) -> Alignment | None:
    """How the motion can be done with whole pixels; None where it cannot, or where nothing of the source is to be seen."""
    a, b, x, c, d, y, g, h, last = matrix.ravel().tolist()
    # How far the corner opposite moves by numbers that should have been 0.
    span = float(max(source.width, source.height))
    if abs(last - 1.0) > 1e-9 or max(abs(g), abs(h)) * span * max(size.width, size.height) > _CLOSE:
        return None
    if max(abs(b), abs(c)) * span < _CLOSE:
        crossed, across, down = False, a, d
    elif max(abs(a), abs(d)) * span < _CLOSE:
        crossed, across, down = True, b, c
    else:
        return None
    if across == 0.0 or down == 0.0:
        return None
    long, tall = (source.height, source.width) if crossed else (source.width, source.height)
    horizontal = _range(across, x, long, size.width)
    vertical = _range(down, y, tall, size.height)
    if horizontal is None or vertical is None:
        return None
    columns, rows = (vertical, horizontal) if crossed else (horizontal, vertical)
    exact = horizontal[1] - horizontal[0] == horizontal[3] - horizontal[2] and vertical[1] - vertical[0] == vertical[3] - vertical[2]
    return Alignment(
        (columns[0], rows[0], columns[1], rows[1]),
        _TURNS[crossed, across < 0.0, down < 0.0],
        (horizontal[2], vertical[2], horizontal[3], vertical[3]),
        size,
        exact,
    )


def carry_out(pixels: NDArray[Any], alignment: Alignment, border: int, value: Any, *, nearest: bool = False) -> NDArray[Any] | None:
    """The pixels after it; new memory or a view. None where the border, one of OpenCV's, cannot be had from the part alone."""
    x0, y0, x1, y1 = alignment.part
    left, top, right, bottom = alignment.place
    over = (left, top, alignment.size.width - right, alignment.size.height - bottom)
    # A mirrored border needs as much of the source as it is wide.
    if border == cv2.BORDER_REFLECT and any(over) and (max(over[0], over[2]) > right - left or max(over[1], over[3]) > bottom - top):
        return None
    result = pixels[y0:y1, x0:x1]
    wide, tall = right - left, bottom - top
    if alignment.turn is not None:
        result = alignment.turn(result)
    if result.shape[:2] != (tall, wide):
        result = _resized(result, Size(wide, tall), nearest)
    if any(over):
        result = cv2.copyMakeBorder(result, over[1], over[3], over[0], over[2], border, value=value)
    return result


def _resized(pixels: NDArray[Any], size: Size, nearest: bool) -> NDArray[Any]:
    if nearest:
        rows = ((np.arange(size.height) + 0.5) * (pixels.shape[0] / size.height)).astype(np.intp)
        columns = ((np.arange(size.width) + 0.5) * (pixels.shape[1] / size.width)).astype(np.intp)
        taken: NDArray[Any] = pixels[rows[:, None], columns]
        return taken
    narrower, lower = size.width <= pixels.shape[1], size.height <= pixels.shape[0]
    if narrower != lower:
        # Shrunk along one side by areas, then stretched along the other.
        half = (size.width, pixels.shape[0]) if narrower else (pixels.shape[1], size.height)
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
    method = cv2.INTER_AREA if narrower and lower else cv2.INTER_LINEAR
    return cv2.resize(pixels, (size.width, size.height), interpolation=method)
