"""Every message of the lean wire against the genuine one of tensorflow-serving-api: numbers, types, and what either reads of the other."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelmesh.tfserving.v1 import serving_pb2, tensors_pb2
from labelmesh_inference.serving import wire
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2, status_pb2
from tensorflow_serving.apis import model_service_pb2 as model_service
from tensorflow_serving.apis import prediction_service_pb2 as prediction_service

from tests.integration.inference.serving.messages import any_message, is_map, pack, packed_of, say_the_same

PAIRS: list[tuple[type[Message], type[Message]]] = [
    (tensors_pb2.Tensor, tensor_pb2.TensorProto),
    (tensors_pb2.TensorShape, tensor_shape_pb2.TensorShapeProto),
    (tensors_pb2.TensorShape.Dim, tensor_shape_pb2.TensorShapeProto.Dim),
    (serving_pb2.ModelSpec, model_pb2.ModelSpec),
    (serving_pb2.PredictRequest, predict_pb2.PredictRequest),
    (serving_pb2.PredictResponse, predict_pb2.PredictResponse),
    (serving_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
    (serving_pb2.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
    (serving_pb2.ModelVersionStatus, get_model_status_pb2.ModelVersionStatus),
    (serving_pb2.Status, status_pb2.StatusProto),
    (serving_pb2.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataRequest),
    (serving_pb2.GetModelMetadataResponse, get_model_metadata_pb2.GetModelMetadataResponse),
    (serving_pb2.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
    (serving_pb2.SignatureDef, meta_graph_pb2.SignatureDef),
    (serving_pb2.TensorInfo, meta_graph_pb2.TensorInfo),
]
IDS = [ours.DESCRIPTOR.name for ours, _ in PAIRS]
GENUINE = {ours.DESCRIPTOR.full_name: theirs.DESCRIPTOR for ours, theirs in PAIRS}
each_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=IDS)
TENSOR_NAMES = {tensors_pb2.Tensor.DESCRIPTOR.full_name}
generous = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def known_to_us(field: Any) -> bool:
    """Whether the lean message has this field of TensorFlow's."""
    if field.containing_type.GetOptions().map_entry or field.containing_type.file.package == "google.protobuf":
        return True
    ours = next((one for one, theirs in PAIRS if theirs.DESCRIPTOR.full_name == field.containing_type.full_name), None)
    return ours is not None and field.number in ours.DESCRIPTOR.fields_by_number


def everything(field: Any) -> bool:
    # A tensor inside a tensor's variant, and a composite tensor's type, go on without an end.
    return field.name not in {"variant_val", "resource_handle_val", "composite_tensor", "defaults"}


def test_every_lean_message_has_its_pair() -> None:
    mine = [message for file in (tensors_pb2, serving_pb2) for message in file.DESCRIPTOR.message_types_by_name.values()]
    names = {message.full_name for message in mine} | {nested.full_name for message in mine for nested in message.nested_types}
    entries = {nested.full_name for message in mine for nested in message.nested_types if nested.GetOptions().map_entry}
    assert names - entries == set(GENUINE)


@each_pair
def test_every_field_has_the_number_name_and_kind_of_the_genuine_one(ours: Any, theirs: Any) -> None:
    for field in ours.DESCRIPTOR.fields:
        genuine = theirs.DESCRIPTOR.fields_by_number[field.number]
        assert field.name == genuine.name
        assert field.is_repeated == (genuine.is_repeated if not packed_of(genuine) else True)
        if packed_of(genuine):
            # On the wire a packed list and bytes are the same: a length, then what is inside.
            assert field.type == FieldDescriptor.TYPE_BYTES
        elif is_map(genuine):
            assert is_map(field)
        elif genuine.message_type is not None:
            named = field.message_type.full_name
            assert GENUINE.get(named, field.message_type).full_name == genuine.message_type.full_name
        elif genuine.enum_type is not None and field.enum_type is None:
            assert field.type == FieldDescriptor.TYPE_INT32
        else:
            assert field.type == genuine.type
        choice = field.containing_oneof and field.containing_oneof.name
        assert choice == (genuine.containing_oneof and genuine.containing_oneof.name)


