"""Animations: pictures that are painted over one another. GIF, APNG and animated WebP differ only in how they say what to paint.

Sources: GIF89a, 23; APNG 1.0 (PNG third edition, 11.3.6); WebP container, "ANMF".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.picture import Frame, Size

# Of what is mixed at once, so that numbers with fractions stay few.
_STRIP_PIXELS = 500_000


class Disposal(Enum):
    """What becomes of a patch before the next one is painted."""

    KEEP = 0
    # Its area becomes transparent.
    CLEAR = 1
    # What was there before it comes back.
    UNDO = 2


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One step of an animation: pixels at a place within the canvas. `over`: laid over what is there, else put in its place."""

    x: int
    y: int
    # All of one type and number of channels.
    colour: NDArray[Any]
    alpha: NDArray[Any] | None
    duration_ms: int = 0
    disposal: Disposal = Disposal.KEEP
    over: bool = True


def composed(size: Size, patches: Iterable[Patch]) -> tuple[Frame, ...]:
    """What is seen at each step, on a canvas that is transparent at first. Without alpha where nothing ever is transparent."""
    frames: list[Frame] = []
    canvas: tuple[NDArray[Any], NDArray[Any]] | None = None
    transparent = False
    for patch in patches:
        if canvas is None:
            shape = (size.height, size.width)
            canvas = np.zeros(shape + patch.colour.shape[2:], patch.colour.dtype), np.zeros(shape, patch.colour.dtype)
        colour, alpha = canvas
        height, width = patch.colour.shape[:2]
        area = np.s_[patch.y : patch.y + height, patch.x : patch.x + width]
        before = (colour[area].copy(), alpha[area].copy()) if patch.disposal is Disposal.UNDO else None
        _paint(colour[area], alpha[area], patch)
        frame = Frame(colour.copy(), alpha.copy(), patch.duration_ms)
        transparent = transparent or bool((alpha != frame.white).any())
        frames.append(frame)
        if before is not None:
            colour[area], alpha[area] = before
        elif patch.disposal is Disposal.CLEAR:
            colour[area], alpha[area] = 0, 0
    return tuple(frames if transparent else (frame.with_pixels(frame.colour, None) for frame in frames))


def _paint(colour: NDArray[Any], alpha: NDArray[Any], patch: Patch) -> None:
    """Paints into views of the canvas."""
    white = np.iinfo(colour.dtype).max
    if patch.alpha is None or not patch.over:
        colour[...] = patch.colour
        alpha[...] = white if patch.alpha is None else patch.alpha
        return
    rows = max(1, _STRIP_PIXELS // colour.shape[1])
    for top in range(0, len(colour), rows):
        strip = np.s_[top : top + rows]
        _mix(colour[strip], alpha[strip], patch.colour[strip], patch.alpha[strip], white)


def _mix(colour: NDArray[Any], alpha: NDArray[Any], above: NDArray[Any], cover: NDArray[Any], white: int) -> None:
    """Lays one over the other; neither is premultiplied. Source: Porter, Duff: Compositing digital images, 1984."""
    whole, none = cover == white, cover == 0
    part = ~(whole | none)
    colour[whole] = above[whole]
    alpha[whole] = white
    if not part.any():
        return
    over, under = cover[part].astype(np.float64) / white, alpha[part].astype(np.float64) / white
    total = over + under * (1 - over)
    share = over / total
    if colour.ndim == 3:
        share = share[:, None]
    below = colour[part].astype(np.float64)
    colour[part] = (below + (above[part] - below) * share + 0.5).astype(colour.dtype)
    alpha[part] = (total * white + 0.5).astype(alpha.dtype)
