"""From the file of a picture to what the digits model takes: exactly as the mesh prepares it when the model is asked.

The model's manifest says the same in words (`manifests.digits_manifest`), and the service that answers reads it there. A test holds both
together, pixel by pixel.
"""

from __future__ import annotations

import io
import math

import numpy as np
from labelmesh_client import SourceError
from numpy.typing import NDArray
from PIL import Image, ImageOps

from labelmesh_training.values import Images

#: Width and height of what the model takes, in pixels.
SIDE = 28
SCALE = 1 / 255
_LIGHT = 128
_MAX_PIXELS = 100_000_000
#: A JPEG is decoded to a part of its size only while twice the pixels that are needed in each direction remain for the filter.
_DRAFT_GAP = 2.0

# Pillow's own limit warns from half of what the mesh takes; ours is checked before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


def prepare(content: bytes) -> Images:
    """A JPEG or PNG file as [28, 28], light on dark, 0 to 1: upright, grey, whole in the middle. Raises SourceError for what is neither."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as file:
            if file.width * file.height > _MAX_PIXELS:
                raise SourceError(f"the picture has {file.width:,} x {file.height:,} pixels; at most {_MAX_PIXELS:,} are taken")
            pixels = _fitted(file)
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"the picture cannot be read: {error}") from None
    if float(np.median(_edges(pixels))) >= _LIGHT:
        pixels = 255 - pixels
    square = np.zeros((SIDE, SIDE), dtype=np.uint8)
    top, left = (SIDE - pixels.shape[0]) // 2, (SIDE - pixels.shape[1]) // 2
    square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    scaled: Images = (square.astype(np.float64) * SCALE).astype(np.float32)
    return scaled


def _fitted(file: Image.Image) -> NDArray[np.uint8]:
    """The whole picture in as many pixels of the square as its shape allows."""
    width, height = file.size
    share = min(SIDE / width, SIDE / height)
    size = min(SIDE, max(1, round(width * share))), min(SIDE, max(1, round(height * share)))
    shrink = min(width / size[0], height / size[1]) / _DRAFT_GAP
    reduction = 1.0
    if file.format in ("JPEG", "MPO"):
        wanted = (max(1, math.ceil(width / shrink)), max(1, math.ceil(height / shrink))) if shrink >= 1 else None
        drafted = file.draft("L", wanted)
        if drafted is not None and wanted is not None:
            reduction = width / drafted[1][2]
    grey = _grey(file)
    if exif := file.info.get("exif"):
        grey.info["exif"] = exif
    small = grey.resize(size, Image.Resampling.BILINEAR, box=(0.0, 0.0, width / reduction, height / reduction))
    if exif:
        small.info["exif"] = exif
    return np.asarray(ImageOps.exif_transpose(small))


def _grey(file: Image.Image) -> Image.Image:
    """Luma of ITU-R 601, 8 bit; what is transparent lies on white."""
    if file.mode.startswith("I"):
        values = np.asarray(file).astype(np.uint32)  # Pillow's own conversion cuts off what is above 255
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if file.mode == "L" and "transparency" not in file.info:
        return file.copy()
    if file.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in file.info:
        shown = file.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, (255, 255, 255, 255)), shown).convert("RGB").convert("L")
    return file.convert("RGB").convert("L")


def _edges(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([pixels[0].ravel(), pixels[-1].ravel(), pixels[:, 0].ravel(), pixels[:, -1].ravel()])
