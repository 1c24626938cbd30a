"""One array of pixels through a motion, by the cheapest way that is right for it.

Between the centres of pixels values are interpolated bilinearly. A motion that keeps pixels whole interpolates nothing (see `aligned`).
Where pixels of the result lie further apart than two of the source, values are averaged over areas first, so that nothing aliases: the
source is reduced along its own sides as far as every part of it allows, and what is then still too coarse is made larger and averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.aligned import align, carry_out
from labelmesh_augment.geometry.motion import Matrix, Motion, inverted
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Displace

# OpenCV's maps count places in 16 bits.
_LONGEST = 32_000
# Of the source, between neighbouring pixels of the result, that bilinear interpolation is good for.
_STEP = 2.0
# Values made for each pixel of a result along one side, at most.
_MOST_SAMPLES = 16
# And for each pixel of the source or the result, whichever has more.
_MOST_WORK = 6
# Pixels of a result that are worked on at a time where each needs more than its value.
_STRIP = 1 << 18
_WIDEST = 16_384
# Pixels whose places fit into the core's cache.
_NEAR = 1 << 16
# Further away than any picture is large, and small enough for OpenCV's arithmetic.
_AWAY = 1e5


@dataclass(frozen=True, slots=True)
class Outside:
    """What is outside of the source: one of OpenCV's borders (constant, replicate, reflect), and the constant."""

    border: int
    value: Any = 0


def resample(pixels: NDArray[Any], motion: Motion, outside: Outside) -> NDArray[Any]:
    """(height, width) or (height, width, channels) of the motion's source size, 8 or 16 bits or float32, to the same of its size."""
    matrix = motion.matrix
    if matrix is not None:
        alignment = align(matrix, motion.source_size, motion.size)
        done = None if alignment is None else carry_out(pixels, alignment, outside.border, outside.value)
        if done is not None:
            return done
    spread = _spread(motion)
    if not spread.furthest <= _STEP:
        return _reduced(pixels, motion, outside, spread)
    return _sampled(pixels, motion, outside, cv2.INTER_LINEAR)


def resample_nearest(values: NDArray[Any], motion: Motion) -> NDArray[Any]:
    """As `resample`, but each value is that of the pixel that its centre lies in; outside is 0."""
    matrix = motion.matrix
    if matrix is not None:
        alignment = align(matrix, motion.source_size, motion.size)
        done = None if alignment is None else carry_out(values, alignment, cv2.BORDER_CONSTANT, 0, nearest=True)
        if done is not None:
            return done
    return _sampled(values, motion, Outside(cv2.BORDER_CONSTANT), cv2.INTER_NEAREST)


def keeps_pixels(motion: Motion) -> bool:
    """Whether every pixel of the result is one of the source, or outside."""
    matrix = motion.matrix
    alignment = None if matrix is None else align(matrix, motion.source_size, motion.size)
    return alignment is not None and alignment.exact


@dataclass(frozen=True, slots=True)
class _Spread:
    """How a motion changes lengths, each where it is most: pixels of the result for one of the source along its sides, and pixels of the
    source for one of the result along its sides."""

    across: float
    down: float
    back_across: float
    back_down: float

    @property
    def furthest(self) -> float:
        return max(self.back_across, self.back_down)


def _spread(motion: Motion) -> _Spread:
    if motion.affine:
        matrix = motion.matrix
        assert matrix is not None
        a, b, _, c, d, _, _, _, _ = matrix.ravel().tolist()
        area = abs(a * d - b * c)
        if not area > 1e-200:
            return _Spread(math.hypot(a, c), math.hypot(b, d), math.inf, math.inf)
        return _Spread(math.hypot(a, c), math.hypot(b, d), math.hypot(d, c) / area, math.hypot(b, a) / area)
    places = np.zeros((0, 2)) if _most(motion) <= _STEP else _looked_at(motion)
    if not len(places):
        return _Spread(1.0, 1.0, 1.0, 1.0)
    half_x, half_y = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    by_x = motion.backward(places + half_x) - motion.backward(places - half_x)
    by_y = motion.backward(places + half_y) - motion.backward(places - half_y)
    areas = np.maximum(np.abs(by_x[:, 0] * by_y[:, 1] - by_x[:, 1] * by_y[:, 0]), 1e-200)
    long_x, long_y = np.hypot(*by_x.T), np.hypot(*by_y.T)
    return _Spread(
        float((np.hypot(by_x[:, 1], by_y[:, 1]) / areas).max()),
        float((np.hypot(by_x[:, 0], by_y[:, 0]) / areas).max()),
        float(long_x.max()),
        float(long_y.max()),
    )


