"""A picture some rows at a time, so that what is computed in larger types than its own stays small however large it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Values of all channels. What is made of them as float32 stays in the cache of a core; four times as many take six times as long.
STRIP_VALUES = 1 << 16

# The part, and which rows it is.
StripChange = Callable[[NDArray[Any], slice], NDArray[Any]]


def strips(colour: NDArray[Any]) -> Iterator[slice]:
    """Rows from the first to the last, a few at a time, at least one."""
    rows = max(1, STRIP_VALUES * colour.shape[0] // max(1, colour.size))
    for start in range(0, colour.shape[0], rows):
        yield slice(start, min(start + rows, colour.shape[0]))


def by_strips(colour: NDArray[Any], change: StripChange) -> NDArray[Any]:
    """A new picture of the same shape and type, of what `change` makes of each part."""
    changed: NDArray[Any] = np.empty(colour.shape, colour.dtype)
    for rows in strips(colour):
        changed[rows] = change(colour[rows], rows)
    return changed
