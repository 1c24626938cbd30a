"""A digit as 28 rows of 28 numbers, and as a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from labelmesh_chassis.errors import InvalidArgument
from PIL import Image

SIDE = 28
_MOST = 255.0

# What a row may hold where it should hold a number: whatever JSON has.
Cell = float | str | bool | None | list[object] | dict[str, object]


def picture_of(rows: Sequence[Sequence[Cell]]) -> bytes:
    """The PNG file of a drawing: numbers 0 to 255, or 0 to 1 where none is above 1.

    InvalidArgument naming the row: WRONG_SHAPE unless there are 28 rows of 28, WRONG_TYPE for what is no number from 0 to 255.
    """
    if len(rows) != SIDE:
        raise InvalidArgument("WRONG_SHAPE", f"the image has {len(rows)} rows; wanted are {SIDE}", field="image")
    values = np.empty((SIDE, SIDE), dtype=np.float64)
    for number, row in enumerate(rows):
        if len(row) != SIDE:
            problem = f"row {number} of the image has {len(row)} numbers; wanted are {SIDE}"
            raise InvalidArgument("WRONG_SHAPE", problem, field=f"image[{number}]")
        for place, cell in enumerate(row):
            if isinstance(cell, bool) or not isinstance(cell, float | int) or not math.isfinite(cell) or not 0 <= cell <= _MOST:
                problem = f"row {number} of the image has {_shown(cell)} at place {place}; wanted are numbers from 0 to 255"
                raise InvalidArgument("WRONG_TYPE", problem, field=f"image[{number}]")
            values[number, place] = cell
    if values.max() <= 1:
        values *= _MOST
    file = io.BytesIO()
    Image.fromarray(np.rint(values).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def _shown(cell: Cell) -> str:
    match cell:
        case bool():
            return "true" if cell else "false"
        case float() | int():
            return f"{cell:g}"
        case str():
            return f'the text "{cell[:20]}"'
        case None:
            return "null"
        case list():
            return "a list"
        case _:
            return "an object"