def _most(motion: Motion) -> float:
    """Pixels of the source for one of the result: not more than this anywhere."""
    most = 1.0
    for stage, inverse in zip(reversed(motion.stages), motion.inverses, strict=True):
        if inverse is None:
            # The slope of a bend is below 0.9.
            most *= 1.9
            continue
        assert not isinstance(stage, Displace)
        a, b, x, c, d, y, g, h, i = inverse.ravel().tolist()
        if g == 0.0 and h == 0.0:
            squares, area = a * a + b * b + c * c + d * d, a * d - b * c
            most *= math.sqrt((squares + math.sqrt(max(squares * squares - 4.0 * area * area, 0.0))) / 2.0)
            continue
        if len(motion.stages) > 1:
            return math.inf
        # Derivatives of (ax + by + c) / (gx + hy + i): what is above the line is linear, so it is largest in a corner of the frame.
        wide, tall = float(motion.size.width), float(motion.size.height)
        nearest = min(i, g * wide + i, h * tall + i, g * wide + h * tall + i)
        if nearest <= 0.0:
            return math.inf
        along_x = max(math.hypot(a * (h * v + i) - g * (b * v + x), c * (h * v + i) - g * (d * v + y)) for v in (0.0, tall))
        along_y = max(math.hypot(b * (g * u + i) - h * (a * u + x), d * (g * u + i) - h * (c * u + y)) for u in (0.0, wide))
        most *= max(along_x, along_y) / (nearest * nearest)
    return most


def _looked_at(motion: Motion) -> NDArray[np.float64]:
    """Places of the result, (n, 2), that show something of the source, and are spread over it."""
    size, source = motion.size, motion.source_size
    ends = np.array([[size.width, size.height], [source.width, source.height]], dtype=np.float64)
    lattice = np.stack(np.meshgrid(np.linspace(0.01, 0.99, 9), np.linspace(0.01, 0.99, 9)), axis=-1).reshape(-1, 2)
    shown = lattice * ends[0]
    shown = shown[_within(motion.backward(shown), ends[1])]
    arriving = motion.forward(lattice[::3] * ends[1])
    places: NDArray[np.float64] = np.concatenate((shown, arriving[_within(arriving, ends[0])]))
    return places


