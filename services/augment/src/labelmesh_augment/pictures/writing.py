"""Pictures become files again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from labelmesh_chassis.errors import FailedPrecondition
from numpy.typing import NDArray

from labelmesh_augment.pictures import exif, gif, jpeg, png, tiff, webp
from labelmesh_augment.pictures.headers import Nature
from labelmesh_augment.pictures.picture import Frame, Picture, Size
from labelmesh_augment.pictures.profiles import fitting
from labelmesh_augment.pipelines.pipeline import Format, Output

_MEDIA_TYPES = {
    Format.JPEG: "image/jpeg",
    Format.PNG: "image/png",
    Format.GIF: "image/gif",
    Format.WEBP: "image/webp",
    Format.TIFF: "image/tiff",
}
# What these formats can be.
_MOST_SIDE = {Format.JPEG: jpeg.MAX_SIDE, Format.WEBP: webp.MAX_SIDE, Format.GIF: gif.MAX_SIDE}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file and what is in it."""

    content: bytes = field(repr=False)
    media_type: str
    size: Size
    frames: int


def write(picture: Picture, output: Output | None = None) -> Encoded:
    """The picture as a file: always the same bytes for the same pixels, nature, output and versions of OpenCV, Pillow and zlib.

    In the input's format unless `output` asks for another; a picture that was not read from a file becomes PNG. JPEG and lossy WebP have
    the input's quality unless `output` says one. JPEG has no transparency: what is transparent is put on white. JPEG and TIFF do not move,
    nor does PNG unless the input was such a one: of an animation they hold the first frame. 16 bit stay in PNG and TIFF.

    FailedPrecondition (RESULT_TOO_LARGE) for sides that the format does not have.
    """
    output = output or Output()
    nature = picture.nature if isinstance(picture.nature, Nature) else Nature(Format.PNG)
    format_ = nature.format if output.format is Format.KEEP else output.format
    size = picture.size
    most = _MOST_SIDE.get(format_)
    if most is not None and max(size.width, size.height) > most:
        raise FailedPrecondition(
            "RESULT_TOO_LARGE", f"the result is {size.width:,} x {size.height:,} pixels; {format_.name} has at most {most:,} on a side"
        )
    frames = picture.frames if _moves(format_, nature) else picture.frames[:1]
    channels = 1 if frames[0].gray else 3
    profile = fitting(nature.profile, channels)
    exif_block = exif.cleared(nature.exif) if output.keep_metadata and nature.exif is not None else None
    xmp = exif.cleared_xmp(nature.xmp) if output.keep_metadata and nature.xmp is not None else None
    if format_ is Format.JPEG:
        content = jpeg.write(on_white(eight_bit(frames[0])), nature, output.quality, profile, exif_block, xmp)
    elif format_ is Format.PNG:
        content = png.write(frames, nature.plays, profile, exif_block, xmp)
    elif format_ is Format.TIFF:
        content = tiff.write(frames[0], nature, profile, exif_block, xmp)
    elif format_ is Format.GIF:
        content = gif.write(tuple(map(eight_bit, frames)), nature.plays)
    else:
        # Its pixels are colours always.
        profile = fitting(nature.profile, 3)
        content = webp.write(tuple(map(eight_bit, frames)), nature, output.quality, profile, exif_block, xmp)
    return Encoded(content, _MEDIA_TYPES[format_], size, len(frames))


def eight_bit(frame: Frame) -> Frame:
    """The frame with values of 8 bit."""
    if frame.colour.dtype == np.uint8:
        return frame
    return frame.with_pixels(_eight(frame.colour), None if frame.alpha is None else _eight(frame.alpha))


def on_white(frame: Frame) -> NDArray[Any]:
    """The colours of a frame of 8 bit as they are seen on white paper."""
    if frame.alpha is None:
        return frame.colour
    colour = np.empty_like(frame.colour)
    rows = max(1, 1_000_000 // frame.colour.shape[1])
    for top in range(0, len(colour), rows):
        strip = np.s_[top : top + rows]
        alpha = frame.alpha[strip].astype(np.uint32)
        if not frame.gray:
            alpha = alpha[:, :, None]
        colour[strip] = (frame.colour[strip] * alpha + (255 - alpha) * 255 + 127) // 255
    return colour


def _eight(values: NDArray[Any]) -> NDArray[Any]:
    return cv2.convertScaleAbs(values, alpha=1 / 257)


def _moves(format_: Format, nature: Nature) -> bool:
    return format_ in (Format.GIF, Format.WEBP) or (format_ is Format.PNG and nature.format is Format.PNG)
