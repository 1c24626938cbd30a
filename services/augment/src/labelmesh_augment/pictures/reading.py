"""Files become pictures. What a file is, its sides and its frames are read and judged before any decoder sees its body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from labelmesh_augment.pictures import gif, jpeg, png, tiff, webp
from labelmesh_augment.pictures.headers import Header, Limits, refused, truncated
from labelmesh_augment.pictures.picture import Picture
from labelmesh_augment.pictures.sniffing import sniffed

__all__ = ["Header", "Limits", "PictureFile", "inspect", "opened", "read"]

_TAKEN = "JPEG, PNG, GIF, WebP and TIFF are taken"
_DEFAULT = Limits()


class PictureFile(Protocol):
    """A file whose header has been read and judged."""

    header: Header

    def read(self) -> Picture:
        """The picture, upright, all frames of the same size. InvalidArgument as for `reading.read`."""


_OPENERS: dict[bytes, Callable[[bytes, Limits], PictureFile]] = {
    jpeg.START: jpeg.JpegFile,
    png.START: png.PngFile,
    **dict.fromkeys(gif.STARTS, gif.GifFile),
    **dict.fromkeys(tiff.STARTS, tiff.TiffFile),
}


def inspect(content: bytes, limits: Limits = _DEFAULT) -> Header:
    """What the file's header says; no pixel is decoded. InvalidArgument as for `read`, as far as a header tells."""
    return opened(content, limits).header


def read(content: bytes, limits: Limits = _DEFAULT) -> Picture:
    """The picture in a JPEG, PNG, GIF, WebP or TIFF file, upright, all frames of the same size.

    InvalidArgument with the field `source`: EMPTY, TOO_LARGE, NOT_AN_IMAGE, FORMAT_NOT_ALLOWED, TRUNCATED, TOO_MANY_PIXELS,
    TOO_MANY_FRAMES.
    """
    return opened(content, limits).read()


def opened(content: bytes, limits: Limits = _DEFAULT) -> PictureFile:
    """The file, no pixel of it decoded. InvalidArgument as for `inspect`."""
    if not content:
        raise refused("EMPTY", "the file is empty")
    if len(content) > limits.bytes:
        raise refused("TOO_LARGE", f"the file has {len(content):,} bytes; at most {limits.bytes:,} are taken")
    for start, opener in _OPENERS.items():
        if content.startswith(start):
            return opener(content, limits)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return webp.WebpFile(content, limits)
    other = sniffed(content)
    if other is not None:
        raise refused("FORMAT_NOT_ALLOWED", f"the file is {other}; {_TAKEN}")
    if any(start.startswith(content) for start in (*_OPENERS, b"RIFF")):
        raise truncated("image", content)
    raise refused("NOT_AN_IMAGE", f"the file is no image that is known here; {_TAKEN}")