def _within(places: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(((places >= 0.0) & (places <= end)).all(axis=1))


def _reduced(pixels: NDArray[Any], motion: Motion, outside: Outside, spread: _Spread) -> NDArray[Any]:
    source, size = motion.source_size, motion.size
    # Less than a hundredth of a pixel wide: nothing of it is to be seen.
    if not (spread.across * source.width > 0.01 and spread.down * source.height > 0.01 and spread.furthest < 1e6):
        return _vanished(pixels, size, outside)
    width = max(round(source.width * spread.across), 1) if spread.across < 1.0 / _STEP else source.width
    height = max(round(source.height * spread.down), 1) if spread.down < 1.0 / _STEP else source.height
    if (width, height) != (source.width, source.height):
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        motion = _from_size(motion, Size(width, height))
        spread = _spread(motion)
    across, down = _samples(spread.back_across), _samples(spread.back_down)
    # Where little is to be seen of much, or one corner shrinks more than the rest, this is good enough.
    while across * down * size.pixels > _MOST_WORK * max(size.pixels, pixels.shape[0] * pixels.shape[1]):
        across, down = (across - 1, down) if across > down else (across, down - 1)
    if across == down == 1:
        return _sampled(pixels, motion, outside, cv2.INTER_LINEAR)
    result = np.empty((size.height, size.width, *pixels.shape[2:]), pixels.dtype)
    for left, top, right, bottom in _parts(size, across, down):
        part = _into(motion, np.array([[across, 0, -left * across], [0, down, -top * down], [0, 0, 1.0]]))
        part = Motion(part.source_size, Size((right - left) * across, (bottom - top) * down), part.stages)
        fine = _sampled(pixels, part, outside, cv2.INTER_LINEAR)
        result[top:bottom, left:right] = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return result


def _samples(step: float) -> int:
    return 1 if step <= _STEP else min(math.ceil(step), _MOST_SAMPLES)


def _vanished(pixels: NDArray[Any], size: Size, outside: Outside) -> NDArray[Any]:
    result = np.empty((size.height, size.width, *pixels.shape[2:]), pixels.dtype)
    value = outside.value if outside.border == cv2.BORDER_CONSTANT else pixels.mean(axis=(0, 1))
    result[:] = np.asarray(value).astype(pixels.dtype)
    return result


def _from_size(motion: Motion, size: Size) -> Motion:
    """The same motion of a source that was brought to another size."""
    grown = np.diag([motion.source_size.width / size.width, motion.source_size.height / size.height, 1.0])
    first = motion.stages[0]
    if isinstance(first, np.ndarray):
        return Motion(size, motion.size, (first @ grown, *motion.stages[1:]))
    return Motion(size, motion.size, (grown, *motion.stages))


def _into(motion: Motion, matrix: Matrix) -> Motion:
    """The motion and a matrix after it."""
    last = motion.stages[-1]
    if isinstance(last, np.ndarray):
        return Motion(motion.source_size, motion.size, (*motion.stages[:-1], matrix @ last))
    return Motion(motion.source_size, motion.size, (*motion.stages, matrix))


def _parts(size: Size, across: int = 1, down: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """The result in parts of about `_STRIP` values: x0, y0, x1, y1."""
    width = min(size.width, max(_WIDEST // across, 1))
    height = min(size.height, max(_STRIP // (width * across * down), 1))
    for top in range(0, size.height, height):
        for left in range(0, size.width, width):
            yield left, top, min(left + width, size.width), min(top + height, size.height)


def _sampled(pixels: NDArray[Any], motion: Motion, outside: Outside, method: int) -> NDArray[Any]:
    """Each pixel of the result by itself, whatever lies between it and the next."""
    matrix, size = motion.matrix, motion.size
    longest = max(size.width, size.height, pixels.shape[0], pixels.shape[1])
    if matrix is not None and longest <= _LONGEST:
        border = _border(matrix, motion, outside.border)
        if border is not None:
            centred = _centred(matrix)
            if motion.affine:
                return cv2.warpAffine(pixels, centred[:2], (size.width, size.height), None, method, border, outside.value)
            if method == cv2.INTER_LINEAR:
                return _tilted(pixels, centred, size, Outside(border, outside.value))
            return cv2.warpPerspective(pixels, centred, (size.width, size.height), None, method, border, outside.value)
    return _looked_up(pixels, motion, outside, method)


def _tilted(pixels: NDArray[Any], centred: Matrix, size: Size, outside: Outside) -> NDArray[Any]:
    """What cv2.warpPerspective makes, in three quarters of its time: that takes longer for the places than for the values.

    Places are right to a few thousandths of a pixel; OpenCV goes by 32nds.
    """
    a, b, x, c, d, y, g, h, i = inverted(centred).ravel().tolist()
    columns, rows = np.arange(size.width, dtype=np.float64), np.arange(size.height, dtype=np.float64)
    along = [(slope * columns).astype(np.float32) for slope in (a, c, g)]
    beside = [(slope * rows + offset).astype(np.float32)[:, None] for slope, offset in ((b, x), (d, y), (h, i))]
    result = np.empty((size.height, size.width, *pixels.shape[2:]), pixels.dtype)
    # As much as stays close to the core meanwhile.
    height = max(_NEAR // size.width, 1)
    for top in range(0, size.height, height):
        strip = slice(top, top + height)
        across, down, depth = (line + column[strip] for line, column in zip(along, beside, strict=True))
        across /= depth
        down /= depth
        cv2.remap(pixels, across, down, cv2.INTER_LINEAR, result[strip], outside.border, outside.value)
    return result


def _border(matrix: Matrix, motion: Motion, border: int) -> int | None:
    """What OpenCV is told to do outside; None where it cannot be trusted with it.

    Where nothing outside is to be seen, the outermost half of a pixel is not blended with it either.
    """
    a, b, x, c, d, y, g, h, i = inverted(matrix).ravel().tolist()
    wide, tall = float(motion.size.width), float(motion.size.height)
    far_x, far_y = float(motion.source_size.width), float(motion.source_size.height)
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    for right, down in ((0.0, 0.0), (wide, 0.0), (wide, tall), (0.0, tall)):
        depth = g * right + h * down + i
        # The horizon: behind it pictures stand on their heads.
        if not depth > 1e-9:
            return None
        place_x, place_y = (a * right + b * down + x) / depth, (c * right + d * down + y) / depth
        low_x, high_x = min(low_x, place_x), max(high_x, place_x)
        low_y, high_y = min(low_y, place_y), max(high_y, place_y)
    if low_x >= -1e-3 and low_y >= -1e-3 and high_x <= far_x + 1e-3 and high_y <= far_y + 1e-3:
        return cv2.BORDER_REPLICATE
    if not (low_x > -_AWAY and low_y > -_AWAY and high_x < _AWAY and high_y < _AWAY):
        return None
    # It walks back and forth over the source as often as it fits.
    if border == cv2.BORDER_REFLECT and (low_x < -far_x or low_y < -far_y or high_x > 2 * far_x or high_y > 2 * far_y):
        return None
    return border


def _centred(matrix: Matrix) -> Matrix:
    """For OpenCV, where whole numbers are the centres of pixels, and not their corners."""
    a, b, x, c, d, y, g, h, i = matrix.ravel().tolist()
    depth = i + 0.5 * (g + h)
    return np.array(
        [
            [a - 0.5 * g, b - 0.5 * h, x + 0.5 * (a + b) - 0.5 * depth],
            [c - 0.5 * g, d - 0.5 * h, y + 0.5 * (c + d) - 0.5 * depth],
            [g, h, depth],
        ]
    )


def _looked_up(pixels: NDArray[Any], motion: Motion, outside: Outside, method: int) -> NDArray[Any]:
    """By a map of places, made part by part."""
    size = motion.size
    if size.pixels <= _STRIP and size.width <= _WIDEST:
        return _fetched(pixels, *motion.centres, outside, method)
    result = np.empty((size.height, size.width, *pixels.shape[2:]), pixels.dtype)
    for left, top, right, bottom in _parts(size):
        x, y = motion.centres_of(left, top, right, bottom)
        result[top:bottom, left:right] = _fetched(pixels, x, y, outside, method)
    return result


def _fetched(pixels: NDArray[Any], x: NDArray[np.float32], y: NDArray[np.float32], outside: Outside, method: int) -> NDArray[Any]:
    """The values at places in continuous coordinates, (h, w) each."""
    height, width = pixels.shape[:2]
    border = outside.border
    if border == cv2.BORDER_REFLECT:
        x, y, border = _folded(x, width), _folded(y, height), cv2.BORDER_REPLICATE
    # A pixel further than where it begins is as far outside as any.
    x, y = np.clip(x, -2.0, width + 2.0), np.clip(y, -2.0, height + 2.0)
    if max(width, height) <= _LONGEST:
        x -= np.float32(0.5)
        y -= np.float32(0.5)
        return cv2.remap(pixels, x, y, method, None, border, outside.value)
    # Of a larger source the part that is needed.
    left, right = _needed(x, width)
    top, bottom = _needed(y, height)
    if max(right - left, bottom - top) <= _LONGEST or x.size == 1:
        shift_x, shift_y = np.float32(left + 0.5), np.float32(top + 0.5)
        return cv2.remap(pixels[top:bottom, left:right], x - shift_x, y - shift_y, method, None, border, outside.value)
    axis = 0 if x.shape[0] >= x.shape[1] else 1
    halves = zip(np.array_split(x, 2, axis), np.array_split(y, 2, axis), strict=True)
    return np.concatenate([_fetched(pixels, its_x, its_y, Outside(border, outside.value), method) for its_x, its_y in halves], axis)


def _needed(places: NDArray[np.float32], length: int) -> tuple[int, int]:
    first = min(max(math.floor(float(places.min())) - 2, 0), length - 1)
    return first, max(min(math.ceil(float(places.max())) + 2, length), first + 1)


def _folded(places: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Places in a picture that is mirrored at its borders, again and again."""
    around = np.mod(places, np.float32(2 * length))
    folded: NDArray[np.float32] = np.minimum(around, np.float32(2 * length) - around)
    return folded
