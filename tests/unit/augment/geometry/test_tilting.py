"""Perspectives are those of OpenCV, by a shorter way."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.resampling import Outside, resample
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Warp
from labelmesh_augment.transforms.matrices import tilt
from numpy.typing import NDArray

CORNERS = [(0.05, -0.1), (0.02, 0.12), (-0.1, 0.04), (0.08, -0.06)]
HALF = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])


def smooth(size: Size, dtype: Any, channels: tuple[int, ...]) -> NDArray[Any]:
    """Without edges, where the hundredth of a pixel would show."""
    y, x = np.mgrid[: size.height, : size.width]
    wave = 0.5 + 0.25 * np.sin(x / 9) + 0.25 * np.cos(y / 7)
    values = (wave * np.iinfo(dtype).max).astype(dtype)
    return values if not channels else np.ascontiguousarray(np.stack([values, values // 2, values // 3], axis=2))


@pytest.mark.parametrize("size", [Size(320, 240), Size(2000, 300), Size(300, 900), Size(5, 4)], ids=str)
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("border", [cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT])
def test_a_tilted_picture_is_that_of_opencv(size: Size, channels: tuple[int, ...], dtype: Any, border: int) -> None:
    pixels = smooth(size, dtype, channels)
    matrix = tilt(CORNERS, size)
    found = resample(pixels, Motion.start(size).then(Warp(matrix, size)), Outside(border))
    centred = np.linalg.inv(HALF) @ matrix @ HALF
    expected = cv2.warpPerspective(pixels, centred, (size.width, size.height), flags=cv2.INTER_LINEAR, borderMode=border)
    # OpenCV rounds places to 32nds of a pixel, so one place in many is rounded the other way.
    off = np.abs(found.astype(int) - expected) / np.iinfo(dtype).max
    assert found.dtype == dtype and found.shape == pixels.shape
    assert np.quantile(off, 0.99) <= 0.01 and (off > 0.05).mean() < 0.002
