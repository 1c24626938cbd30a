"""What the parts of a training hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures [n, side, side], light on dark, 0 to 1, and what they show [n], 0 to 9."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def none(side: int) -> Pictures:
        return Pictures(np.zeros((0, side, side), dtype=np.float32), np.zeros(0, dtype=np.int64))

    def joined(self, *others: Pictures) -> Pictures:
        """These and the others, in this order."""
        parts = (self, *others)
        return Pictures(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))

    def at(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Pictures:
        return Pictures(self.images[places], self.labels[places])