def test_the_types_of_tensors_have_the_numbers_of_the_genuine_ones() -> None:
    genuine = {name.removeprefix("DT_"): number for name, number in types_pb2.DataType.items() if number < 100}
    mine = {name.removeprefix("DATA_TYPE_"): number for name, number in tensors_pb2.DataType.items()}
    mine["INVALID"] = mine.pop("UNSPECIFIED")
    assert mine == genuine


def test_the_states_of_versions_have_the_numbers_of_the_genuine_ones() -> None:
    genuine = dict(get_model_status_pb2.ModelVersionStatus.State.items())
    mine = {name.removeprefix("STATE_"): number for name, number in serving_pb2.ModelVersionStatus.State.items()}
    mine["UNKNOWN"] = mine.pop("UNSPECIFIED")
    assert mine == genuine


def test_calls_go_to_the_genuine_methods() -> None:
    prediction = prediction_service.DESCRIPTOR.services_by_name["PredictionService"]
    model = model_service.DESCRIPTOR.services_by_name["ModelService"]
    paths = {f"/{service.full_name}/{method.name}" for service in (prediction, model) for method in service.methods}
    assert {wire.PREDICT, wire.GET_MODEL_METADATA, wire.GET_MODEL_STATUS} <= paths


@each_pair
@generous
@given(data=st.data())
def test_what_tensorflow_writes_is_read_and_written_back_unchanged(ours: Any, theirs: Any, data: st.DataObject) -> None:
    genuine = data.draw(any_message(theirs.DESCRIPTOR, known_to_us))
    read = ours.FromString(genuine.SerializeToString())
    assert say_the_same(read, genuine)
    assert theirs.FromString(read.SerializeToString()) == genuine


@each_pair
@generous
@given(data=st.data())
def test_what_we_do_not_know_is_kept(ours: Any, theirs: Any, data: st.DataObject) -> None:
    genuine = data.draw(any_message(theirs.DESCRIPTOR, everything))
    assert theirs.FromString(ours.FromString(genuine.SerializeToString()).SerializeToString()) == genuine


@each_pair
@generous
@given(data=st.data())
def test_what_we_write_is_read_by_tensorflow_and_written_back_unchanged(ours: Any, theirs: Any, data: st.DataObject) -> None:
    # A tensor's lists are bytes of ours, and bytes at random are no numbers: they are drawn as numbers and packed by the test.
    lean = data.draw(any_message(ours.DESCRIPTOR, lambda field: field.containing_type.full_name not in TENSOR_NAMES or field.number <= 4))
    genuine = theirs.FromString(lean.SerializeToString())
    assert say_the_same(lean, genuine)
    assert ours.FromString(genuine.SerializeToString()) == lean


LISTS = [field for field in tensor_pb2.TensorProto.DESCRIPTOR.fields if packed_of(field)]


@pytest.mark.parametrize("field", LISTS, ids=[field.name for field in LISTS])
@generous
@given(data=st.data())
def test_every_list_of_values_that_we_write_is_read_by_tensorflow(field: Any, data: st.DataObject) -> None:
    genuine = data.draw(any_message(tensor_pb2.TensorProto.DESCRIPTOR, lambda one: one.name == field.name))
    values = list(getattr(genuine, field.name))
    cut = data.draw(st.integers(0, len(values)))
    lean = tensors_pb2.Tensor()
    # In two pieces: a sender may split a list anywhere, and they come one after the other.
    getattr(lean, field.name).extend(pack(field, piece) for piece in (values[:cut], values[cut:]) if piece)
    assert list(getattr(tensor_pb2.TensorProto.FromString(lean.SerializeToString()), field.name)) == values


def test_the_lists_that_tensorflow_has_are_those_that_we_have() -> None:
    theirs = {field.number: field.name for field in tensor_pb2.TensorProto.DESCRIPTOR.fields}
    mine = {field.number: field.name for field in tensors_pb2.Tensor.DESCRIPTOR.fields}
    # Handles to resources and variants mean nothing outside of the process that has them.
    assert {name for number, name in theirs.items() if number not in mine} == {"resource_handle_val", "variant_val"}
