"""What a model gets of large pictures."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_inference.serving.values import DataType
from PIL import Image

from tests.unit.inference.predictions.photographs import file_of
from tests.unit.inference.predictions.test_preparation import pixels_of


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_a_large_picture_that_is_converted_in_strips_is_the_same_as_a_small_one(mode: str) -> None:
    bands = {"RGBA": 4, "LA": 2}.get(mode, 1)
    noise = np.random.default_rng(5).integers(0, 256, (80, 90, bands), dtype=np.uint8).squeeze()
    tile = Image.fromarray(noise.astype(np.uint16) * 257 if mode == "I;16" else noise)
    more: dict[str, Any] = {}
    if mode == "P":
        tile = tile.convert("P")
        tile.putpalette(bytes(range(256)) * 3)
        more["transparency"] = 7
    large = tile.crop((0, 0, 90, 80 * 150))
    for number in range(150):
        large.paste(tile, (0, 80 * number))
    small = pixels_of(file_of(tile, **more))
    assert np.array_equal(pixels_of(file_of(large, **more)), np.tile(small, (150, 1, 1)))


def test_a_large_transparent_picture_takes_little_more_memory_than_its_pixels() -> None:
    peak = """
import io, resource
from PIL import Image
from labelmesh_inference.predictions.pictures import PictureFile
file = io.BytesIO()
Image.new("RGBA", (500, 50_000)).save(file, "PNG", compress_level=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
PictureFile(file.getvalue()).pixels(gray=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", peak], capture_output=True, text=True, check=True, timeout=60).stdout)
    # The picture takes 100 MB, and what is made of it 25 MB. In KiB.
    assert grown < 100_000


def test_a_picture_at_its_own_size_that_fits_no_message_is_refused() -> None:
    content = file_of(Image.new("L", (6000, 5000)))
    with pytest.raises(InvalidArgument) as caught:
        pixels_of(content, DataType.FLOAT32)
    assert caught.value.reason == "TOO_MANY_PIXELS" and "max_side" in caught.value.message
    assert pixels_of(content, DataType.FLOAT32, max_side=60).shape == (50, 60, 3)
