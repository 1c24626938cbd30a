"""Small pictures for a screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
from numpy.typing import NDArray

from labelmesh_augment.pictures.headers import Nature
from labelmesh_augment.pictures.picture import Frame, Picture
from labelmesh_augment.pictures.writing import Encoded, eight_bit, write
from labelmesh_augment.pipelines.pipeline import Format, Output

_QUALITY = 85
# A larger profile would be most of the file.
_MAX_PROFILE = 16_384


def preview(picture: Picture, max_side: int) -> Encoded:
    """The picture as a file that every browser shows: JPEG, or PNG where something is transparent.

    Its longer side has at most `max_side` pixels; smaller pictures are not enlarged.
    """
    frames = tuple(_small(frame, max_side) for frame in picture.frames[:1])
    format_ = Format.JPEG if frames[0].alpha is None else Format.PNG
    return write(Picture(frames, _nature(picture)), Output(format_, quality=_QUALITY if format_ is Format.JPEG else 0))


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
    alpha = _shrunk(frame.alpha, sides)
    return frame.with_pixels(_shrunk(frame.colour, sides), alpha)


def _shrunk(pixels: NDArray[Any], sides: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA)
