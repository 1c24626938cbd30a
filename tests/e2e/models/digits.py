"""Handwritten digits whose meaning is known, as pictures and as rows of numbers."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from itertools import islice

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


#: Written so that nobody takes them for another digit, 0 to 9 in turn, by their number in the demo (its sixth digit, a 5, is read as 9).
_CLEAR = (178, 93, 331, 175, 320, 32, 323, 118, 8, 251, 229, 70, 372, 143, 377, 163, 344, 317, 370, 285)


@cache
def demo_digits() -> tuple[KnownDigit, ...]:
    """The first 400 of the demo, clear or not."""
    return tuple(_known(digit) for digit in islice(bundled.digits(), 400))


def known_digits(count: int = len(_CLEAR)) -> tuple[KnownDigit, ...]:
    """Clear ones, at most 20; the digit at each index is the index's last figure."""
    return tuple(demo_digits()[number] for number in _CLEAR[:count])
