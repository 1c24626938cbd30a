"""Pictures as somebody else might have written them: turned, slanted, narrower, smaller, elsewhere, with another pen.

Numbers by trial on digits drawn with thick strokes: written by few people on paper, the bundled digits alone leave one drawn digit in ten
wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelmesh_training.values import Images

_TURN_DEGREES = 14.0
_SLANT = 0.25
_SIZES = (0.38, 1.05)
_NARROWNESS = (0.5, 1.15)
#: Of the free room beside a digit that became smaller, and pixels beyond it.
_SHIFT_SHARE, _SHIFT_PIXELS = 0.8, 1.0
#: Where grey becomes ink, and how many times as steeply at most.
_INK_FROM = (0.25, 0.6)
_SHARPEST = 6.0
_UNSHARPENED_SHARE = 0.15
#: So many at a time that what is computed on the way stays small.
_CHUNK = 2048


def augmented(images: Images, rng: np.random.Generator) -> Images:
    """A new picture for each of [n, side, side], 0 to 1, light on dark. The same generator in the same state gives the same pictures."""
    out = np.empty_like(images)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        out[start : start + _CHUNK] = _inked(_moved(chunk, rng), rng)
    return out


def _moved(images: Images, rng: np.random.Generator) -> Images:
    count, side = len(images), images.shape[1]
    middle = (side - 1) / 2
    size = rng.uniform(*_SIZES, count)
    room = np.maximum(side / 2 * (1 - size), 0.0) * _SHIFT_SHARE + _SHIFT_PIXELS
    shift = rng.uniform(-1.0, 1.0, (count, 2, 1)) * room[:, np.newaxis, np.newaxis]
    back = np.linalg.inv(_matrices(size, rng))
    row, column = np.mgrid[0:side, 0:side] - middle
    target = np.stack([column.ravel(), row.ravel()])[np.newaxis] - shift
    source = (back @ target + middle).astype(np.float32)
    return _sampled(images, source[:, 0], source[:, 1])


def _matrices(size: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """[n, 2, 2], from the original's x and y to the new one's: narrower and smaller, then slanted, then turned."""
    count = len(size)
    turn = np.deg2rad(rng.uniform(-_TURN_DEGREES, _TURN_DEGREES, count))
    slant = rng.uniform(-_SLANT, _SLANT, count)
    narrow = size * rng.uniform(*_NARROWNESS, count)
    cos, sin = np.cos(turn), np.sin(turn)
    matrices = np.empty((count, 2, 2))
    matrices[:, 0, 0], matrices[:, 0, 1] = cos * narrow, (cos * slant - sin) * size
    matrices[:, 1, 0], matrices[:, 1, 1] = sin * narrow, (sin * slant + cos) * size
    return matrices


def _sampled(images: Images, x: NDArray[np.float32], y: NDArray[np.float32]) -> Images:
    """Bilinear: pixel i of picture n is what lies at (x[n, i], y[n, i]); dark outside."""
    count, side = len(images), images.shape[1]
    left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    right_share, lower_share = x - left, y - top
    wide = side + 2
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(count, -1)
    outside = (left < -1) | (left >= side) | (top < -1) | (top >= side)
    place = np.clip(top + 1, 0, side) * wide + np.clip(left + 1, 0, side)
    upper = np.take_along_axis(padded, place, 1) * (1 - right_share) + np.take_along_axis(padded, place + 1, 1) * right_share
    lower = np.take_along_axis(padded, place + wide, 1) * (1 - right_share) + np.take_along_axis(padded, place + wide + 1, 1) * right_share
    values = upper * (1 - lower_share) + lower * lower_share
    values[outside] = 0.0
    sampled: Images = values.reshape(images.shape).astype(np.float32)
    return sampled


def _inked(images: Images, rng: np.random.Generator) -> Images:
    """A thicker or thinner pen, with soft or crisp edges; black stays black."""
    count = len(images)
    start = rng.uniform(*_INK_FROM, (count, 1, 1)).astype(np.float32)
    gain = np.exp(rng.uniform(0.0, np.log(_SHARPEST), (count, 1, 1))).astype(np.float32)
    ground = np.clip(0.5 - start * gain, 0.0, 1.0)
    sharp = (np.clip((images - start) * gain + 0.5, 0.0, 1.0) - ground) / (1.0 - ground)
    unsharpened = rng.random((count, 1, 1)) < _UNSHARPENED_SHARE
    return np.where(unsharpened, images, sharp)
