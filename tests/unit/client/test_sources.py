"""The digits, and the PNG files they are written as."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh_client.sources.digits import grey_of_ink
from labelmesh_client.sources.png import grey_png
from PIL import Image


def test_ink_is_dark_on_white_paper_and_no_two_amounts_look_the_same() -> None:
    grey = [grey_of_ink(ink) for ink in range(17)]
    assert grey[0] == 255
    assert grey[16] == 0
    assert sorted(set(grey), reverse=True) == grey


@given(st.integers(1, 300), st.integers(1, 300))
def test_any_grey_picture_comes_back_from_its_png_as_it_was(width: int, height: int) -> None:
    pixels = bytes(range(256)) * (width * height // 256 + 1)
    pixels = pixels[: width * height]
    image = Image.open(io.BytesIO(grey_png(width, height, pixels)))
    image.load()
    assert (image.format, image.mode, image.size) == ("PNG", "L", (width, height))
    assert image.tobytes() == pixels


def test_a_png_is_the_same_file_on_every_machine() -> None:
    assert (
        hashlib.sha256(grey_png(2, 2, b"\x00\x40\x80\xff")).hexdigest()
        == "3bdbb4b0cec1691a9ba1b34aeb24bad931d43c65d618a9f428044cb8df65016e"
    )


def test_pixels_that_do_not_fill_the_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="3 pixels"):
        grey_png(2, 2, b"abc")
