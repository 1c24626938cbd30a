"""Rows into the inputs of one call, and its outputs back to the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument

from labelmesh_inference.serving.values import STORAGE, Array, DataType, Reply, Tensor, type_of

# The inputs of one row by name, without the batch dimension.
Row = Mapping[str, Array | Tensor]
# What rows must have in common to share a call.
Form = tuple[tuple[str, DataType, tuple[int, ...]], ...]


def form_of(row: Row) -> Form:
    """Names, types and shapes of a row's inputs. InvalidArgument (WRONG_TYPE, WRONG_SHAPE, with the input as field) where one is unfit."""
    form = []
    for name, value in sorted(row.items()):
        if isinstance(value, Tensor):
            value.check(name)
            form.append((name, value.data_type, value.shape))
            continue
        try:
            form.append((name, type_of(value), value.shape))
        except InvalidArgument as wrong:
            raise InvalidArgument(wrong.reason, f"{name}: {wrong.message}", field=name) from None
    return tuple(form)


def packed(rows: Sequence[Row], form: Form) -> dict[str, Array | Tensor]:
    """Rows of one form as the inputs of a call: each with a first dimension of as many as there are rows. One row alone is not copied."""
    return {name: _stacked([row[name] for row in rows], kind, (len(rows), *shape)) for name, kind, shape in form}


def unpacked(reply: Reply, rows: int) -> list[dict[str, Array]]:
    """The outputs of each row. FailedPrecondition (MANIFEST_MISMATCH) where an output's first dimension is not the number of rows."""
    arrays: dict[str, Array] = {}
    for name, tensor in reply.outputs.items():
        if not tensor.shape or tensor.shape[0] != rows:
            message = f"output {name} has the shape {list(tensor.shape)} for a batch of {rows}; its first dimension must be the batch"
            raise FailedPrecondition("MANIFEST_MISMATCH", message)
        arrays[name] = tensor.array()
    return [{name: _row_of(array, place) for name, array in arrays.items()} for place in range(rows)]


def _row_of(array: Array, place: int) -> Array:
    # Of a list of single values an index would make a scalar, which is no array.
    row: Any = array[place, ...]
    return np.asarray(row, dtype=array.dtype)


def _stacked(values: Sequence[Array | Tensor], kind: DataType, shape: tuple[int, ...]) -> Array | Tensor:
    if len(values) == 1:
        alone = values[0]
        return Tensor(kind, shape, alone.content, alone.strings) if isinstance(alone, Tensor) else alone[np.newaxis, ...]
    if kind is DataType.STRING:
        strings = tuple(element for value in values for element in (value if isinstance(value, Tensor) else Tensor.of(value)).strings)
        return Tensor(kind, shape, strings=strings)
    storage = STORAGE[kind]
    return Tensor(kind, shape, b"".join([_bytes(value, storage) for value in values]))


def _bytes(value: Array | Tensor, storage: np.dtype[Any]) -> Any:
    if isinstance(value, Tensor):
        return value.content
    # Joining copies once, straight from the array's memory.
    return np.ascontiguousarray(value, dtype=storage)
