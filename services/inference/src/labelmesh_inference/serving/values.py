"""Tensors, signatures and versions as plain values: what a model takes, gives and is, without a word of how it travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import Any

import numpy as np
from labelmesh_chassis.errors import InvalidArgument
from numpy.typing import NDArray

Array = NDArray[Any]
MAX_DIMENSIONS = 32


class DataType(StrEnum):
    """What a tensor is made of. The quantized types and the 8-bit floats are TensorFlow's; see `Tensor.widened`."""

    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"
    STRING = "string"
    COMPLEX64 = "complex64"
    COMPLEX128 = "complex128"
    QINT8 = "qint8"
    QINT16 = "qint16"
    QINT32 = "qint32"
    QUINT8 = "quint8"
    QUINT16 = "quint16"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E4M3FNUZ = "float8_e4m3fnuz"
    FLOAT8_E4M3B11FNUZ = "float8_e4m3b11fnuz"
    FLOAT8_E5M2FNUZ = "float8_e5m2fnuz"


# How the elements lie in `content`. bfloat16 and the 8-bit floats lie there as bits.
STORAGE: dict[DataType, np.dtype[Any]] = {
    **{
        kind: np.dtype(kind.value).newbyteorder("<")
        for kind in DataType
        if kind is not DataType.STRING and not kind.startswith(("q", "bf", "float8"))
    },
    DataType.BFLOAT16: np.dtype("<u2"),
    DataType.QINT8: np.dtype("i1"),
    DataType.QINT16: np.dtype("<i2"),
    DataType.QINT32: np.dtype("<i4"),
    DataType.QUINT8: np.dtype("u1"),
    DataType.QUINT16: np.dtype("<u2"),
    **{kind: np.dtype("u1") for kind in DataType if kind.startswith("float8")},
}
_QUANTIZED = {
    DataType.QINT8: DataType.INT8,
    DataType.QINT16: DataType.INT16,
    DataType.QINT32: DataType.INT32,
    DataType.QUINT8: DataType.UINT8,
    DataType.QUINT16: DataType.UINT16,
}
_OF_KIND = {("f", 2): DataType.FLOAT16, ("f", 4): DataType.FLOAT32, ("f", 8): DataType.FLOAT64}
_OF_KIND |= {("i", size): DataType(f"int{size * 8}") for size in (1, 2, 4, 8)}
_OF_KIND |= {("u", size): DataType(f"uint{size * 8}") for size in (1, 2, 4, 8)}
_OF_KIND |= {("b", 1): DataType.BOOL, ("c", 8): DataType.COMPLEX64, ("c", 16): DataType.COMPLEX128}


@dataclass(frozen=True)
class Tensor:
    """Elements in row-major order, little-endian in `content`; those of a tensor of strings are in `strings` instead."""

    data_type: DataType
    # Empty for a single value.
    shape: tuple[int, ...]
    content: bytes = field(default=b"", repr=False)
    strings: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def elements(self) -> int:
        """How many the shape says there are."""
        return prod(self.shape)

    def check(self, name: str = "tensor") -> None:
        """InvalidArgument (WRONG_SHAPE, field `name`) where there is another number of elements than shape and type say."""
        if not is_shape(self.shape):
            raise InvalidArgument(
                "WRONG_SHAPE", f"{name} has a shape that no array can have: {list(self.shape)[:MAX_DIMENSIONS]}", field=name
            )
        if self.data_type is DataType.STRING:
            if len(self.strings) != self.elements or self.content:
                message = (
                    f"{name} of shape {list(self.shape)} needs {self.elements} strings and no content; it has {len(self.strings)} strings"
                )
                raise InvalidArgument("WRONG_SHAPE", message, field=name)
            return
        wanted = self.elements * STORAGE[self.data_type].itemsize
        if len(self.content) != wanted or self.strings:
            message = (
                f"{name} of type {self.data_type} and shape {list(self.shape)} needs {wanted} bytes of content; it has {len(self.content)}"
            )
            raise InvalidArgument("WRONG_SHAPE", message, field=name)

    def array(self) -> Array:
        """The elements as numpy has them, read-only where nothing had to be converted.

        bfloat16 and 8-bit floats come as float32, strings as objects that are bytes, quantized integers as the integers they are.
        InvalidArgument (WRONG_SHAPE) as of `check`.
        """
        self.check()
        if self.data_type is DataType.STRING:
            strings = np.empty(len(self.strings), dtype=object)
            strings[:] = self.strings
            return strings.reshape(self.shape)
        stored: Array = np.frombuffer(self.content, STORAGE[self.data_type]).reshape(self.shape)
        if self.data_type is DataType.BOOL:
            # A byte may be anything; numpy believes that it is 0 or 1.
            truths: Array = stored.view(np.uint8) != 0
            return truths
        if self.data_type is DataType.BFLOAT16:
            return (stored.astype(np.uint32) << 16).view(np.float32)
        if self.data_type in _FLOAT8:
            return _FLOAT8[self.data_type][stored]
        return stored

    def widened(self) -> Tensor:
        """The same numbers in a type of the product's contract: 8-bit floats as float32, quantized integers as plain ones, lossless."""
        if self.data_type in _FLOAT8:
            return Tensor.of(self.array())
        plain = _QUANTIZED.get(self.data_type)
        return self if plain is None else Tensor(plain, self.shape, self.content)

    @staticmethod
    def of(array: Array, data_type: DataType | None = None) -> Tensor:
        """An array as a tensor of its own type, or of `data_type` where the caller knows better (float32 as bfloat16 is rounded to even).

        InvalidArgument (WRONG_TYPE) for arrays of anything but numbers, booleans and bytes.
        """
        wanted = data_type or type_of(array)
        if wanted is DataType.STRING:
            return Tensor(wanted, array.shape, strings=tuple(_bytes_of(element) for element in array.ravel().tolist()))
        if wanted is DataType.BFLOAT16 and array.dtype != STORAGE[wanted]:
            array = _rounded_to_bfloat16(array)
        elif wanted in _FLOAT8 and array.dtype != np.uint8:
            raise InvalidArgument("WRONG_TYPE", f"{wanted} is made from its bits alone, as uint8; this is {array.dtype}")
        return Tensor(wanted, array.shape, array.astype(STORAGE[wanted], copy=False).tobytes())


