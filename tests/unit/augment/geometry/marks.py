"""Frames with marks that can be found again, and random movements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st
from labelmesh_augment.geometry.following import Track
from labelmesh_augment.geometry.labels import Labels
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.warping import warp
from labelmesh_augment.pictures.picture import Frame, Size
from labelmesh_augment.pipelines.pipeline import Fill
from labelmesh_augment.transforms.effects import Displace, Warp
from numpy.typing import NDArray

Step = Warp | Displace

FORMS = ("colour", "gray", "colour 16", "gray 16", "colour alpha", "gray alpha", "colour alpha 16", "opaque alpha")


def matrix(*rows: Sequence[float]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)


def moving(x: float, y: float) -> NDArray[np.float64]:
    return matrix((1, 0, x), (0, 1, y), (0, 0, 1))


def scaling(x: float, y: float) -> NDArray[np.float64]:
    return matrix((x, 0, 0), (0, y, 0), (0, 0, 1))


def turning(degrees: float) -> NDArray[np.float64]:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return matrix((cosine, -sine, 0), (sine, cosine, 0), (0, 0, 1))


def around(inner: NDArray[np.float64], size: Size, after: Size | None = None) -> Warp:
    """A movement around the middle of the frame."""
    after = after or size
    whole = moving(after.width / 2, after.height / 2) @ inner @ moving(-size.width / 2, -size.height / 2)
    return Warp(whole, after)


def flip(size: Size) -> Warp:
    return Warp(matrix((-1, 0, size.width), (0, 1, 0), (0, 0, 1)), size)


def crop(x: int, y: int, width: int, height: int) -> Warp:
    return Warp(moving(-x, -y), Size(width, height), cuts=True)


def resize(size: Size, width: int, height: int) -> Warp:
    return Warp(scaling(width / size.width, height / size.height), Size(width, height))


def tilted(size: Size, g: float, h: float) -> Warp:
    """A perspective; g and h up to 0.3 or so."""
    return around(matrix((1, 0, 0), (0, 1, 0), (g / size.width, h / size.height, 1)), size)


def waves(size: Size, share: float, turns: float, phase: float) -> Displace:
    """A bend; its slope is `share` in one direction at most, so below that times the root of 2."""
    long = max(size.width, size.height, 4)
    pace = 2 * math.pi * turns / long

    def field(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return share / pace * np.sin(pace * y + phase), share / pace * np.cos(pace * x + 0.7 * phase)

    return Displace(field)


@st.composite
def chains(draw: st.DrawFn, size: Size, longest: int = 5, *, bends: bool = True, largest: float = 1.6) -> list[Step]:
    """Steps for a frame of `size`, each made for the frame that those before it leave."""
    kinds = ["flip", "upside down", "turn", "rotate", "shear", "zoom", "shift", "tilt", "crop", "pad", "resize"] + ["bend"] * bends
    steps: list[Step] = []
    scale = 1.0
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=longest)):
        step, factor = _step(draw, kind, size, min(largest, 2.0 / scale))
        scale *= factor
        steps.append(step)
        size = step.size if isinstance(step, Warp) else size
    return steps


def _step(draw: st.DrawFn, kind: str, size: Size, largest: float) -> tuple[Step, float]:
    def number(low: float, high: float) -> float:
        return draw(st.floats(low, high, allow_nan=False))

    width, height = size.width, size.height
    if kind == "flip":
        return flip(size), 1.0
    if kind == "upside down":
        return Warp(matrix((1, 0, 0), (0, -1, height), (0, 0, 1)), size), 1.0
    if kind == "turn":
        return around(np.rint(turning(90 * draw(st.integers(1, 3)))), size, Size(height, width)), 1.0
    if kind == "rotate":
        return around(turning(number(-180, 180)), size), 1.0
    if kind == "shear":
        return around(matrix((1, number(-0.4, 0.4), 0), (0, 1, 0), (0, 0, 1)), size), 1.0
    if kind == "zoom":
        factor = number(0.6, largest)
        return around(scaling(factor, factor), size), factor
    if kind == "shift":
        return Warp(moving(number(-0.2, 0.2) * width, number(-0.2, 0.2) * height), size), 1.0
    if kind == "tilt":
        return tilted(size, number(-0.3, 0.3), number(-0.3, 0.3)), 1.0
    if kind == "crop":
        x, y = draw(st.integers(0, width // 3)), draw(st.integers(0, height // 3))
        return crop(x, y, max(width - x - draw(st.integers(0, width // 3)), 1), max(height - y - draw(st.integers(0, height // 3)), 1)), 1.0
    if kind == "pad":
        left, top = draw(st.integers(0, 9)), draw(st.integers(0, 9))
        return Warp(moving(left, top), Size(width + left + draw(st.integers(0, 9)), height + top + draw(st.integers(0, 9)))), 1.0
    if kind == "resize":
        after = Size(max(round(width * number(0.6, largest)), 1), max(round(height * number(0.6, largest)), 1))
        return resize(size, after.width, after.height), max(after.width / width, after.height / height)
    return waves(size, number(0.05, 0.45), number(0.5, 2.0), number(0, 6)), 1.3


def motions(size: Size, steps: Sequence[Step]) -> list[Motion]:
    """As the executor puts them together: as few as can be."""
    found: list[Motion] = []
    motion = Motion.start(size)
    for step in steps:
        if motion.shows_beyond_cut(step):
            found.append(motion)
            motion = Motion.start(motion.size)
        motion = motion.then(step)
    return [*found, motion]


def carried_out(frame: Frame, labels: Labels, steps: Sequence[Step], fill: Fill | None = None) -> tuple[Frame, Track]:
    track = Track.start(labels, frame.size)
    for motion in motions(frame.size, steps):
        frame = warp(frame, motion, fill or Fill())
        track = track.moved(motion)
    return frame, track


def frame_of(brightness: NDArray[np.float64], form: str, shown: NDArray[np.bool_] | None = None) -> Frame:
    """A frame as bright as it says (0 to 1). With alpha it is opaque where `shown` says, and white where nobody should see it."""
    white = 65535 if "16" in form else 255
    dtype: Any = np.uint16 if "16" in form else np.uint8
    colour = np.rint(brightness * white).astype(dtype)
    if form == "opaque alpha":
        return Frame(np.dstack([colour] * 3), np.full(colour.shape, white, dtype))
    alpha = None
    if "alpha" in form and shown is not None:
        alpha = np.where(shown, white, 0).astype(dtype)
        colour[~shown] = white
    return Frame(colour if "gray" in form else np.dstack([colour] * 3), alpha)


def brightness_of(frame: Frame) -> NDArray[np.float64]:
    """As it is seen on black, 0 to 1."""
    seen = frame.colour / frame.white
    seen = seen if seen.ndim == 2 else seen[:, :, 1]
    brightness: NDArray[np.float64] = seen if frame.alpha is None else seen * (frame.alpha / frame.white)
    return brightness


def dot(size: Size, x: float, y: float, sigma: float = 1.5) -> NDArray[np.float64]:
    """A bright dot around a place."""
    across = np.exp(-((np.arange(size.width) + 0.5 - x) ** 2) / (2 * sigma**2))
    down = np.exp(-((np.arange(size.height) + 0.5 - y) ** 2) / (2 * sigma**2))
    return np.outer(down, across)


def brightest(frame: Frame) -> tuple[float, float]:
    """The centre of the brightest pixels."""
    brightness = brightness_of(frame)
    rows, columns = np.nonzero(brightness >= brightness.max() - 1e-9)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


def seen_bounds(frame: Frame, level: float = 0.36) -> tuple[float, float, float, float] | None:
    """Where it is bright: x0, y0, x1, y1. Looked at eight times as large, so that it is known to a part of a pixel.

    Of what interpolation blurs, this level is as far outside of edges as it is inside of corners.
    """
    fine = cv2.resize(brightness_of(frame), None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR) > level
    if not fine.any():
        return None
    rows, columns = np.flatnonzero(fine.any(axis=1)), np.flatnonzero(fine.any(axis=0))
    return float(columns[0]) / 8, float(rows[0]) / 8, float(columns[-1] + 1) / 8, float(rows[-1] + 1) / 8
