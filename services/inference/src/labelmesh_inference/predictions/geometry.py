"""Where a place in a model's input lies in the picture that people see.

Three frames: the *model's* input, the *file's* rows and columns as stored, and the *upright* picture, after the rotation that EXIF
asks for. Places in each are shares of its width and height, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Upright from stored shares for EXIF's orientations, as x = a*u + b*v + c, y = d*u + e*v + f. Source: CIPA DC-008, tag 274, "Orientation".
_UPRIGHT: dict[int, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    1: ((1, 0, 0), (0, 1, 0)),
    2: ((-1, 0, 1), (0, 1, 0)),
    3: ((-1, 0, 1), (0, -1, 1)),
    4: ((1, 0, 0), (0, -1, 1)),
    5: ((0, 1, 0), (1, 0, 0)),
    6: ((0, -1, 1), (1, 0, 0)),
    7: ((0, -1, 1), (-1, 0, 1)),
    8: ((0, 1, 0), (-1, 0, 1)),
}
UPRIGHT_ORIENTATION = 1


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places in the upright picture."""
    return orientation >= 5


@dataclass(frozen=True)
class Geometry:
    """How one picture lies in the model's input.

    `width` and `height` are pixels of the upright picture, `input_width` and `input_height` those of the model's input. The part of the
    input from `left`, `top`, `covered_width` by `covered_height` pixels (floats), shows the whole picture: smaller than the input where it
    was letterboxed, larger where it was cropped. `orientation` is EXIF's where the model saw the picture without its rotation, else 1.
    """

    width: int
    height: int
    input_width: int
    input_height: int
    left: float
    top: float
    covered_width: float
    covered_height: float
    orientation: int = UPRIGHT_ORIENTATION

    @classmethod
    def whole(
        cls, width: int, height: int, input_width: int = 0, input_height: int = 0, orientation: int = UPRIGHT_ORIENTATION
    ) -> Geometry:
        """The picture fills the input: stretched, or at its own size, which then is the stored one."""
        if not input_width:
            input_width, input_height = (height, width) if swaps_sides(orientation) else (width, height)
        return cls(width, height, input_width, input_height, 0.0, 0.0, float(input_width), float(input_height), orientation)

    @cached_property
    def _affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        turn = np.asarray(_UPRIGHT[self.orientation], dtype=np.float64)
        scale = np.array([self.input_width / self.covered_width, self.input_height / self.covered_height])
        shift = np.array([-self.left / self.covered_width, -self.top / self.covered_height])
        moved: NDArray[np.float64] = turn[:, :2] @ shift + turn[:, 2]
        return turn[:, :2] * scale, moved

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points [..., 2] as (x, y) shares of the model's input, as shares of the upright picture."""
        matrix, shift = self._affine
        found: NDArray[np.float64] = points @ matrix.T + shift
        return found

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes [n, 4] as x_min, y_min, x_max, y_max, likewise, cut off at the picture's edges."""
        corners = self.points(boxes.reshape(-1, 2, 2))
        found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        cut: NDArray[np.float64] = np.clip(found, 0.0, 1.0)
        return cut

    def covered(self, width: int, height: int) -> tuple[slice, slice]:
        """Rows and columns, of an output of that many pixels over the whole input, that show the picture; at least one of each."""
        columns = _covered(self.left / self.input_width, (self.left + self.covered_width) / self.input_width, width)
        return _covered(self.top / self.input_height, (self.top + self.covered_height) / self.input_height, height), columns


def _covered(start: float, end: float, size: int) -> slice:
    """The pixels whose middle lies between two shares."""
    first = min(size - 1, max(0, int(np.ceil(start * size - 0.5))))
    last = min(size, max(first + 1, int(np.ceil(end * size - 0.5))))
    return slice(first, last)
