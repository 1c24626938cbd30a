"""A digit as rows of numbers becomes the picture that was meant, or the row that is wrong is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_inference.classic.drawing import Cell, picture_of
from PIL import Image


def rows(value: float = 0.0) -> list[list[Cell]]:
    return [[value] * 28 for _ in range(28)]


def pixels_of(drawing: list[list[Cell]]) -> np.ndarray:
    with Image.open(io.BytesIO(picture_of(drawing))) as image:
        assert image.format == "PNG" and image.mode == "L"
        return np.asarray(image)


def test_numbers_up_to_255_are_pixels() -> None:
    drawing = rows()
    drawing[3][5] = 255.0
    drawing[4][6] = 127.6
    pixels = pixels_of(drawing)
    assert pixels.shape == (28, 28) and pixels[3, 5] == 255 and pixels[4, 6] == 128 and pixels.sum() == 383


def test_numbers_up_to_one_are_shares_of_white() -> None:
    drawing = rows()
    drawing[3][5] = 1.0
    drawing[4][6] = 0.5
    pixels = pixels_of(drawing)
    assert pixels[3, 5] == 255 and pixels[4, 6] == 128


def test_nothing_drawn_is_a_picture_too() -> None:
    assert pixels_of(rows()).max() == 0


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("7", 'the text "7"'),
        (None, "null"),
        (True, "true"),
        ([1.0], "a list"),
        ({}, "an object"),
        (-1.0, "-1"),
        (256.0, "256"),
        (float("nan"), "nan"),
    ],
)
def test_what_is_no_number_from_0_to_255_is_named_with_its_row(cell: Cell, words: str) -> None:
    drawing = rows()
    drawing[9][2] = cell
    with pytest.raises(InvalidArgument, match="row 9") as caught:
        picture_of(drawing)
    assert caught.value.reason == "WRONG_TYPE" and words in caught.value.message and caught.value.violations[0].field == "image[9]"


@pytest.mark.parametrize(("index", "length"), [(0, 27), (27, 29), (5, 0)])
def test_a_row_of_another_length_is_named(index: int, length: int) -> None:
    drawing = rows()
    drawing[index] = [0.0] * length
    with pytest.raises(InvalidArgument, match=f"row {index} of the image has {length} numbers") as caught:
        picture_of(drawing)
    assert caught.value.reason == "WRONG_SHAPE"


@pytest.mark.parametrize("count", [0, 1, 27, 29])
def test_another_number_of_rows_is_named(count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{count} rows"):
        picture_of([[0.0] * 28] * count)
