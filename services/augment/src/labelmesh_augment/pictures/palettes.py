"""Pictures of few colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MOST = 256
# Of what is looked at where colours must be chosen.
_SAMPLE = 200_000
# Few of a picture's pixels show whether it has few colours; then all are compared with those, and what is new is added so often.
_PROBE = 4096
_ROUNDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Up to 255 colours (count, 3), and the nearest one to each colour of 5 bits a channel (32768,)."""

    colours: NDArray[np.uint8]
    nearest: NDArray[np.uint8]


def chosen(pictures: Iterable[NDArray[Any]], pixels: int) -> Chosen:
    """Colours for pictures (height, width, 3) of so many pixels together, the same for all of them, so that nothing flickers.

    By median cut over a part of the pixels. Source: Heckbert: Color image quantization for frame buffer display, 1982.
    """
    # Apart by a number that no width is a multiple of, as far as possible, so that they do not lie in columns.
    apart = max(1, pixels // _SAMPLE) | 1
    sample = np.concatenate([picture.reshape(-1, 3)[::apart] for picture in pictures])
    image = Image.fromarray(sample.reshape(1, -1, 3)).quantize(_MOST - 1, Image.Quantize.MEDIANCUT)
    colours = np.array(image.getpalette() or [0, 0, 0], np.uint8).reshape(-1, 3)
    levels = np.arange(4, 256, 8, dtype=np.float32)
    cells = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    wide = colours.astype(np.float32)
    distances = (wide * wide).sum(axis=1)[None, :] - 2 * (cells @ wide.T)
    return Chosen(colours, distances.argmin(axis=1).astype(np.uint8))


def paletted(
    colour: NDArray[Any], shown: NDArray[np.bool_] | None, otherwise: Callable[[], Chosen]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int | None]:
    """Numbers of colours (height, width), the colours (count, 3), and the number that stands for what is not shown; None without `shown`.

    `colour`: (height, width, 3), uint8; the palette's channels have the same order. Exact where there are at most 256 colours, the
    transparent one included; else those of `otherwise`.
    """
    height, width = colour.shape[:2]
    pixels = colour.reshape(-1, 3) if shown is None else colour[shown]
    exact = _exact(pixels, _MOST if shown is None else _MOST - 1)
    if exact is not None:
        numbers, palette = exact
    else:
        palette = otherwise().colours
        numbers = otherwise().nearest[_codes(pixels >> 3, 5)]
    if shown is None:
        return numbers.reshape(height, width), palette, None
    placed = np.full((height, width), len(palette), np.uint8)
    placed[shown] = numbers
    return placed, np.concatenate((palette, np.zeros((1, 3), np.uint8))), len(palette)


def _exact(pixels: NDArray[Any], most: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Numbers and colours of pixels (count, 3), or None where there are more than `most` colours."""
    if not len(pixels):
        return np.zeros(0, np.uint8), np.zeros((1, 3), np.uint8)
    known = np.unique(_codes(pixels[:: max(1, len(pixels) // _PROBE)], 8))
    if len(known) > most:
        return None
    codes = _codes(pixels, 8)
    for _ in range(_ROUNDS):
        places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        new = known[places] != codes
        if not new.any():
            palette = np.stack((known >> 16, known >> 8 & 255, known & 255), axis=-1).astype(np.uint8)
            return places.astype(np.uint8), palette
        known = np.union1d(known, codes[new][:1_000_000])
        if len(known) > most:
            return None
    return None


def _codes(colours: NDArray[Any], bits: int) -> NDArray[Any]:
    """(count,): each colour as one number."""
    wide = colours.astype(np.uint32)
    return wide[:, 0] << 2 * bits | wide[:, 1] << bits | wide[:, 2]
