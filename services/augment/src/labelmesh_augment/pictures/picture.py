"""Pictures in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# uint8 or uint16.
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, at least 1 each."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The pixels of one picture, or of one moment of one that moves.

    `colour` is (height, width) for grey or (height, width, 3) in the order blue, green, red, as OpenCV has it; uint8 or uint16. Colours
    are not premultiplied. `alpha` is (height, width) of the same type, 0 for transparent; None where everything is opaque.
    """

    colour: NDArray[Any]
    alpha: NDArray[Any] | None = None
    # Milliseconds that it is shown.
    duration_ms: int = 0

    @property
    def size(self) -> Size:
        return Size(int(self.colour.shape[1]), int(self.colour.shape[0]))

    @property
    def white(self) -> int:
        """The largest value of a channel: 255 or 65535."""
        return 255 if self.colour.dtype == np.uint8 else 65535

    @property
    def gray(self) -> bool:
        return self.colour.ndim == 2

    def with_pixels(self, colour: NDArray[Any], alpha: NDArray[Any] | None) -> Frame:
        """The same moment with other pixels."""
        return replace(self, colour=colour, alpha=alpha)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame or several of the same size, and the facts of the file that writing one like it needs (see `pictures.formats`)."""

    frames: tuple[Frame, ...]
    nature: Any = field(default=None, repr=False)

    @property
    def size(self) -> Size:
        return self.frames[0].size
