"""Handwritten digits whose meaning is known, as pictures and as rows of numbers."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

from labelmesh_client.sources import digits as bundled
from PIL import Image, ImageOps

SIDE = 28


@dataclass(frozen=True)
class KnownDigit:
    """A digit of the demo: `png` as it lies in the project (dark on white), `rows` as the classic interface takes it (light on dark)."""

    png: bytes
    rows: tuple[tuple[int, ...], ...]
    digit: int

    @property
    def image(self) -> list[list[int]]:
        return [list(row) for row in self.rows]


def _known(digit: bundled.Digit) -> KnownDigit:
    picture = ImageOps.invert(Image.open(io.BytesIO(digit.png))).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = picture.tobytes()
    rows = tuple(tuple(pixels[start : start + SIDE]) for start in range(0, len(pixels), SIDE))
    return KnownDigit(digit.png, rows, digit.target)


@cache
def known_digits(count: int = 20) -> tuple[KnownDigit, ...]:
    """The first `count` digits of the demo; 0 to 9 come in turn."""
    return tuple(_known(digit) for digit, _ in zip(bundled.digits(), range(count), strict=False))
