"""Values spread by how frequent they are: over the whole picture, or in each of its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.transforms.strips import by_strips, strips


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

    def change(values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype == np.uint8:
            return cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(across, down)).apply(values)
        return _equalized_deeply(values, clip_limit, across, down)

    return change(np.ascontiguousarray(colour)) if colour.ndim == 2 else _with_luma(colour, change)


def _equalized_deeply(values: NDArray[Any], clip_limit: float, across: int, down: int) -> NDArray[Any]:
    """The same for 16 bits, with histograms of 256 bins as for 8, and lines between what they say.

    OpenCV's own counts each of 65,536 values by itself. A part has too few of each to be limited: whatever the limit, noise would come out
    as strong as can be.
    """
    height, width = values.shape
    # OpenCV adds to both sides, and up to a whole pixel for each tile, where one of them cannot be divided.
    even = height % down == 0 and width % across == 0
    tile = (height // down, width // across) if even else (height // down + 1, width // across + 1)
    tables = _clipped_sums(values, clip_limit, across, down, tile)
    left, right, over = _between(width, across, tile[1])
    top, bottom, under = _between(height, down, tile[0])

    def change(part: NDArray[Any], rows: slice) -> NDArray[Any]:
        place = part.astype(np.float32) * np.float32(1.0 / 257.0)
        level = np.minimum(place.astype(np.int32), 254)
        rest = place - level
        level += left * 256
        aside = (right - left) * 256
        sides = []
        for tile in (top[rows], bottom[rows]):
            here = level + (tile * (across * 256))[:, np.newaxis]
            there = here + aside
            near = _on_line(tables, here, rest)
            sides.append(near + (_on_line(tables, there, rest) - near) * over)
        mixed = sides[0] + (sides[1] - sides[0]) * under[rows, np.newaxis]
        return np.rint(mixed).astype(np.uint16)

    return by_strips(values, change)


def _on_line(tables: NDArray[np.float32], index: NDArray[np.int32], rest: NDArray[np.float32]) -> NDArray[np.float32]:
    low = tables.take(index)
    low += (tables.take(index + 1) - low) * rest
    return low


def _between(side: int, tiles: int, tile: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """For each pixel along a side the tile whose centre comes before it and the one after, and how far it is on its way between them."""
    place = np.arange(side) / tile - 0.5
    before = np.floor(place)
    share = (place - before).astype(np.float32)
    first, second = (np.clip(before + step, 0, tiles - 1).astype(np.int32) for step in (0, 1))
    return first, second, share


def _clipped_sums(values: NDArray[Any], clip_limit: float, across: int, down: int, tile: tuple[int, int]) -> NDArray[np.float32]:
    """(tiles * 256,): what each of 256 levels becomes in each tile, 0 to 65535. What a bin has above the limit is given to all alike."""
    levels = cv2.LUT(values, np.rint(np.arange(65536) / 257.0).astype(np.uint8)).reshape(values.shape)
    height, width = tile
    levels = cv2.copyMakeBorder(levels, 0, height * down - values.shape[0], 0, width * across - values.shape[1], cv2.BORDER_REFLECT_101)
    most = max(1, int(clip_limit * height * width / 256.0))
    sums = []
    for row in range(0, height * down, height):
        for column in range(0, width * across, width):
            tile_levels = levels[row : row + height, column : column + width]
            counts = cv2.calcHist([tile_levels], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
            kept = np.minimum(counts, most)
            each, rest = divmod(int((counts - kept).sum()), 256)
            kept += each
            if rest:
                # As OpenCV does: one more to every so many.
                kept[:: max(256 // rest, 1)][:rest] += 1
            sums.append(np.cumsum(kept) * (65535.0 / (height * width)))
    return np.asarray(np.minimum(np.concatenate(sums), 65535.0), np.float32)


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