def is_shape(shape: tuple[int, ...]) -> bool:
    """Whether an array can have it, be it empty: numpy counts its bytes without the dimensions of size 0, and up to 2**63."""
    return len(shape) <= MAX_DIMENSIONS and all(size >= 0 for size in shape) and prod(max(size, 1) for size in shape) < 2**58


def type_of(array: Array) -> DataType:
    """The data type whose elements an array has. InvalidArgument (WRONG_TYPE) for arrays of anything but numbers, booleans and bytes."""
    if array.dtype.kind in "OSU":
        return DataType.STRING
    found = _OF_KIND.get((array.dtype.kind, array.dtype.itemsize))
    if found is None:
        raise InvalidArgument("WRONG_TYPE", f"no model takes {array.dtype}; convert it to float32, say")
    return found


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a signature. -1 in its shape where any size fits; no shape where nothing is known of it."""

    name: str
    # As TensorFlow names it where it is none of ours, e.g. "variant".
    data_type: DataType | str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """What a version takes and gives, by name."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


class VersionState(StrEnum):
    """What the model server says of a version. ABSENT: it is not there or could not be loaded."""

    LOADING = "loading"
    AVAILABLE = "available"
    UNLOADING = "unloading"
    ABSENT = "absent"


@dataclass(frozen=True)
class ServedVersion:
    """A version as the model server knows it; `message` says why it could not be loaded."""

    version: int
    state: VersionState
    message: str = ""


@dataclass(frozen=True)
class Reply:
    """What a model answered, and which version of it."""

    version: int
    outputs: Mapping[str, Tensor]

    def array(self, name: str) -> Array:
        """One output as `Tensor.array`; KeyError where the model gave no such output."""
        return self.outputs[name].array()


def _bytes_of(element: object) -> bytes:
    if isinstance(element, bytes):
        return element
    if isinstance(element, str):
        return element.encode()
    raise InvalidArgument("WRONG_TYPE", f"an array of objects may hold bytes and text alone, not {type(element).__name__}")


def _rounded_to_bfloat16(array: Array) -> Array:
    bits = array.astype("<f4").view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


def _float8_table(exponent_bits: int, bias: int, *, style: str) -> Array:
    """The 256 values of an 8-bit float. Styles: ieee (infinities), fn (no infinities, NaN is all ones), fnuz (neither, NaN is minus zero).

    Source: https://arxiv.org/abs/2209.05433 and the table in ml_dtypes' README.
    """
    mantissa_bits = 7 - exponent_bits
    values = np.empty(256, np.float32)
    for bits in range(256):
        sign = -1.0 if bits & 0x80 else 1.0
        exponent, mantissa = (bits & 0x7F) >> mantissa_bits, bits & ((1 << mantissa_bits) - 1)
        if exponent == 0:
            value = mantissa * 2.0 ** (1 - bias - mantissa_bits)
        else:
            value = (1 + mantissa / (1 << mantissa_bits)) * 2.0 ** (exponent - bias)
        if style == "ieee" and exponent == (1 << exponent_bits) - 1:
            value = float("nan") if mantissa else float("inf")
        if (style == "fn" and bits & 0x7F == 0x7F) or (style == "fnuz" and bits == 0x80):
            value = float("nan")
        values[bits] = sign * value
    values.flags.writeable = False
    return values


_FLOAT8: dict[DataType, Array] = {
    DataType.FLOAT8_E5M2: _float8_table(5, 15, style="ieee"),
    DataType.FLOAT8_E4M3FN: _float8_table(4, 7, style="fn"),
    DataType.FLOAT8_E4M3FNUZ: _float8_table(4, 8, style="fnuz"),
    DataType.FLOAT8_E4M3B11FNUZ: _float8_table(4, 11, style="fnuz"),
    DataType.FLOAT8_E5M2FNUZ: _float8_table(5, 16, style="fnuz"),
}
