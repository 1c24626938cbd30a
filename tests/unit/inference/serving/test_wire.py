"""Tensors to messages and back, in every form that TensorFlow sends."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from labelmesh.tfserving.v1 import serving_pb2, tensors_pb2
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument
from labelmesh_inference.serving import wire
from labelmesh_inference.serving.values import STORAGE, Array, DataType, Tensor, TensorSpec, VersionState
from labelmesh_inference.serving.wire import read_tensor, serialized_tensor

from tests.unit.inference.serving.wire_bytes import varint, varints

# A busy machine makes examples slow, not wrong.
unhurried = settings(deadline=None)

NUMPY_TYPES = ["<f2", "<f4", "<f8", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "?", "<c8", "<c16", ">f4", ">i8"]
shapes = numbers.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)
arrays = st.one_of(*(numbers.arrays(np.dtype(kind), shapes) for kind in NUMPY_TYPES))


def message(data_type: tensors_pb2.DataType.ValueType, shape: tuple[int, ...], **values: Any) -> tensors_pb2.Tensor:
    made = tensors_pb2.Tensor(dtype=data_type, **values)
    made.tensor_shape.SetInParent()
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def written(value: Tensor | Array) -> tensors_pb2.Tensor:
    return tensors_pb2.Tensor.FromString(serialized_tensor(value))


def refusal(read: Callable[[], object]) -> str | None:
    try:
        read()
    except FailedPrecondition as refused:
        return refused.reason
    return None


def same(found: Array, wanted: Array) -> bool:
    return found.shape == wanted.shape and np.array_equal(found, wanted, equal_nan=found.dtype.kind in "fc")


@unhurried
@given(arrays)
def test_an_array_comes_back_as_it_went(array: Array) -> None:
    found = read_tensor(written(array)).array()
    assert found.dtype == array.dtype.newbyteorder("<")
    assert same(found, array)


@unhurried
@given(arrays)
def test_an_array_whose_elements_lie_apart_comes_back_as_it_went(array: Array) -> None:
    turned = array.T[..., ::-1] if array.ndim else array
    assert same(read_tensor(written(turned)).array(), turned)


@unhurried
@given(numbers.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4).flatmap(lambda shape: st.tuples(st.just(shape), st.data())))
def test_strings_come_back_as_they_went(drawn: tuple[tuple[int, ...], st.DataObject]) -> None:
    shape, data = drawn
    count = int(np.prod(shape))
    strings = tuple(data.draw(st.lists(st.binary(max_size=20), min_size=count, max_size=count)))
    tensor = Tensor(DataType.STRING, shape, strings=strings)
    assert read_tensor(written(tensor)) == tensor
    assert read_tensor(written(tensor.array())) == tensor


@pytest.mark.parametrize("kind", [kind for kind in DataType if kind is not DataType.STRING])
def test_every_type_is_read_as_it_was_written(kind: DataType) -> None:
    content = np.random.default_rng(1).bytes(6 * STORAGE[kind].itemsize)
    tensor = Tensor(kind, (2, 3), content)
    assert read_tensor(written(tensor)) == tensor


@pytest.mark.parametrize("number", [0, 20, 21, 29, 30, 31, 32, 33, 77, 101])
def test_a_type_that_is_not_read_is_refused_by_name(number: int) -> None:
    names = {
        0: "unspecified",
        20: "resource",
        21: "variant",
        29: "int4",
        30: "uint4",
        31: "int2",
        32: "uint2",
        33: "float4_e2m1fn",
        77: "number 77",
    }
    made = message(tensors_pb2.DataType.ValueType(number), (1,), tensor_content=b"\0" * 8)
    with pytest.raises(FailedPrecondition, match=f"output y is of TensorFlow's type {names.get(number, 'reference to float')}") as refused:
        read_tensor(made, "y")
    assert refused.value.reason == "MODEL_REPLY_UNREADABLE"


F, D, H, B16 = tensors_pb2.DATA_TYPE_FLOAT, tensors_pb2.DATA_TYPE_DOUBLE, tensors_pb2.DATA_TYPE_HALF, tensors_pb2.DATA_TYPE_BFLOAT16
FORMS = [
    (F, {"float_val": [struct.pack("<3f", 1, 2, 3)]}, [1, 2, 3]),
    (F, {"float_val": [struct.pack("<f", 1), struct.pack("<2f", 2, 3)]}, [1, 2, 3]),
    (D, {"double_val": [struct.pack("<3d", 1, 2, 3)]}, [1, 2, 3]),
    (tensors_pb2.DATA_TYPE_INT32, {"int_val": [varints([1, -2, 2**31 - 1])]}, [1, -2, 2**31 - 1]),
    (tensors_pb2.DATA_TYPE_INT16, {"int_val": [varints([1, -2, -32768])]}, [1, -2, -32768]),
    (tensors_pb2.DATA_TYPE_INT8, {"int_val": [varints([1, -2, -128])]}, [1, -2, -128]),
    (tensors_pb2.DATA_TYPE_UINT8, {"int_val": [varints([1, 2]), varints([255])]}, [1, 2, 255]),
    (tensors_pb2.DATA_TYPE_UINT16, {"int_val": [varints([1, 2, 65535])]}, [1, 2, 65535]),
    (tensors_pb2.DATA_TYPE_QINT8, {"int_val": [varints([1, -2, -128])]}, [1, -2, -128]),
    (tensors_pb2.DATA_TYPE_QUINT8, {"int_val": [varints([1, 2, 255])]}, [1, 2, 255]),
    (tensors_pb2.DATA_TYPE_QINT16, {"int_val": [varints([1, -2, 3])]}, [1, -2, 3]),
    (tensors_pb2.DATA_TYPE_QUINT16, {"int_val": [varints([1, 2, 3])]}, [1, 2, 3]),
    (tensors_pb2.DATA_TYPE_QINT32, {"int_val": [varints([1, -2, 3])]}, [1, -2, 3]),
    (tensors_pb2.DATA_TYPE_INT64, {"int64_val": [varints([1, -(2**63), 2**63 - 1])]}, [1, -(2**63), 2**63 - 1]),
    (tensors_pb2.DATA_TYPE_UINT32, {"uint32_val": [varints([1, 2, 2**32 - 1])]}, [1, 2, 2**32 - 1]),
    (tensors_pb2.DATA_TYPE_UINT64, {"uint64_val": [varints([1, 2, 2**64 - 1])]}, [1, 2, 2**64 - 1]),
    (tensors_pb2.DATA_TYPE_BOOL, {"bool_val": [varints([1, 0, 1])]}, [True, False, True]),
    (H, {"half_val": [varints([0x3C00, 0xC000, 0x7C00])]}, [1, -2, float("inf")]),
    (B16, {"half_val": [varints([0x3F80, 0xC000, 0x7F80])]}, [1, -2, float("inf")]),
    (tensors_pb2.DATA_TYPE_COMPLEX64, {"scomplex_val": [struct.pack("<6f", 1, 2, 3, 4, 5, 6)]}, [1 + 2j, 3 + 4j, 5 + 6j]),
    (tensors_pb2.DATA_TYPE_COMPLEX128, {"dcomplex_val": [struct.pack("<6d", 1, 2, 3, 4, 5, 6)]}, [1 + 2j, 3 + 4j, 5 + 6j]),
    (tensors_pb2.DATA_TYPE_STRING, {"string_val": [b"a", b"", b"\xff"]}, [b"a", b"", b"\xff"]),
    (tensors_pb2.DATA_TYPE_FLOAT8_E5M2, {"float8_val": bytes([0x3C, 0xC0, 0x7C])}, [1, -2, float("inf")]),
    (tensors_pb2.DATA_TYPE_FLOAT8_E4M3FN, {"float8_val": bytes([0x38, 0xC0, 0x7E])}, [1, -2, 448]),
    (tensors_pb2.DATA_TYPE_FLOAT8_E4M3FNUZ, {"float8_val": bytes([0x40, 0xC8, 0x7F])}, [1, -2, 240]),
    (tensors_pb2.DATA_TYPE_FLOAT8_E4M3B11FNUZ, {"float8_val": bytes([0x58, 0xE0, 0x7F])}, [1, -2, 30]),
    (tensors_pb2.DATA_TYPE_FLOAT8_E5M2FNUZ, {"float8_val": bytes([0x40, 0xC4, 0x7F])}, [1, -2, 57344]),
]
IDS = [f"{tensors_pb2.DataType.Name(form[0]).removeprefix('DATA_TYPE_').lower()}-{place}" for place, form in enumerate(FORMS)]


@pytest.mark.parametrize(("data_type", "values", "wanted"), FORMS, ids=IDS)
class TestListsOfValues:
    def test_every_form_is_read(self, data_type: tensors_pb2.DataType.ValueType, values: Any, wanted: list[Any]) -> None:
        assert read_tensor(message(data_type, (3,), **values)).array().tolist() == wanted

    def test_the_last_value_stands_for_the_rest(self, data_type: tensors_pb2.DataType.ValueType, values: Any, wanted: list[Any]) -> None:
        found = read_tensor(message(data_type, (2, 4), **values)).array()
        assert found.tolist() == [[*wanted, wanted[2]], [wanted[2]] * 4]

    def test_no_values_are_zeros(self, data_type: tensors_pb2.DataType.ValueType, values: Any, wanted: list[Any]) -> None:
        found = read_tensor(message(data_type, (2, 2))).array()
        assert found.ravel().tolist() == [type(wanted[0])()] * 4

    def test_no_elements_are_an_empty_array(self, data_type: tensors_pb2.DataType.ValueType, values: Any, wanted: list[Any]) -> None:
        assert read_tensor(message(data_type, (2, 0, 3))).array().shape == (2, 0, 3)

    def test_more_values_than_elements_are_refused(self, data_type: tensors_pb2.DataType.ValueType, values: Any, wanted: list[Any]) -> None:
        with pytest.raises(FailedPrecondition, match="has 3 values for 2 elements"):
            read_tensor(message(data_type, (2,), **values))


@pytest.mark.parametrize(
    ("data_type", "numbers_sent"),
    [
        (tensors_pb2.DATA_TYPE_UINT8, [256]),
        (tensors_pb2.DATA_TYPE_UINT8, [-1]),
        (tensors_pb2.DATA_TYPE_INT8, [-129]),
        (tensors_pb2.DATA_TYPE_INT32, [2**31]),
        (tensors_pb2.DATA_TYPE_UINT16, [65536]),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_refused(data_type: tensors_pb2.DataType.ValueType, numbers_sent: list[int]) -> None:
    with pytest.raises(FailedPrecondition, match="cannot hold"):
        read_tensor(message(data_type, (1,), int_val=[varints(numbers_sent)]))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"float_val": [b"\0" * 5]}, "no multiple of 4"),
        ({"tensor_content": b"\0" * 7}, "its content has 7 bytes where the shape needs 8"),
        ({"tensor_content": b"\0" * 12}, "its content has 12 bytes where the shape needs 8"),
    ],
)
def test_content_that_does_not_fit_its_shape_is_refused(values: Any, text: str) -> None:
    with pytest.raises(FailedPrecondition, match=text):
        read_tensor(message(F, (2,), **values))


def test_a_malformed_varint_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="cut off"):
        read_tensor(message(tensors_pb2.DATA_TYPE_INT32, (2,), int_val=[b"\x01\x80"]))


def test_values_that_are_not_packed_are_refused_rather_than_read_as_zeros() -> None:
    # Field 5, wire type 5: one float by itself.
    made = tensors_pb2.Tensor.FromString(message(F, (2,)).SerializeToString() + b"\x2d" + struct.pack("<f", 1.5))
    with pytest.raises(FailedPrecondition, match="float_val is not packed"):
        read_tensor(made)


@pytest.mark.parametrize("shape", [(-1,), (2, -1)])
def test_a_shape_that_leaves_something_open_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FailedPrecondition, match="without a complete shape"):
        read_tensor(message(F, shape))


def test_a_tensor_of_unknown_rank_is_refused() -> None:
    made = message(F, ())
    made.tensor_shape.unknown_rank = True
    with pytest.raises(FailedPrecondition, match="without a complete shape"):
        read_tensor(made)


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20, 2**20), (2**62, 2**62), (2**26 + 1,)])
def test_a_shape_that_would_fill_the_memory_is_refused_before_anything_is_made(shape: tuple[int, ...]) -> None:
    with pytest.raises(FailedPrecondition, match="more than"):
        read_tensor(message(F, shape, float_val=[struct.pack("<f", 1)]))
    with pytest.raises(FailedPrecondition, match="more than"):
        read_tensor(message(tensors_pb2.DATA_TYPE_STRING, shape, string_val=[b"x"]))


@pytest.mark.parametrize("shape", [(0, 2**40, 2**40), (2**62, 0, 2), (1,) * 33, (0,) * 40])
def test_a_shape_that_no_array_has_is_refused_even_if_it_is_empty(shape: tuple[int, ...]) -> None:
    for data_type in (F, tensors_pb2.DATA_TYPE_STRING):
        with pytest.raises(FailedPrecondition, match=r"no array can have|dimensions"):
            read_tensor(message(data_type, shape))
    with pytest.raises(InvalidArgument, match="no array can have"):
        serialized_tensor(Tensor(DataType.FLOAT32, shape, b"\0" * 4 if shape[0] == 1 else b""))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(DataType.FLOAT32, (2,), b"\0" * 7),
        Tensor(DataType.STRING, (2,), strings=(b"a",)),
        Tensor(DataType.STRING, (1,), b"x", (b"a",)),
        Tensor(DataType.FLOAT32, (0,), b"", (b"a",)),
        Tensor(DataType.FLOAT32, (-1, -1), b"\0" * 4),
    ],
)
def test_a_tensor_that_contradicts_itself_is_not_sent(tensor: Tensor) -> None:
    with pytest.raises(InvalidArgument) as refused:
        wire.predict_request("m", None, "", {"x": tensor})
    assert (refused.value.reason, refused.value.violations[0].field) == ("WRONG_SHAPE", "x")


@pytest.mark.parametrize(
    "array", [np.zeros(2, "M8[s]"), np.zeros(2, [("a", "i4")]), np.array([1, None], object), np.zeros(1, np.longdouble)]
)
def test_an_array_that_no_model_takes_is_not_sent(array: Array) -> None:
    with pytest.raises(InvalidArgument) as refused:
        wire.predict_request("m", None, "", {"x": array})
    assert refused.value.reason == "WRONG_TYPE"


def test_a_request_says_whom_it_is_for() -> None:
    asked = serving_pb2.PredictRequest.FromString(wire.predict_request("m", 3, "s", {"x": np.zeros(1, "f4")}, ["y"]))
    assert (asked.model_spec.name, asked.model_spec.version.value, asked.model_spec.signature_name) == ("m", 3, "s")
    assert list(asked.output_filter) == ["y"]
    newest = serving_pb2.PredictRequest.FromString(wire.predict_request("m", None, "", {}))
    assert not newest.model_spec.HasField("version")


@unhurried
@given(st.dictionaries(st.text(max_size=4), arrays, max_size=4))
def test_every_input_is_in_the_request_by_its_name(inputs: dict[str, Array]) -> None:
    asked = serving_pb2.PredictRequest.FromString(wire.predict_request("m", 3, "s", inputs, ["y"]))
    assert set(asked.inputs) == set(inputs)
    assert all(same(read_tensor(asked.inputs[name]).array(), array) for name, array in inputs.items())
    assert list(asked.output_filter) == ["y"]


def test_a_single_value_says_that_it_has_no_dimensions() -> None:
    assert written(np.array(3, np.float32)).HasField("tensor_shape")


def test_a_reply_names_the_version_that_answered() -> None:
    response = serving_pb2.PredictResponse()
    assert wire.read_reply(response.SerializeToString(), asked_version=4).version == 4
    response.model_spec.version.value = 7
    assert wire.read_reply(response.SerializeToString(), asked_version=4).version == 7


def test_versions_come_newest_first_with_what_they_failed_of() -> None:
    response = serving_pb2.GetModelStatusResponse()
    for version, state in ((1, 50), (2, 30), (3, 20), (4, 10), (5, 40), (6, 0)):
        response.model_version_status.add(version=version, state=serving_pb2.ModelVersionStatus.State.ValueType(state))
    response.model_version_status[0].status.error_message = "no saved_model.pb"
    found = wire.read_status(response.SerializeToString())
    assert [one.version for one in found] == [6, 5, 4, 3, 2, 1]
    states = ["absent", "unloading", "loading", "loading", "available", "absent"]
    assert [one.state for one in found] == [VersionState(state) for state in states]
    assert found[-1].message == "no saved_model.pb"


def test_metadata_without_signatures_is_refused() -> None:
    response = serving_pb2.GetModelMetadataResponse()
    with pytest.raises(FailedPrecondition):
        wire.read_signatures(response.SerializeToString())
    response.metadata["signature_def"].type_url = "type.googleapis.com/another.Message"
    with pytest.raises(FailedPrecondition):
        wire.read_signatures(response.SerializeToString())


def test_signatures_name_types_that_are_not_ours() -> None:
    response = serving_pb2.GetModelMetadataResponse()
    signatures = serving_pb2.SignatureDefMap()
    inputs = signatures.signature_def["s"].inputs
    inputs["a"].dtype = tensors_pb2.DATA_TYPE_HALF
    inputs["a"].tensor_shape.dim.add(size=-1)
    inputs["b"].dtype = tensors_pb2.DATA_TYPE_VARIANT
    inputs["b"].tensor_shape.unknown_rank = True
    response.metadata["signature_def"].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    response.metadata["signature_def"].value = signatures.SerializeToString()
    found = wire.read_signatures(response.SerializeToString())["s"].inputs
    assert found == {"a": TensorSpec("a", DataType.FLOAT16, (-1,)), "b": TensorSpec("b", "variant", None)}


@unhurried
@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_a_reply_or_a_clear_error(data: bytes) -> None:
    for read in (wire.read_reply, wire.read_status, wire.read_signatures):
        assert refusal(partial(read, data)) in (None, "MODEL_REPLY_UNREADABLE")


@unhurried
@given(
    st.integers(0, 40),
    st.lists(st.one_of(st.integers(-2, 30), st.just(2**40)), max_size=4),
    st.dictionaries(st.integers(4, 18), st.binary(max_size=30), max_size=3),
)
def test_any_tensor_at_all_is_read_or_a_clear_error(number: int, sizes: list[int], fields: dict[int, bytes]) -> None:
    made = message(tensors_pb2.DataType.ValueType(number), tuple(sizes)).SerializeToString()
    made += b"".join(varint(field << 3 | 2) + varint(len(value)) + value for field, value in fields.items())
    assert refusal(lambda: read_tensor(tensors_pb2.Tensor.FromString(made)).array()) in (None, "MODEL_REPLY_UNREADABLE")
