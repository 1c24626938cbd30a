"""Putting several pictures together, all in the form of the first: its depth, its channels, its transparency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.warping import warp
from labelmesh_augment.pictures.picture import Frame, Size
from labelmesh_augment.pipelines.pipeline import Fill
from labelmesh_augment.transforms.effects import Layer, Mix, Warp


def mix(first: Frame, further: Sequence[Frame], stage: Mix, fill: Fill, *, colourful: bool) -> Frame:
    """The layers in order; where none lies is what is outside of a picture. `colourful`: the first is of a picture that has colours."""
    if colourful and first.gray:
        first = first.with_pixels(cv2.cvtColor(first.colour, cv2.COLOR_GRAY2BGR), first.alpha)
    sources = (first, *(_alike(frame, first, fill) for frame in further))
    size = stage.size
    colour = np.empty((size.height, size.width, *first.colour.shape[2:]), first.colour.dtype)
    colour[:] = _outside(first, fill)
    alpha = None if first.alpha is None else np.zeros((size.height, size.width), first.alpha.dtype)
    for layer in stage.layers:
        if layer.source < len(sources):
            _lay(colour, alpha, sources[layer.source], layer, fill)
    return first.with_pixels(colour, alpha)


def _lay(colour: NDArray[Any], alpha: NDArray[Any] | None, source: Frame, layer: Layer, fill: Fill) -> None:
    """Writes one layer into its region, which is cut at the frame."""
    x0, y0 = max(0, layer.region[0]), max(0, layer.region[1])
    x1, y1 = min(colour.shape[1], layer.region[2]), min(colour.shape[0], layer.region[3])
    if x1 <= x0 or y1 <= y0 or layer.weight <= 0:
        return
    shift = np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0], [0.0, 0.0, 1.0]])
    motion = Motion.start(source.size).then(Warp(shift @ layer.matrix, Size(x1 - x0, y1 - y0)))
    moved = warp(source, motion, fill)
    under = colour[y0:y1, x0:x1]
    if alpha is None:
        under[:] = moved.colour if layer.weight >= 1 else cv2.addWeighted(moved.colour, layer.weight, under, 1.0 - layer.weight, 0.0)
        return
    assert moved.alpha is not None
    alpha_under = alpha[y0:y1, x0:x1]
    if layer.weight >= 1:
        under[:], alpha_under[:] = moved.colour, moved.alpha
        return
    over_share = moved.alpha.astype(np.float32) * layer.weight
    under_share = alpha_under.astype(np.float32) * (1.0 - layer.weight)
    total = over_share + under_share
    part = np.divide(over_share, total, out=np.full_like(total, layer.weight), where=total > 0)
    if under.ndim == 3:
        part = part[:, :, np.newaxis]
    under[:] = np.rint(moved.colour * part + under * (1.0 - part)).astype(under.dtype)
    alpha_under[:] = np.rint(total).astype(alpha.dtype)


def _alike(frame: Frame, first: Frame, fill: Fill) -> Frame:
    """A further frame in the form of the first."""
    colour, alpha = frame.colour, frame.alpha
    if colour.dtype != first.colour.dtype:
        colour = _at_depth(colour, first.colour.dtype)
        alpha = None if alpha is None else _at_depth(alpha, first.colour.dtype)
    if first.gray and colour.ndim == 3:
        colour = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    elif not first.gray and colour.ndim == 2:
        colour = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR)
    if first.alpha is not None and alpha is None:
        alpha = np.full(colour.shape[:2], first.white, colour.dtype)
    elif first.alpha is None and alpha is not None:
        share = alpha.astype(np.float32) / first.white
        share = share[:, :, np.newaxis] if colour.ndim == 3 else share
        colour = np.rint(colour * share + _outside(first, fill) * (1.0 - share)).astype(colour.dtype)
        alpha = None
    return frame.with_pixels(colour, alpha)


def _at_depth(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    if dtype == np.uint16:
        return values.astype(np.uint16) * np.uint16(257)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _outside(first: Frame, fill: Fill) -> NDArray[np.float64]:
    """The fill's colour as the first frame has colours: one value, or blue, green, red."""
    red, green, blue = fill.colour or (0, 0, 0)
    scale = first.white / 255
    if first.gray:
        return np.array(round((0.299 * red + 0.587 * green + 0.114 * blue) * scale), np.float64)
    return np.array([blue, green, red], np.float64) * scale
