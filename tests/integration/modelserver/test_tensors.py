"""TensorProto to arrays and back, beside TensorFlow's own functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from labelmesh_modelserver.tensors import Array, TensorError, decode, encode
from tensorflow.core.framework import tensor_pb2
from tensorflow.python.framework import dtypes

_TYPES = [
    *(tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int8, tf.uint8, tf.int16, tf.uint16, tf.int32, tf.uint32, tf.int64, tf.uint64),
    *(tf.bool, tf.complex64, tf.complex128),
]
_SHAPES = nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


def _arrays() -> Any:
    def of(kind: Any, shape: tuple[int, ...], seed: int) -> Array:
        numbers = np.random.default_rng(seed).integers(-100, 100, shape)
        return np.asarray(np.abs(numbers) if kind.is_unsigned else numbers).astype(kind.as_numpy_dtype)

    return st.builds(of, st.sampled_from(_TYPES), _SHAPES, st.integers(0, 2**32))


@given(_arrays())
@settings(max_examples=150, deadline=None)
def test_what_tensorflow_writes_is_read_and_what_is_written_tensorflow_reads(array: Array) -> None:
    np.testing.assert_array_equal(decode(tf.make_tensor_proto(array)), array)
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    back = tf.make_ndarray(proto)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(decode(proto), array)
    assert not proto.tensor_content


@given(st.lists(st.binary(max_size=20), max_size=10), st.booleans())
@settings(deadline=None)
def test_strings_are_read_and_written(items: list[bytes], as_matrix: bool) -> None:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    array = array.reshape((len(items), 1)) if as_matrix else array
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    assert decode(proto).tolist() == array.tolist()
    assert decode(tf.make_tensor_proto(array, dtype=tf.string, shape=array.shape)).tolist() == array.tolist()


@pytest.mark.parametrize("size", [3, 255, 256, 100_000])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.complex64, np.complex128])
def test_many_typed_numbers_are_read_from_the_wire_as_they_are(size: int, kind: Any) -> None:
    array = np.linspace(-1, 1, size).astype(kind)
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    proto.version_number = 7
    np.testing.assert_array_equal(decode(proto), array)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"float_val": [1.5]}, [1.5, 1.5, 1.5]),  # the last value is repeated: tensor.cc, FromProtoField
        ({"float_val": [1.5, 2.5]}, [1.5, 2.5, 2.5]),
        ({}, [0, 0, 0]),
        ({"float_val": [1, 2, 3, 4]}, [1, 2, 3]),
    ],
)
def test_fewer_values_than_elements_repeat_the_last_one(fields: dict[str, Any], values: list[float]) -> None:
    proto = tensor_pb2.TensorProto(dtype=1, **fields)
    proto.tensor_shape.dim.add(size=3)
    assert decode(proto).tolist() == values
    assert (
        decode(proto).tolist() == tf.constant(tf.make_ndarray(proto)[:3]).numpy().tolist()
        if len(fields.get("float_val", [])) == 1
        else True
    )


@pytest.mark.parametrize("kind", [tf.qint8, tf.quint8, tf.qint16, tf.quint16, tf.qint32])
def test_quantized_types_travel(kind: Any) -> None:
    record = np.dtype(kind.as_numpy_dtype)
    _check_travel(np.arange(4).astype(record[0]).view(record), kind.as_datatype_enum)


@pytest.mark.parametrize("kind", [dtypes.float8_e5m2, dtypes.float8_e4m3fn])
def test_floats_of_8_bits_travel(kind: Any) -> None:
    _check_travel(np.arange(4).astype(kind.as_numpy_dtype), kind.as_datatype_enum)


def _check_travel(array: Array, number: int) -> None:
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    assert proto.dtype == number
    assert decode(proto).dtype == array.dtype
    assert decode(proto).tobytes() == array.tobytes()


def test_strings_in_content_are_read_like_tensorflow_writes_them() -> None:
    """Source: tensorflow/core/lib/core/coding, port::EncodeStringList: all lengths, then all bytes."""
    proto = tensor_pb2.TensorProto(dtype=7, tensor_content=b"\x01\x02abb")
    proto.tensor_shape.dim.add(size=2)
    assert decode(proto).tolist() == [b"a", b"bb"]
    proto.tensor_content = b"\x01\x09abb"
    with pytest.raises(TensorError):
        decode(proto)


@pytest.mark.parametrize(
    "change",
    [
        lambda proto: setattr(proto, "dtype", 0),
        lambda proto: setattr(proto, "dtype", 20),
        lambda proto: setattr(proto.tensor_shape, "unknown_rank", True),
        lambda proto: setattr(proto.tensor_shape.dim[0], "size", -1),
        lambda proto: setattr(proto.tensor_shape.dim[0], "size", 2**40),
        lambda proto: setattr(proto, "tensor_content", b"12345"),
    ],
    ids=["no type", "a resource", "unknown rank", "negative size", "a shape of 4 TB without data", "five bytes for two floats"],
)
def test_a_tensor_that_contradicts_itself_is_refused(change: Any) -> None:
    proto = tensor_pb2.TensorProto(dtype=1)
    proto.tensor_shape.dim.add(size=2)
    change(proto)
    with pytest.raises(TensorError):
        decode(proto)
