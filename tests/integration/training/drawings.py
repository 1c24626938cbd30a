"""Digits as people draw them with a mouse on a page of 280 x 280 pixels: thick strokes, anywhere, of any size, dark or light.

The ways of writing are not those of `labelmesh_training.strokes`: what is learned from is not what is measured with.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from labelmesh_training.preparation import prepare
from labelmesh_training.values import Pictures
from PIL import Image, ImageDraw

SIDE = 280
Points = list[tuple[float, float]]


def _arc(x: float, y: float, width: float, height: float, start: float, end: float) -> Points:
    """Part of an ellipse around (x, y), from one angle to another in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 24) for step in range(25)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


#: For each digit, ways to write it as strokes of the pen, x to the right and y down, 0 to 1.
_WAYS: list[list[list[Points]]] = [
    [[_arc(0.5, 0.5, 0.32, 0.5, -90, 270)], [_arc(0.5, 0.5, 0.4, 0.48, -60, 300)]],
    [
        [[(0.5, 0), (0.5, 1)]],
        [[(0.3, 0.25), (0.52, 0), (0.52, 1)]],
        [[(0.3, 0.25), (0.52, 0), (0.52, 1)], [(0.25, 1), (0.8, 1)]],
    ],
    [
        [[*_arc(0.5, 0.28, 0.35, 0.28, -170, 40), (0.15, 1), (0.9, 1)]],
        [[*_arc(0.5, 0.3, 0.38, 0.3, -160, 30), (0.45, 0.75), (0.1, 1), (0.3, 0.93), (0.9, 1)]],
    ],
    [
        [[*_arc(0.45, 0.25, 0.33, 0.25, -150, 90), *_arc(0.45, 0.75, 0.38, 0.25, -90, 150)]],
        [[(0.15, 0), (0.8, 0), (0.45, 0.4), *_arc(0.45, 0.7, 0.36, 0.3, -90, 150)]],
    ],
    [
        [[(0.6, 0), (0.1, 0.65), (0.95, 0.65)], [(0.7, 0.3), (0.7, 1)]],
        [[(0.2, 0), (0.2, 0.5), (0.85, 0.5)], [(0.8, 0), (0.8, 1)]],
        [[(0.7, 1), (0.7, 0), (0.1, 0.7), (0.95, 0.7)]],
    ],
    [
        [[(0.85, 0), (0.25, 0), (0.2, 0.42), *_arc(0.45, 0.68, 0.38, 0.32, -120, 140)]],
        [[(0.25, 0), (0.22, 0.45), *_arc(0.48, 0.7, 0.36, 0.3, -130, 150)], [(0.25, 0), (0.9, 0.02)]],
    ],
    [
        [[(0.7, 0), (0.35, 0.3), *_arc(0.5, 0.7, 0.33, 0.3, -170, 190)]],
        [[*_arc(0.75, 0.6, 0.6, 0.6, -110, -180), *_arc(0.48, 0.72, 0.33, 0.28, 180, -180)]],
    ],
    [[[(0.1, 0), (0.9, 0), (0.4, 1)]], [[(0.1, 0.05), (0.9, 0), (0.4, 1)], [(0.35, 0.5), (0.8, 0.5)]]],
    [
        [[*_arc(0.5, 0.25, 0.28, 0.25, 90, 450), *_arc(0.5, 0.75, 0.36, 0.25, -90, 270)]],
        [[(0.8, 0.1), *_arc(0.5, 0.24, 0.3, 0.24, -30, -270), *_arc(0.5, 0.75, 0.34, 0.26, -90, 240), (0.8, 0.1)]],
    ],
    [
        [[*_arc(0.5, 0.3, 0.33, 0.3, 0, -360), (0.83, 0.3), (0.75, 1)]],
        [[*_arc(0.5, 0.3, 0.33, 0.3, 0, -360), *_arc(0.43, 0.4, 0.4, 0.6, 0, 120)]],
        [[*_arc(0.45, 0.28, 0.33, 0.28, -20, -380), (0.8, 0.2), (0.8, 1)]],
    ],
]


def drawing(digit: int, chance: random.Random, *, light: bool | None = None) -> bytes:
    """A PNG file: the digit with a pen of 12 to 28 pixels, 110 to 240 pixels high; light on dark or dark on light by chance."""
    light = chance.random() < 0.5 if light is None else light
    ground, ink = (0, 255) if light else (255, 0)
    image = Image.new("L", (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(image)
    thickness = chance.uniform(12, 28)
    place = _placing(chance)
    for stroke in chance.choice(_WAYS[digit]):
        points = [place(x, y) for x, y in _dense(stroke)]
        pen.line(points, fill=ink, width=round(thickness), joint="curve")
        for x, y in points:
            pen.ellipse((x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2), fill=ink)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def drawings(count: int, seed: int) -> tuple[list[bytes], list[int]]:
    """Files and digits, each digit equally often."""
    chance = random.Random(seed)
    digits = [place % 10 for place in range(count)]
    return [drawing(digit, chance) for digit in digits], digits


def prepared_drawings(count: int, seed: int) -> Pictures:
    files, digits = drawings(count, seed)
    return Pictures(np.stack([prepare(file) for file in files]), np.array(digits, dtype=np.int64))


def _placing(chance: random.Random) -> Callable[[float, float], tuple[float, float]]:
    """Where a point of the digit lies on the page: a little turned, slanted and shaky."""
    height = SIDE * chance.uniform(0.4, 0.85)
    width = height * chance.uniform(0.5, 0.8)
    turn, slant = math.radians(chance.uniform(-10, 10)), chance.uniform(-0.15, 0.15)
    middle = [SIDE / 2 + chance.uniform(-1, 1) * (SIDE - height) * 0.3 for _ in range(2)]
    shake = [chance.uniform(0, 2 * math.pi) for _ in range(4)]

    def place(x: float, y: float) -> tuple[float, float]:
        shaky_x = x + 0.025 * (math.sin(5 * y + shake[0]) + math.sin(9 * x + shake[1]))
        shaky_y = y + 0.025 * (math.sin(6 * x + shake[2]) + math.sin(8 * y + shake[3]))
        across, down = (shaky_x - 0.5) * width, (shaky_y - 0.5) * height
        across += slant * down
        return (
            middle[0] + across * math.cos(turn) - down * math.sin(turn),
            middle[1] + across * math.sin(turn) + down * math.cos(turn),
        )

    return place


def _dense(stroke: Points) -> Points:
    pieces = [(x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8) for (x0, y0), (x1, y1) in pairwise(stroke) for step in range(8)]
    return [*pieces, stroke[-1]]
