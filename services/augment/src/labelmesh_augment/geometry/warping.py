"""Frames and masks moved by a motion, pixels once (see `geometry.resampling`)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.resampling import Outside, keeps_pixels, resample, resample_nearest
from labelmesh_augment.pictures.picture import Frame
from labelmesh_augment.pipelines.pipeline import Fill, FillKind

_BORDERS = {FillKind.COLOUR: cv2.BORDER_CONSTANT, FillKind.EDGE: cv2.BORDER_REPLICATE, FillKind.MIRROR: cv2.BORDER_REFLECT}


def warp(frame: Frame, motion: Motion, fill: Fill) -> Frame:
    """The frame after the motion. What comes in from outside is `fill`; of no colour, it is black, and transparent where there is an alpha.

    The frame has the motion's `source_size`. The result may share memory with it: where pixels only change places, or none does.
    """
    if motion.is_identity:
        return frame
    outside = Outside(_BORDERS[fill.kind], _colour(frame, fill))
    if frame.alpha is None:
        return frame.with_pixels(resample(frame.colour, motion, outside), None)
    clear = fill.kind is FillKind.COLOUR and fill.colour is None
    outside_alpha = Outside(outside.border, 0 if clear else frame.white)
    if keeps_pixels(motion):
        return frame.with_pixels(resample(frame.colour, motion, outside), resample(frame.alpha, motion, outside_alpha))
    if int(frame.alpha.min()) == frame.white:
        return _opaque(frame, frame.alpha, motion, outside, outside_alpha)
    return _premultiplied(frame, frame.alpha, motion, outside, outside_alpha)


def warp_mask(values: NDArray[Any], motion: Motion) -> NDArray[Any]:
    """The values after the motion, each that of the nearest pixel; outside is 0."""
    return values if motion.is_identity else resample_nearest(values, motion)


def _colour(frame: Frame, fill: Fill) -> Any:
    red, green, blue = fill.colour or (0, 0, 0)
    scale = frame.white // 255
    if frame.gray:
        return round((0.299 * red + 0.587 * green + 0.114 * blue) * scale)
    return (blue * scale, green * scale, red * scale)


def _opaque(frame: Frame, alpha: NDArray[Any], motion: Motion, outside: Outside, outside_alpha: Outside) -> Frame:
    """Without anything transparent in the frame, only its border may be."""
    if outside_alpha.value != 0:
        colour = resample(frame.colour, motion, outside)
        return frame.with_pixels(colour, np.full(colour.shape[:2], frame.white, alpha.dtype))
    colour = resample(frame.colour, motion, Outside(cv2.BORDER_REPLICATE))
    alpha = resample(alpha, motion, outside_alpha)
    colour[alpha == 0] = 0
    return frame.with_pixels(colour, alpha)


def _premultiplied(frame: Frame, alpha: NDArray[Any], motion: Motion, outside: Outside, outside_alpha: Outside) -> Frame:
    """Colours weigh as much as they are opaque, so that what is transparent does not bleed into what is not (Porter and Duff 1984)."""
    colour = frame.colour[:, :, None] if frame.gray else frame.colour
    planes = np.empty((*alpha.shape, colour.shape[2] + 1), np.float32)
    planes[:, :, -1] = alpha
    share = planes[:, :, -1:] * np.float32(1.0 / frame.white)
    np.multiply(colour, share, out=planes[:, :, :-1])
    opaque = outside_alpha.value / frame.white
    values = np.atleast_1d(outside.value) * opaque
    moved = resample(planes, motion, Outside(outside.border, (*values.tolist(), float(outside_alpha.value))))
    alpha_after = np.rint(moved[:, :, -1])
    weight = np.divide(np.float32(frame.white), moved[:, :, -1], out=np.zeros_like(alpha_after), where=alpha_after > 0)
    colour_after = np.clip(np.rint(moved[:, :, :-1] * weight[:, :, None]), 0, frame.white).astype(frame.colour.dtype)
    return frame.with_pixels(
        colour_after[:, :, 0] if frame.gray else colour_after, np.clip(alpha_after, 0, frame.white).astype(alpha.dtype)
    )
