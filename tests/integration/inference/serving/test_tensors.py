"""Tensors in every form, with TensorFlow's own reading and writing of them as the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from labelmesh.tfserving.v1 import tensors_pb2
from labelmesh_chassis.errors import FailedPrecondition
from labelmesh_inference.serving.values import Array, DataType, Tensor
from labelmesh_inference.serving.wire import read_tensor, serialized_tensor
from tensorflow.core.framework import tensor_pb2

generous = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
shapes = numbers.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)

# TensorFlow's name, the list its values stand in, what may stand there, and what numpy makes of it.
FORMS: list[tuple[str, str, st.SearchStrategy[Any]]] = [
    ("float32", "float_val", st.floats(width=32)),
    ("float64", "double_val", st.floats()),
    ("int32", "int_val", st.integers(-(2**31), 2**31 - 1)),
    ("int16", "int_val", st.integers(-(2**15), 2**15 - 1)),
    ("int8", "int_val", st.integers(-(2**7), 2**7 - 1)),
    ("uint8", "int_val", st.integers(0, 2**8 - 1)),
    ("uint16", "int_val", st.integers(0, 2**16 - 1)),
    ("uint32", "uint32_val", st.integers(0, 2**32 - 1)),
    ("uint64", "uint64_val", st.integers(0, 2**64 - 1)),
    ("int64", "int64_val", st.integers(-(2**63), 2**63 - 1)),
    ("bool", "bool_val", st.booleans()),
    ("half", "half_val", st.integers(0, 2**16 - 1)),
    ("bfloat16", "half_val", st.integers(0, 2**16 - 1)),
    ("complex64", "scomplex_val", st.floats(width=32)),
    ("complex128", "dcomplex_val", st.floats()),
    ("string", "string_val", st.binary(max_size=6)),
]
NAMES = [form[0] for form in FORMS]


def through_ours(proto: Any) -> Tensor:
    return read_tensor(tensors_pb2.Tensor.FromString(proto.SerializeToString()))


def genuine(value: Tensor | Array) -> Any:
    return tensor_pb2.TensorProto.FromString(serialized_tensor(value))


def same(found: Array, wanted: Array) -> bool:
    if found.shape != wanted.shape:
        return False
    if found.dtype.kind == "O":
        return bool(found.tolist() == wanted.tolist())
    return bool(np.array_equal(found, wanted, equal_nan=found.dtype.kind in "fc"))


@pytest.mark.parametrize(("name", "field", "values"), FORMS, ids=NAMES)
@generous
@given(data=st.data())
def test_a_list_of_values_is_read_as_tensorflow_reads_it(
    name: str, field: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    shape = data.draw(shapes)
    width = 2 if "complex" in name else 1
    count = data.draw(st.integers(0, int(np.prod(shape))))
    drawn = data.draw(st.lists(values, min_size=count * width, max_size=count * width))
    proto = tensor_pb2.TensorProto(
        dtype=tf.as_dtype(name).as_datatype_enum, tensor_shape=tf.TensorShape(shape).as_proto(), **{field: drawn}
    )
    found, wanted = through_ours(proto).array(), tf.make_ndarray(proto)
    if name == "string" and not drawn:
        # Python's reader gives text where there is nothing; C++'s gives bytes.
        wanted = np.full(shape, b"", object)
    # bfloat16 is a type of its own there, and float32 with the same value here.
    assert same(found, wanted.astype(np.float32) if name == "bfloat16" else wanted)


@pytest.mark.parametrize("name", NAMES)
@generous
@given(data=st.data())
def test_what_tensorflow_writes_is_read_as_it_was(name: str, data: st.DataObject) -> None:
    array = data.draw(drawn_arrays(name))
    # A NumPy array goes as content; Python's lists, and single values, go as lists of values.
    assert same(through_ours(tf.make_tensor_proto(array)).array(), plain(array))
    if name != "uint64":  # TensorFlow itself makes floats of a list of those and loses the last digits.
        listed = tf.make_tensor_proto(array.tolist(), dtype=tf.as_dtype(name), shape=array.shape)
        assert same(through_ours(listed).array(), plain(array))


@pytest.mark.parametrize("name", NAMES)
@generous
@given(data=st.data())
def test_what_we_write_is_read_by_tensorflow_as_it_was(name: str, data: st.DataObject) -> None:
    array = data.draw(drawn_arrays(name))
    ours = Tensor.of(plain(array), DataType.BFLOAT16) if name == "bfloat16" else array
    proto = genuine(ours)
    assert proto.dtype == tf.as_dtype(name).as_datatype_enum
    assert same(plain(tf.make_ndarray(proto)), plain(array))
    # Its C++ reads it too, which is what a server does.
    assert same(plain(tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(name)).numpy()), plain(array))


@st.composite
def drawn_arrays(draw: st.DrawFn, name: str) -> Array:
    shape = draw(shapes)
    if name == "string":
        strings = np.empty(shape, object)
        for place in np.ndindex(shape):
            strings[place] = draw(st.binary(max_size=6))
        return strings
    kind = tf.as_dtype(name).as_numpy_dtype
    if name == "bfloat16":
        bits: Array = draw(numbers.arrays(np.uint16, shape))
        # Any NaN is a NaN.
        return np.where(np.isnan(bits.view(kind).astype(np.float32)), np.uint16(0x7FC0), bits).astype(np.uint16).view(kind)
    array: Array = draw(numbers.arrays(np.dtype(kind), shape))
    return array


def plain(array: Any) -> Array:
    """bfloat16 as float32, and single strings as arrays."""
    found: Array = np.asarray(array, dtype=object if isinstance(array, bytes) else None)
    return found.astype(np.float32) if found.dtype.name == "bfloat16" else found


@pytest.mark.parametrize("name", [kind.name for kind in map(tf.as_dtype, range(1, 33)) if kind.name.startswith("float8")])
def test_every_8_bit_float_has_tensorflows_value(name: str) -> None:
    every = np.arange(256, dtype=np.uint8)
    kind = tf.as_dtype(name)
    proto = tf.make_tensor_proto(every.view(kind.as_numpy_dtype))
    assert same(through_ours(proto).array(), every.view(kind.as_numpy_dtype).astype(np.float32))
    listed = tensor_pb2.TensorProto(dtype=kind.as_datatype_enum, tensor_shape=tf.TensorShape([256]).as_proto(), float8_val=every.tobytes())
    assert same(through_ours(listed).array(), every.view(kind.as_numpy_dtype).astype(np.float32))


@generous
@given(st.lists(st.floats(width=32), min_size=1))
def test_float32_becomes_bfloat16_as_tensorflow_rounds_it(values: list[float]) -> None:
    array = np.array(values, np.float32)
    assert same(Tensor.of(array, DataType.BFLOAT16).array(), tf.cast(array, tf.bfloat16).numpy().astype(np.float32))


@pytest.mark.parametrize("name", ["qint8", "quint8", "qint16", "quint16", "qint32"])
def test_quantized_integers_are_read_as_integers(name: str) -> None:
    kind = tf.as_dtype(name)
    bits = np.arange(6, dtype=kind.as_numpy_dtype[0])
    proto = tf.make_tensor_proto(bits.astype(kind.as_numpy_dtype))
    assert through_ours(proto).array().tolist() == list(range(6))
    listed = tensor_pb2.TensorProto(dtype=kind.as_datatype_enum, tensor_shape=tf.TensorShape([6]).as_proto(), int_val=range(6))
    assert through_ours(listed).array().tolist() == list(range(6))


@pytest.mark.parametrize("name", ["int4", "uint4", "resource", "variant"])
def test_types_that_are_not_read_are_refused_by_name(name: str) -> None:
    proto = tensor_pb2.TensorProto(
        dtype=tf.as_dtype(name).as_datatype_enum, tensor_shape=tf.TensorShape([2]).as_proto(), tensor_content=b"\0\0"
    )
    with pytest.raises(FailedPrecondition, match=f"TensorFlow's type {name}"):
        through_ours(proto)
