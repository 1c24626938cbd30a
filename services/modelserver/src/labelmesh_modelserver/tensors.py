"""TensorProto to numpy and back, as fast as Python can: bytes where the wire has bytes.

Requests carry `tensor_content` or one of the `*_val` fields; replies carry `*_val`, because TensorFlow Serving writes its replies
with Tensor::AsProtoField (model_servers/server_core.h, predict_response_tensor_serialization_option). Source of the encoding:
tensorflow/core/framework/tensor.cc and tensor.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STRING = 7

# numpy's type of every tensorflow.DataType that can travel. Quantized types are numpy records in TensorFlow's Python.
_NUMPY: dict[int, Any] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    5: np.dtype(np.int16),
    6: np.dtype(np.int8),
    STRING: np.dtype(object),
    8: np.dtype(np.complex64),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
    11: np.dtype([("qint8", np.int8)]),
    12: np.dtype([("quint8", np.uint8)]),
    13: np.dtype([("qint32", np.int32)]),
    14: np.dtype(ml_dtypes.bfloat16),
    15: np.dtype([("qint16", np.int16)]),
    16: np.dtype([("quint16", np.uint16)]),
    17: np.dtype(np.uint16),
    18: np.dtype(np.complex128),
    19: np.dtype(np.float16),
    22: np.dtype(np.uint32),
    23: np.dtype(np.uint64),
    24: np.dtype(ml_dtypes.float8_e5m2),
    25: np.dtype(ml_dtypes.float8_e4m3fn),
}
_ENUM = {dtype: number for number, dtype in _NUMPY.items()}

# The *_val field of a type, and numpy's type of its elements on the wire.
_INT_FIELDS: dict[int, str] = {
    **dict.fromkeys((3, 4, 5, 6, 11, 12, 13, 15, 16, 17), "int_val"),
    9: "int64_val",
    10: "bool_val",
    22: "uint32_val",
    23: "uint64_val",
}
# Fields of fixed width on the wire: their packed bytes are the array's own (float_val, double_val, scomplex_val, dcomplex_val).
_FIXED_FIELDS: dict[int, tuple[str, int, Any]] = {
    1: ("float_val", 5, np.dtype("<f4")),
    2: ("double_val", 6, np.dtype("<f8")),
    8: ("scomplex_val", 9, np.dtype("<f4")),
    18: ("dcomplex_val", 12, np.dtype("<f8")),
}
_BIT_FIELDS = (14, 19)  # half_val: 16 bits each
_BYTE_FIELDS = (24, 25)  # float8_val: one byte each

_BOOL_FIELD = 11
_LENGTH_DELIMITED = 2
# From here on, reading the packed bytes beats asking the message for its numbers one by one.
_MANY = 256
# A shape alone, with no data, may not make this server allocate more than this.
_MAX_FILLED_BYTES = 1 << 31


class TensorError(ValueError):
    """A TensorProto that does not say what its shape and type promise."""


def decode(proto: Any) -> Array:
    """The array of a TensorProto. Where there are fewer values than elements, the last one is repeated; none at all are zeros.

    The array may share memory with the message and be read-only.

    Raises:
        TensorError: of an unknown type, an unknown or negative shape, or data of another size than the shape's.
    """
    dtype = _NUMPY.get(proto.dtype)
    if dtype is None:
        raise TensorError(f"tensors of type {proto.dtype} cannot be sent")
    if proto.tensor_shape.unknown_rank:
        raise TensorError("the shape is unknown")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise TensorError(f"the shape {shape} has a negative size")
    count = math.prod(shape)
    content = proto.tensor_content
    if content:
        if proto.dtype == STRING:
            return _filled(_read_strings(content, count), count, dtype).reshape(shape)
        if len(content) != count * dtype.itemsize:
            raise TensorError(f"{len(content)} bytes for the shape {shape} of {dtype.itemsize} bytes an element")
        return np.frombuffer(content, dtype).reshape(shape)
    if count * max(dtype.itemsize, 1) > _MAX_FILLED_BYTES:
        raise TensorError(f"the shape {shape} is too large")
    return _filled(_values(proto, dtype), count, dtype).reshape(shape)


def encode(array: Array, proto: Any) -> None:
    """Writes an array into an empty TensorProto the way TensorFlow Serving's replies have it.

    Raises:
        TensorError: of a type that cannot travel.
    """
    number = STRING if array.dtype.kind in "OSU" else _ENUM.get(array.dtype)
    if number is None:
        raise TensorError(f"tensors of type {array.dtype} cannot be sent")
    proto.dtype = number
    shape = proto.tensor_shape
    for size in array.shape:
        shape.dim.add(size=size)
    shape.SetInParent()
    if array.size == 0:
        return
    if number == STRING:
        proto.string_val.extend(item if isinstance(item, bytes) else str(item).encode() for item in array.ravel().tolist())
    elif number in _FIXED_FIELDS:
        proto.MergeFromString(_packed(_FIXED_FIELDS[number][1], np.ascontiguousarray(array).tobytes()))
    elif number == 10:
        proto.MergeFromString(_packed(_BOOL_FIELD, np.ascontiguousarray(array).tobytes()))
    elif number in _BIT_FIELDS:
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    elif number in _BYTE_FIELDS:
        proto.float8_val = np.ascontiguousarray(array).tobytes()
    else:
        flat = array.ravel()
        getattr(proto, _INT_FIELDS[number]).extend((flat[flat.dtype.names[0]] if flat.dtype.names else flat).tolist())


def _values(proto: Any, dtype: Any) -> Array:
    number = proto.dtype
    if number in _FIXED_FIELDS:
        name, field, wire = _FIXED_FIELDS[number]
        values = getattr(proto, name)
        numbers = _read_packed(proto, field, wire) if len(values) >= _MANY else np.fromiter(values, wire, len(values))
        return numbers.view(dtype) if dtype.kind == "c" else numbers
    if number == STRING:
        return _strings(proto.string_val)
    if number in _BIT_FIELDS:
        return np.fromiter(proto.half_val, np.uint16, len(proto.half_val)).view(dtype)
    if number in _BYTE_FIELDS:
        return np.frombuffer(proto.float8_val, dtype)
    values = getattr(proto, _INT_FIELDS[number])
    plain = dtype[0] if dtype.names else dtype
    # int_val is 32 bits wide: narrower types keep the low bits, as a C++ cast does.
    wide = np.fromiter(values, np.uint64 if number == 23 else np.int64, len(values))
    return wide.astype(plain).view(dtype)


def _strings(values: Iterable[bytes]) -> Array:
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _filled(values: Array, count: int, dtype: Any) -> Array:
    if len(values) == count:
        return values
    if len(values) > count:
        return values[:count]
    array = np.empty(count, dtype)
    if len(values):
        array[: len(values)] = values
        array[len(values) :] = values[-1]
    else:
        array[:] = b"" if dtype.kind == "O" else np.zeros((), dtype)
    return array


def _packed(field: int, content: bytes) -> bytes:
    """A packed repeated field on the wire: MergeFromString copies it in one piece."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise TensorError("the data ends within a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _read_packed(proto: Any, field: int, wire: Any) -> Array:
    """The numbers of a packed field, from the message's own serialization."""
    data = proto.SerializeToString()
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 != _LENGTH_DELIMITED:  # dtype and version_number are varints, and nothing else here is of fixed width
            _, at = _read_varint(data, at)
            continue
        length, at = _read_varint(data, at)
        if key >> 3 == field:
            return np.frombuffer(data, wire, length // wire.itemsize, at)
        at += length
    return np.empty(0, wire)


def _read_strings(content: bytes, count: int) -> Array:
    """Strings in tensor_content: all lengths as varints, then all bytes (port::DecodeStringList)."""
    lengths = []
    at = 0
    for _ in range(count):
        length, at = _read_varint(content, at)
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise TensorError(f"{len(content)} bytes for {count} strings that take {at + sum(lengths)}")
    items = []
    for length in lengths:
        items.append(content[at : at + length])
        at += length
    return _strings(items)
