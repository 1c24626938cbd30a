"""Files for tests, small and with something to see in them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(width: int = 96, height: int = 64, seed: int = 1) -> NDArray[np.uint8]:
    """Slopes of colour with some texture: (height, width, 3) RGB. Another seed is another picture."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    noise = np.random.default_rng(seed).integers(0, 25, (height, width))
    planes = [200 * x, 200 * y, 100 * (1 - x) + 100 * y]
    return np.clip(np.stack(planes, axis=-1) + noise[..., None], 0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], form: str = "PNG", **more: object) -> bytes:
    """A file of them."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **more)
    return file.getvalue()


def png(width: int = 96, height: int = 64, seed: int = 1) -> bytes:
    return encoded(scene(width, height, seed))


def jpeg(width: int = 96, height: int = 64, seed: int = 1) -> bytes:
    return encoded(scene(width, height, seed), "JPEG", quality=90)


def noise(width: int, height: int, seed: int = 1) -> bytes:
    """A PNG file that is as large as its pixels are."""
    return encoded(np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8), compress_level=1)


def pixels_of(content: bytes) -> NDArray[np.uint8]:
    """(height, width, 3) RGB."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))
