"""Files in every form that a picture comes in, painted small."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 13, 10


def _coloured(width: int, height: int) -> NDArray[Any]:
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _cv2(extension: str, pixels: NDArray[Any]) -> bytes:
    done, written = cv2.imencode(extension, pixels)
    assert done
    return written.tobytes()


def _pillow(image: Image.Image, form: str, **more: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, form, **more)
    return held.getvalue()


def _moving(form: str) -> bytes:
    frames = [Image.fromarray(np.roll(_coloured(WIDTH, HEIGHT), number, axis=1)) for number in range(3)]
    return _pillow(frames[0], form, save_all=True, append_images=frames[1:], duration=[40, 60, 80], loop=0)


def _transparent() -> bytes:
    alpha = np.linspace(0, 255, WIDTH * HEIGHT).astype(np.uint8).reshape(HEIGHT, WIDTH)
    return _cv2(".png", np.dstack([_coloured(WIDTH, HEIGHT), alpha]))


FORMS: dict[str, bytes] = {
    "1x1": _cv2(".png", _coloured(1, 1)),
    "1x9": _cv2(".png", _coloured(1, 9)),
    "9x1": _cv2(".png", _coloured(9, 1)),
    "grey": _cv2(".png", _coloured(WIDTH, HEIGHT)[:, :, 0]),
    "alpha": _transparent(),
    "palette": _pillow(Image.fromarray(_coloured(WIDTH, HEIGHT)).quantize(16), "PNG"),
    "16-bit PNG": _cv2(".png", _coloured(WIDTH, HEIGHT).astype(np.uint16) * 257),
    "16-bit grey TIFF": _cv2(".tiff", _coloured(WIDTH, HEIGHT)[:, :, 0].astype(np.uint16) * 257),
    "16-bit TIFF": _cv2(".tiff", _coloured(WIDTH, HEIGHT).astype(np.uint16) * 257),
    "CMYK JPEG": _pillow(Image.fromarray(_coloured(WIDTH, HEIGHT)).convert("CMYK"), "JPEG", quality=95),
    "grey JPEG": _cv2(".jpg", _coloured(WIDTH, HEIGHT)[:, :, 0]),
    "GIF": _moving("GIF"),
    "WebP": _moving("WEBP"),
}
