"""Pictures of few colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MOST = 256
# So many are looked at to see whether there are few colours.
_PROBE = 4096


def paletted(colour: NDArray[Any], shown: NDArray[np.bool_] | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int | None]:
    """Numbers of colours (height, width), the colours (count, 3), and the number that stands for what is not shown, if there is any.

    `colour`: (height, width, 3), uint8; the palette's channels have the same order. Exact where there are at most 256 colours, the
    transparent one included; else by median cut. Source: Heckbert: Color image quantization for frame buffer display, 1982.
    """
    height, width = colour.shape[:2]
    hidden = shown is not None and not shown.all()
    most = _MOST - 1 if hidden else _MOST
    codes = _codes(colour[shown] if hidden and shown is not None else colour.reshape(-1, 3))
    exact = _few(codes, most)
    if exact is not None:
        palette = np.stack((exact >> 16, exact >> 8 & 255, exact & 255), axis=-1).astype(np.uint8)
        numbers = np.searchsorted(exact, codes).astype(np.uint8)
    else:
        # In one line, so that only what is shown is looked at.
        line = np.stack((codes >> 16, codes >> 8 & 255, codes & 255), axis=-1).astype(np.uint8)
        image = Image.fromarray(line.reshape(1, -1, 3)).quantize(most, Image.Quantize.MEDIANCUT)
        numbers = np.asarray(image).reshape(-1)
        palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    if not len(palette):
        palette = np.zeros((1, 3), np.uint8)
    if not hidden or shown is None:
        return numbers.reshape(height, width), palette, None
    placed = np.full((height, width), len(palette), np.uint8)
    placed[shown] = numbers
    return placed, np.concatenate((palette, np.zeros((1, 3), np.uint8))), len(palette)


def _codes(colours: NDArray[Any]) -> NDArray[Any]:
    """(count,): each colour as one number."""
    wide = colours.astype(np.uint32)
    return wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]


def _few(codes: NDArray[Any], most: int) -> NDArray[Any] | None:
    """The different colours in ascending order, or None for more than `most`."""
    if len(codes) > _PROBE and len(np.unique(codes[:: max(1, len(codes) // _PROBE)])) > most:
        return None
    found = np.unique(codes)
    return found if len(found) <= most else None
