"""Pictures that tests paint and look at, as files."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from labelmesh_augment.geometry.labels import Labels
from labelmesh_augment.pipelines.augmenting import Augmented, Sample, augment, load
from labelmesh_augment.pipelines.pipeline import Pipeline
from labelmesh_augment.pipelines.validation import normalised
from numpy.typing import NDArray

Pixels = NDArray[Any]


def png(pixels: Pixels) -> bytes:
    """A PNG file of grey, BGR or BGRA pixels."""
    done, written = cv2.imencode(".png", pixels)
    assert done
    return written.tobytes()


def pixels_of(content: bytes) -> Pixels:
    """What a viewer that knows nothing of us reads."""
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def made(
    content: bytes, labels: Labels, pipeline: Pipeline, *, seed: int = 7, copy: int = 0, further: list[bytes] | None = None
) -> Augmented:
    """One result, from file to file."""
    others = [load(Sample(other)) for other in further or []]
    return augment(load(Sample(content, labels)), normalised(pipeline), seed=seed, copy=copy, further=others)


def black(width: int, height: int) -> Pixels:
    return np.zeros((height, width), np.uint8)


def dotted(width: int, height: int, x: int, y: int) -> Pixels:
    """Black, and 3 x 3 white pixels around pixel (x, y)."""
    pixels = black(width, height)
    pixels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 255
    return pixels


def dot_in(pixels: Pixels) -> tuple[float, float] | None:
    """The middle of what is bright, in continuous coordinates; None where it is too dark to tell."""
    brightest = int(pixels.max())
    if brightest < 16:
        return None
    weights = np.where(pixels > brightest * 0.4, pixels, 0).astype(np.float64)
    ys, xs = np.nonzero(weights)
    values = weights[ys, xs]
    return float(((xs + 0.5) * values).sum() / values.sum()), float(((ys + 0.5) * values).sum() / values.sum())


def bounds_of(pixels: Pixels, level: int = 127) -> tuple[float, float, float, float] | None:
    """Of what is brighter than `level`: x0, y0, x1, y1."""
    ys, xs = np.nonzero(pixels > level)
    if not len(xs):
        return None
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)
