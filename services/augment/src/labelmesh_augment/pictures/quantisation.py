"""The quality that a JPEG was written with, out of its quantisation tables.

Source: Independent JPEG Group, jcparam.c: tables of ITU-T T.81, annex K.1, scaled by 5000 / quality below 50 and 200 - 2 quality above.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)


def _zigzag(table: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """As files have them: diagonal by diagonal, each the other way round."""
    places = sorted(((x + y, x if (x + y) % 2 else y, y, x) for y in range(8) for x in range(8)), key=lambda place: place[:2])
    return np.array([table[y][x] for _, _, x, y in places], dtype=np.int64)


def _scaled(table: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """(100, 64): the table at each quality from 1."""
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return np.clip((_zigzag(table)[None, :] * scales[:, None] + 50) // 100, 1, 255).astype(np.uint8)


_TABLES = (_scaled(_LUMA), _scaled(_CHROMA))
_KNOWN = tuple({bytes(row): quality for quality, row in enumerate(tables, 1)} for tables in _TABLES)
_LOGARITHMS = tuple(np.log2(tables.astype(np.float64)) for tables in _TABLES)


def quality_of(table: bytes, *, chroma: bool, likely: int = 0) -> int:
    """The quality, 1 to 100, whose table this is; of others the one with the nearest steps, by their ratios.

    The lowest qualities share tables of chroma: then it is the `likely` one.

    `table`: 64 numbers in the order of files, of 8 bit or of 16 bit, big endian.
    """
    which = int(chroma)
    if len(table) == 128:
        table = bytes(min(255, step) for step in struct.unpack(">64H", table))
    if likely and table == bytes(_TABLES[which][likely - 1]):
        return likely
    known = _KNOWN[which].get(table)
    if known is not None:
        return known
    steps = np.log2(np.maximum(np.frombuffer(table, np.uint8), 1).astype(np.float64))
    return 1 + int(np.abs(_LOGARITHMS[which] - steps).sum(axis=1).argmin())
