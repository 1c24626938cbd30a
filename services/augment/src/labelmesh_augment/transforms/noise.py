"""Noise that can be made again: any amount of random numbers out of a key, and what sensors make of them.

Numbers are used in the order of pixels, rows first, so a picture has the same noise with 8 and with 16 bits.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pipelines.random import noise
from labelmesh_augment.transforms.strips import strips

# Electrons that a pixel of a small sensor holds at ISO 100, and those that reading it adds or takes (standard deviation).
FULL_WELL = 10_000.0
READ_NOISE = 2.0


class Stream:
    """Random numbers of a key (32 hex digits), 16 bits each, one after another, however many are taken at once. Philox4x64-10."""

    def __init__(self, key: str) -> None:
        self._bits = noise(key).bit_generator
        self._left: NDArray[np.uint16] = np.empty(0, np.uint16)

    def values(self, *shape: int) -> NDArray[np.uint16]:
        """Evenly from 0 to 65535."""
        count = math.prod(shape)
        more = -(-(count - self._left.size) // 4)
        if more > 0:
            fresh = self._bits.random_raw(more).astype("<u8", copy=False).view("<u2")
            self._left = np.concatenate([self._left, fresh]) if self._left.size else fresh
        taken, self._left = self._left[:count], self._left[count:]
        return taken.reshape(shape)


@cache
def normal_quantiles() -> NDArray[np.float64]:
    """(65536,): what a 16-bit number is as a sample of the normal distribution of mean 0 and deviation 1. It ends at 4.3 deviations."""
    normal = NormalDist()
    upper = np.array([normal.inv_cdf(0.5 + (index + 0.5) / 65536) for index in range(32768)])
    quantiles = np.concatenate([-upper[::-1], upper])
    quantiles.flags.writeable = False
    return quantiles


def with_gaussian_noise(colour: NDArray[Any], key: str, sigma: float, per_channel: bool) -> NDArray[Any]:
    """Adds normally distributed noise; `sigma` is a share of the full scale. It is rounded before it is added."""
    if sigma <= 0.0:
        return colour.copy()
    white = np.iinfo(colour.dtype).max
    table = np.rint(normal_quantiles() * (sigma * white)).astype(np.int16 if white == 255 else np.float32)
    depth = cv2.CV_8U if white == 255 else cv2.CV_16U
    stream = Stream(key)
    noisy: NDArray[Any] = np.empty(colour.shape, colour.dtype)
    for rows in strips(colour):
        part = np.ascontiguousarray(colour[rows])
        added = _looked_up(stream, part, table, per_channel)
        noisy[rows] = cv2.add(_flat(part), _flat(added), dtype=depth).reshape(part.shape)
    return noisy


def with_salt_and_pepper(colour: NDArray[Any], key: str, amount: float, salt: float) -> NDArray[Any]:
    """Makes a share of `amount` of the pixels white (the share `salt` of them) or black."""
    white = np.iinfo(colour.dtype).max
    to_white, to_any = round(amount * salt * 2**32), round(amount * 2**32)
    stream = Stream(key)
    noisy: NDArray[Any] = colour.copy()
    for rows in strips(colour):
        part = noisy[rows]
        numbers = stream.values(part.shape[0], part.shape[1] * 2).view("<u4")
        part[numbers < to_any] = 0
        part[numbers < to_white] = white
    return noisy


def with_sensor_noise(colour: NDArray[Any], key: str, iso: float, colour_share: float) -> NDArray[Any]:
    """What a small sensor adds at this sensitivity: photons come by chance (variance as much as light), reading adds some always.

    Light is the square of the stored value, near enough to what files hold. `colour_share` of the variance is each channel's own.
    """
    white = float(np.iinfo(colour.dtype).max)
    electrons = FULL_WELL * 100.0 / iso
    table = normal_quantiles().astype(np.float32)
    levels = np.arange(white + 1.0) / white
    light = np.square(levels)
    tables = (light.astype(np.float32), np.sqrt(light / electrons + (READ_NOISE / electrons) ** 2).astype(np.float32))
    depth = cv2.CV_8U if white == 255 else cv2.CV_16U
    common, own = math.sqrt(1.0 - colour_share), math.sqrt(colour_share)
    stream = Stream(key)
    noisy: NDArray[Any] = np.empty(colour.shape, colour.dtype)
    for rows in strips(colour):
        part = np.ascontiguousarray(colour[rows])
        chance = _looked_up(stream, part, table, per_channel=False)
        if colour_share > 0.0 and part.ndim == 3:
            chance = cv2.addWeighted(_flat(chance), common, _flat(_looked_up(stream, part, table, per_channel=True)), own, 0.0)
        mean, deviation = (cv2.LUT(_flat(part), of) for of in tables)
        received = np.maximum(cv2.add(cv2.multiply(deviation, _flat(chance)), mean), 0.0)
        stored = cv2.sqrt(received)
        noisy[rows] = cv2.addWeighted(stored, white, stored, 0.0, 0.0, dtype=depth).reshape(part.shape)
    return noisy


def _looked_up(stream: Stream, part: NDArray[Any], table: NDArray[Any], per_channel: bool) -> NDArray[Any]:
    """A number of the table for each value, or for each pixel."""
    if per_channel or part.ndim == 2:
        return cv2.LUT(stream.values(part.shape[0], part.size // part.shape[0]), table).reshape(part.shape)
    single = cv2.LUT(stream.values(part.shape[0], part.shape[1]), table).reshape(part.shape[:2])
    return cv2.merge([single, single, single]).reshape(part.shape)


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(values.shape[0], -1)
