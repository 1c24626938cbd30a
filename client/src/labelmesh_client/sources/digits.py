"""The real handwritten digits that ship with scikit-learn.

1,797 digits of 43 people, 8 x 8 pixels with 17 levels of ink: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, 1998, UCI Machine Learning Repository). No two of the 1,797 pictures are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labelmesh_client.errors import ConfigurationError
from labelmesh_client.importing import ImageFile
from labelmesh_client.sources.png import grey_png

COUNT = 1797
SIDE = 8
_MAX_INK = 16


@dataclass(frozen=True)
class Digit:
    """One digit: its picture as a PNG file, and what it shows (0 to 9)."""

    name: str
    png: bytes
    target: int

    def as_file(self) -> ImageFile:
        return ImageFile(self.name, len(self.png), lambda: self.png)


def grey_of_ink(ink: int) -> int:
    """The grey value of an amount of ink from 0 to 16: dark ink on white paper, as people write. No two amounts have the same grey."""
    return 255 - round(ink * 255 / _MAX_INK)


def digits() -> Iterator[Digit]:
    """All 1,797 digits in scikit-learn's order, `digit-0000.png` to `digit-1796.png`. Raises ConfigurationError without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ConfigurationError("The digits ship with scikit-learn, which is not installed: pip install 'labelmesh[demo]'") from None
    dataset = load_digits()
    grey = bytes(grey_of_ink(ink) for ink in range(_MAX_INK + 1))
    for index, (picture, target) in enumerate(zip(dataset.images, dataset.target, strict=True)):
        pixels = bytes(grey[int(ink)] for row in picture for ink in row)
        yield Digit(f"digit-{index:04}.png", grey_png(SIDE, SIDE, pixels), int(target))
