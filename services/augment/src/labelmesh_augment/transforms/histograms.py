"""Values spread by how frequent they are: over the whole picture, or in each of its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.transforms.strips import strips


def equalized(colour: NDArray[Any], each: bool) -> NDArray[Any]:
    """(height, width) or (height, width, 3) BGR, uint8 or uint16. `each` channel by itself, or their luma (BT.601) alone.

    Where all values are the same, they stay.
    """
    if colour.ndim == 2:
        return _equalized_plane(colour)
    if each:
        return cv2.merge([_equalized_plane(plane) for plane in cv2.split(colour)])
    return _with_luma(colour, _equalized_plane)


def equalized_locally(colour: NDArray[Any], clip_limit: float, tiles: int) -> NDArray[Any]:
    """Contrast limited adaptive histogram equalisation of the luma, in `tiles` x `tiles` parts, at least 2 pixels a side."""
    across, down = (max(1, min(tiles, side // 2)) for side in (colour.shape[1], colour.shape[0]))
    clahe = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(across, down))
    if colour.ndim == 2:
        return clahe.apply(np.ascontiguousarray(colour))
    return _with_luma(colour, clahe.apply)


def _with_luma(colour: NDArray[Any], change: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Luma changed, colour differences kept. Equal channels stay equal."""
    parts = cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_BGR2YCrCb)
    cv2.insertChannel(change(cv2.extractChannel(parts, 0)), parts, 0)
    changed: NDArray[Any] = cv2.cvtColor(parts, cv2.COLOR_YCrCb2BGR, dst=parts)
    return changed


def _equalized_plane(values: NDArray[Any]) -> NDArray[Any]:
    values = np.ascontiguousarray(values)
    if values.dtype == np.uint8:
        return cv2.equalizeHist(values)
    counts = np.zeros(65536, np.int64)
    for rows in strips(values):
        counts += np.bincount(values[rows].reshape(-1), minlength=65536)
    lowest = int(counts[np.flatnonzero(counts)[0]])
    if lowest == values.size:
        return values.copy()
    below = np.cumsum(counts) - lowest
    table = np.rint(np.maximum(below, 0) * (65535.0 / (values.size - lowest))).astype(np.uint16)
    return cv2.LUT(values, table).reshape(values.shape)
