"""Digits drawn by rule: pen strokes in the ways that people write them, as with a mouse on a page.

The bundled digits were written on paper by few people. Ways of writing that hardly occur among them (a 1 with a foot, a 4 that is closed at
the top) are added to training by these; nothing is ever measured on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labelmesh_training.preparation import SIDE
from labelmesh_training.values import Pictures

#: x to the right and y down, both 0 to 1, of the points that a pen passes.
_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Stroke:
    """One movement of the pen through `points`: around them in a curve, or straight from each to the next."""

    points: _Points
    curved: bool = True


def _curve(*points: tuple[float, float]) -> Stroke:
    return Stroke(points)


def _line(*points: tuple[float, float]) -> Stroke:
    return Stroke(points, curved=False)


_LOOP_OF_NINE = _curve((0.82, 0.2), (0.5, 0.0), (0.15, 0.26), (0.45, 0.54), (0.8, 0.34), (0.82, 0.12))
#: For each digit, the ways to write it; each is a few strokes.
STYLES: tuple[tuple[tuple[Stroke, ...], ...], ...] = (
    (
        (_curve((0.5, 0.0), (0.18, 0.2), (0.08, 0.55), (0.25, 0.92), (0.55, 1.0), (0.85, 0.75), (0.9, 0.4), (0.75, 0.08), (0.5, 0.0)),),
        (_curve((0.62, 0.03), (0.25, 0.12), (0.1, 0.6), (0.4, 1.0), (0.8, 0.85), (0.92, 0.35), (0.62, 0.0), (0.42, 0.1)),),
    ),
    (
        (_line((0.5, 0.0), (0.5, 1.0)),),
        (_line((0.62, 0.0), (0.4, 1.0)),),
        (_line((0.25, 0.28), (0.58, 0.0), (0.56, 1.0)),),
        (_line((0.3, 0.22), (0.55, 0.0), (0.55, 1.0)), _line((0.22, 1.0), (0.86, 1.0))),
        (_line((0.1, 0.4), (0.7, 0.0), (0.65, 1.0)),),
    ),
    (
        (_curve((0.1, 0.28), (0.3, 0.03), (0.7, 0.04), (0.82, 0.3), (0.5, 0.68), (0.1, 0.98)), _line((0.1, 0.98), (0.92, 0.98))),
        (_curve((0.12, 0.2), (0.45, 0.0), (0.82, 0.22), (0.6, 0.6), (0.2, 0.95), (0.1, 0.82), (0.3, 0.76), (0.6, 0.95), (0.95, 0.9)),),
    ),
    (
        (_curve((0.12, 0.1), (0.5, 0.0), (0.8, 0.2), (0.4, 0.46)), _curve((0.4, 0.46), (0.9, 0.68), (0.55, 1.0), (0.08, 0.9))),
        (_line((0.12, 0.02), (0.85, 0.02), (0.42, 0.4)), _curve((0.42, 0.4), (0.9, 0.62), (0.6, 0.98), (0.1, 0.92))),
    ),
    (
        (_line((0.25, 0.0), (0.12, 0.55), (0.9, 0.55)), _line((0.72, 0.15), (0.7, 1.0))),
        (_line((0.65, 0.0), (0.08, 0.68), (0.95, 0.68)), _line((0.66, 0.0), (0.66, 1.0))),
        (_line((0.62, 0.02), (0.05, 0.6), (0.9, 0.62)), _line((0.72, 0.35), (0.62, 1.0))),
        (_line((0.1, 0.05), (0.12, 0.5), (0.85, 0.48)), _line((0.86, 0.0), (0.84, 1.0))),
    ),
    (
        (_line((0.85, 0.02), (0.25, 0.02), (0.2, 0.42)), _curve((0.2, 0.42), (0.6, 0.36), (0.88, 0.66), (0.6, 0.97), (0.1, 0.92))),
        (_curve((0.22, 0.05), (0.2, 0.46), (0.65, 0.42), (0.85, 0.75), (0.5, 1.0), (0.12, 0.9)), _line((0.22, 0.04), (0.9, 0.0))),
    ),
    (
        (_curve((0.75, 0.02), (0.35, 0.25), (0.12, 0.65), (0.35, 0.98), (0.8, 0.9), (0.82, 0.6), (0.5, 0.48), (0.16, 0.68)),),
        (_curve((0.55, 0.0), (0.2, 0.45), (0.15, 0.85), (0.5, 1.0), (0.85, 0.8), (0.65, 0.55), (0.25, 0.66)),),
    ),
    (
        (_line((0.08, 0.03), (0.9, 0.03), (0.42, 1.0)),),
        (_line((0.08, 0.03), (0.9, 0.0), (0.4, 1.0)), _line((0.3, 0.5), (0.85, 0.48))),
        (_line((0.1, 0.2), (0.1, 0.03), (0.88, 0.03)), _curve((0.88, 0.03), (0.6, 0.45), (0.5, 1.0))),
    ),
    (
        (_curve((0.78, 0.14), (0.5, 0.0), (0.2, 0.16), (0.45, 0.44), (0.82, 0.74), (0.5, 1.0), (0.14, 0.76), (0.5, 0.46), (0.8, 0.2)),),
        (
            _curve((0.5, 0.46), (0.22, 0.24), (0.5, 0.0), (0.78, 0.24), (0.5, 0.46)),
            _curve((0.5, 0.46), (0.12, 0.74), (0.5, 1.0), (0.88, 0.74), (0.5, 0.46)),
        ),
    ),
    (
        (_LOOP_OF_NINE, _line((0.82, 0.12), (0.76, 1.0))),
        (_LOOP_OF_NINE, _curve((0.82, 0.12), (0.84, 0.6), (0.6, 0.95), (0.2, 0.95))),
        (_LOOP_OF_NINE, _curve((0.82, 0.12), (0.7, 0.6), (0.4, 1.0))),
    ),
)
#: Points of the pen's way between two points of a stroke: so many that they lie closer than the pen is wide.
_STEPS_OF_A_CURVE, _STEPS_OF_A_LINE = 10, 28
#: How far a hand strays from the points, as a share of the digit.
_STRAY = 0.035


def drawn_digits(count: int, rng: np.random.Generator) -> Pictures:
    """`count` digits, each class and each way of writing it about as often, light on dark, `SIDE` x `SIDE`, 0 to 1."""
    images = np.zeros((count, SIDE, SIDE), dtype=np.float32)
    labels = np.arange(count, dtype=np.int64) % 10
    for index, label in enumerate(labels):
        styles = STYLES[label]
        images[index] = _render(styles[(index // 10) % len(styles)], rng)
    return Pictures(images, labels)


def _render(style: tuple[Stroke, ...], rng: np.random.Generator) -> np.ndarray:
    """The ink of a pen between 1.6 and 3.6 pixels wide; the digit fills between 16 and 24 pixels of the height."""
    height = rng.uniform(16.0, 24.0)
    width = height * rng.uniform(0.5, 0.85)
    radius = rng.uniform(0.8, 1.8)
    path = np.concatenate([_path(stroke, rng) for stroke in style])
    places = (path - 0.5) * (width, height) + (SIDE - 1) / 2
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="xy"), axis=-1).reshape(-1, 1, 2)
    distance = np.sqrt(((pixels - places[np.newaxis]) ** 2).sum(axis=-1).min(axis=1))
    ink: np.ndarray = np.clip(radius + 0.5 - distance, 0.0, 1.0).reshape(SIDE, SIDE).astype(np.float32)
    return ink


def _path(stroke: Stroke, rng: np.random.Generator) -> np.ndarray:
    """Points close together along a stroke that strayed a little: straight pieces, or a Catmull-Rom spline."""
    points = np.asarray(stroke.points) + rng.normal(0.0, _STRAY, (len(stroke.points), 2))
    share = np.linspace(0.0, 1.0, _STEPS_OF_A_CURVE if stroke.curved else _STEPS_OF_A_LINE, endpoint=False)[:, np.newaxis]
    ends = np.vstack([points[:1], points, points[-1:]])
    pieces = []
    for p0, p1, p2, p3 in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        if stroke.curved:
            bend = (2 * p0 - 5 * p1 + 4 * p2 - p3) * share**2 + (3 * (p1 - p2) + p3 - p0) * share**3
            pieces.append(p1 + 0.5 * ((p2 - p0) * share + bend))
        else:
            pieces.append(p1 + (p2 - p1) * share)
    return np.concatenate([*pieces, points[-1:]])
