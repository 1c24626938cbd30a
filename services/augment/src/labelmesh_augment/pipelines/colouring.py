"""Colour changes put together: neighbouring linear ones are one matrix, which is cut off at black and white once.

What one of them lightens beyond white another can bring back, as with movements of the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pipelines.toning import WITHOUT_COLOURS
from labelmesh_augment.transforms.effects import ColourMatrix, Curve, Tones
from labelmesh_augment.transforms.tones import LUMA

Change = Tones | ColourMatrix

# Of numbers about 1, after a dozen products.
_NOTHING = 1e-9


def added(changes: Sequence[Change], change: Change) -> list[Change]:
    """The changes and one more after them, which becomes one with the last where both are linear."""
    last, next_ = _linear(changes[-1]) if changes else None, _linear(change)
    if next_ is None:
        return [*changes, change]
    if last is None:
        return [*changes, ColourMatrix(next_)]
    both = np.column_stack([next_[:, :3] @ last[:, :3], next_[:, :3] @ last[:, 3] + next_[:, 3]])
    return [*changes[:-1], ColourMatrix(both)]


def simplified(changes: Iterable[Change]) -> list[Change]:
    """The same, as curves wherever curves can do it; what leaves luma alone begins with WITHOUT_COLOURS itself."""
    return [simple for change in changes for simple in (_simple(change.matrix) if isinstance(change, ColourMatrix) else [change])]


def _linear(change: Change) -> NDArray[np.float64] | None:
    if isinstance(change, ColourMatrix):
        return change.matrix
    if change.line is None:
        return None
    slope, offset = change.line
    return np.column_stack([slope * np.eye(3), np.full(3, offset)])


def _simple(matrix: NDArray[np.float64]) -> list[Change]:
    slopes, offsets = matrix[:, :3], matrix[:, 3]
    if _same(slopes, np.diag(np.diag(slopes))):
        lines = [(float(slopes[channel, channel]), float(offsets[channel])) for channel in range(3)]
        if _same(slopes, slopes[0, 0] * np.eye(3)) and _same(offsets, offsets[:1]):
            return [*_curves(lines[:1])]
        return [*_curves(lines)]
    share = float(slopes[0].sum())
    if _same(slopes, np.tile(share * LUMA, (3, 1))) and _same(offsets, offsets[:1]):
        return [WITHOUT_COLOURS, *_curves([(share, float(offsets[0]))])]
    return [ColourMatrix(matrix)]


def _curves(lines: Sequence[tuple[float, float]]) -> list[Tones]:
    if all(abs(slope - 1.0) < _NOTHING and abs(offset) < _NOTHING for slope, offset in lines):
        return []
    return [Tones(tuple(_straight(*line) for line in lines), line=lines[0] if len(lines) == 1 else None)]


def _straight(slope: float, offset: float) -> Curve:
    return lambda values: values * slope + offset


def _same(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    return bool((np.abs(first - second) < _NOTHING).all())
