"""Small pictures for a screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.pictures.headers import Nature
from labelmesh_augment.pictures.picture import Frame, Picture
from labelmesh_augment.pictures.writing import Encoded, eight_bit, write
from labelmesh_augment.pipelines.pipeline import Format, Output

_QUALITY = 85
# A larger profile would be most of the file.
_MAX_PROFILE = 16_384
# Of animations: choosing colours takes its time.
_MAX_FRAMES = 60
_MAX_PIXELS = 4_000_000


def preview(picture: Picture, max_side: int) -> Encoded:
    """The picture as a file that every browser shows: JPEG, PNG where something is transparent, GIF where it moves.

    Its longer side has at most `max_side` pixels; smaller pictures are not enlarged. Of long animations it shows every second, third ...
    frame, each as long as those that it stands for.
    """
    frames = tuple(_small(frame, max_side) for frame in _chosen(picture.frames, max_side))
    format_ = Format.GIF if len(frames) > 1 else Format.JPEG if frames[0].alpha is None else Format.PNG
    return write(Picture(frames, _nature(picture)), Output(format_, quality=_QUALITY if format_ is Format.JPEG else 0))


def _chosen(frames: tuple[Frame, ...], max_side: int) -> list[Frame]:
    size = frames[0].size
    factor = min(1.0, max_side / max(size.width, size.height))
    pixels = max(1, int(size.pixels * factor * factor))
    most = min(_MAX_FRAMES, max(1, _MAX_PIXELS // pixels))
    every = -(-len(frames) // most)
    return [
        replace(frames[start], duration_ms=sum(frame.duration_ms for frame in frames[start : start + every]))
        for start in range(0, len(frames), every)
    ]


def _nature(picture: Picture) -> Nature:
    nature = picture.nature if isinstance(picture.nature, Nature) else Nature(Format.PNG)
    small = nature.profile is not None and len(nature.profile) <= _MAX_PROFILE
    return replace(nature, profile=nature.profile if small else None)


def _small(frame: Frame, max_side: int) -> Frame:
    frame = eight_bit(frame)
    size = frame.size
    factor = max_side / max(size.width, size.height)
    if factor >= 1:
        return frame
    sides = (max(1, round(size.width * factor)), max(1, round(size.height * factor)))
    if frame.alpha is None:
        return frame.with_pixels(_shrunk(frame.colour, sides), None)
    # What is transparent must not lend its colour to what is beside it.
    cover = frame.alpha if frame.gray else cv2.merge((frame.alpha, frame.alpha, frame.alpha))
    colour = _shrunk(cv2.multiply(frame.colour, cover, scale=1 / 255), sides)
    alpha = _shrunk(frame.alpha, sides)
    below = np.maximum(alpha, 1).astype(np.float32)
    shown = colour * (255 / (below if frame.gray else below[:, :, None]))
    return frame.with_pixels(np.minimum(shown + 0.5, 255).astype(np.uint8), alpha)


def _shrunk(pixels: NDArray[Any], sides: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA)
