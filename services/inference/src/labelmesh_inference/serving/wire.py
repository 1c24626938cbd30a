"""Values to TensorFlow Serving's messages and back, as bytes on the wire.

Sources: tensorflow/core/framework/tensor.cc (Tensor::FromProto) and tensorflow/python/framework/tensor_util.py (MakeNdarray) for what the
lists of values mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from labelmesh.tfserving.v1 import serving_pb2, tensors_pb2
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument

from labelmesh_inference.serving.values import (
    MAX_DIMENSIONS,
    STORAGE,
    Array,
    DataType,
    Reply,
    ServedVersion,
    Signature,
    Tensor,
    TensorSpec,
    VersionState,
    is_shape,
    type_of,
)
from labelmesh_inference.serving.varints import count_varints, decode_varints

_Message = TypeVar("_Message", bound=Message)
# Bytes or an array: `bytes.join` takes both, and copies an array once, from its own memory into the request.
Piece = Any

_INPUTS = serving_pb2.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number
_CONTENT = tensors_pb2.Tensor.DESCRIPTOR.fields_by_name["tensor_content"].number
# Of every entry of a map. Source: https://protobuf.dev/programming-guides/proto3/#maps.
_KEY, _VALUE = 1, 2

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

# What a tensor of a reply may become: a few bytes that stand for a whole shape must not fill the memory.
MAX_CONTENT_BYTES = 256 * 2**20
MAX_STRINGS = 2**22

_NUMBER_OF: dict[DataType, tensors_pb2.DataType.ValueType] = {
    DataType.FLOAT16: tensors_pb2.DATA_TYPE_HALF,
    DataType.FLOAT32: tensors_pb2.DATA_TYPE_FLOAT,
    DataType.FLOAT64: tensors_pb2.DATA_TYPE_DOUBLE,
    **{
        kind: tensors_pb2.DataType.Value(f"DATA_TYPE_{kind.name}")
        for kind in DataType
        if kind not in {DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64}
    },
}
_TYPE_OF = {number: kind for kind, number in _NUMBER_OF.items()}
_STATES = {
    serving_pb2.ModelVersionStatus.STATE_START: VersionState.LOADING,
    serving_pb2.ModelVersionStatus.STATE_LOADING: VersionState.LOADING,
    serving_pb2.ModelVersionStatus.STATE_AVAILABLE: VersionState.AVAILABLE,
    serving_pb2.ModelVersionStatus.STATE_UNLOADING: VersionState.UNLOADING,
}


def predict_request(
    model: str, version: int | None, signature: str, inputs: Mapping[str, Tensor | Array], outputs: Sequence[str] = ()
) -> bytes:
    """A serialized PredictRequest; without a version the newest that is served answers. InvalidArgument (WRONG_TYPE, WRONG_SHAPE)."""
    pieces: list[Piece] = [_request_head(model, version, signature, tuple(outputs))]
    for name, value in inputs.items():
        key = _framed(_KEY, [name.encode()])
        pieces += _framed(_INPUTS, [*key, *_framed(_VALUE, _tensor(value, name))])
    return b"".join(pieces)


def read_reply(data: bytes, *, asked_version: int | None = None) -> Reply:
    """A PredictResponse. FailedPrecondition (MODEL_REPLY_UNREADABLE) where it contradicts itself or holds what is not read here."""
    response = _parsed(serving_pb2.PredictResponse, data)
    version = response.model_spec.version.value if response.model_spec.HasField("version") else asked_version or 0
    return Reply(version, {name: read_tensor(tensor, name) for name, tensor in response.outputs.items()})


def status_request(model: str) -> bytes:
    """A serialized GetModelStatusRequest for all versions."""
    return serving_pb2.GetModelStatusRequest(model_spec=_spec(model, None, "")).SerializeToString()


def read_status(data: bytes) -> tuple[ServedVersion, ...]:
    """The versions of a GetModelStatusResponse, newest first."""
    response = _parsed(serving_pb2.GetModelStatusResponse, data)
    versions = [
        ServedVersion(status.version, _STATES.get(status.state, VersionState.ABSENT), status.status.error_message)
        for status in response.model_version_status
    ]
    return tuple(sorted(versions, key=lambda found: found.version, reverse=True))


def metadata_request(model: str, version: int | None) -> bytes:
    """A serialized GetModelMetadataRequest for the signatures."""
    request = serving_pb2.GetModelMetadataRequest(model_spec=_spec(model, version, ""), metadata_field=["signature_def"])
    return request.SerializeToString()


def read_signatures(data: bytes) -> dict[str, Signature]:
    """The signatures of a GetModelMetadataResponse, by name."""
    response = _parsed(serving_pb2.GetModelMetadataResponse, data)
    found = response.metadata.get("signature_def")
    if found is None or not found.type_url.endswith("/tensorflow.serving.SignatureDefMap"):
        raise unreadable("the model server's metadata holds no signatures")
    signatures = _parsed(serving_pb2.SignatureDefMap, found.value).signature_def
    return {name: Signature(name, _specs(it.inputs), _specs(it.outputs)) for name, it in signatures.items()}


def serialized_tensor(value: Tensor | Array, name: str = "tensor") -> bytes:
    """A serialized Tensor: numbers as tensor_content, strings as string_val. InvalidArgument (WRONG_TYPE, WRONG_SHAPE, field `name`)."""
    return b"".join(_tensor(value, name))


def read_tensor(message: tensors_pb2.Tensor, name: str = "tensor") -> Tensor:
    """A tensor from any of the forms in which TensorFlow sends one. FailedPrecondition (MODEL_REPLY_UNREADABLE) naming the tensor."""
    kind = _TYPE_OF.get(message.dtype)
    if kind is None:
        raise unreadable(f"output {name} is of TensorFlow's type {_named(message.dtype)}, which this service does not read")
    if message.tensor_shape.unknown_rank or any(dim.size < 0 for dim in message.tensor_shape.dim):
        raise unreadable(f"output {name} comes without a complete shape")
    shape = tuple(dim.size for dim in message.tensor_shape.dim)
    if len(shape) > MAX_DIMENSIONS:
        raise unreadable(f"output {name} has {len(shape)} dimensions")
    elements = prod(shape)
    try:
        if elements == 0 and not is_shape(shape):
            raise ValueError("no array can have that shape")
        if kind is DataType.STRING:
            return Tensor(kind, shape, strings=_read_strings(message, elements))
        size = STORAGE[kind].itemsize
        if elements * size > MAX_CONTENT_BYTES:
            raise ValueError(f"it has {elements} elements, more than {MAX_CONTENT_BYTES // size}")
        content = message.tensor_content
        if content:
            if len(content) != elements * size:
                raise ValueError(f"its content has {len(content)} bytes where the shape needs {elements * size}")
            return Tensor(kind, shape, content)
        return Tensor(kind, shape, _read_values(message, kind, elements))
    except ValueError as wrong:
        raise unreadable(f"output {name} of type {kind} and shape {list(shape)} cannot be read: {wrong}") from None


def unreadable(message: str) -> FailedPrecondition:
    """The error for a reply that cannot be read."""
    return FailedPrecondition("MODEL_REPLY_UNREADABLE", message)


@dataclass(frozen=True)
class _Form:
    """Where a type's values stand when they do not stand in tensor_content, and how to read them there."""

    field: str
    # Of an element, where the elements are not varints.
    fixed: int = 0
    low: int = 0
    high: int = 0


def _forms() -> dict[DataType, _Form]:
    forms = {
        DataType.FLOAT32: _Form("float_val", 4),
        DataType.FLOAT64: _Form("double_val", 8),
        DataType.COMPLEX64: _Form("scomplex_val", 8),
        DataType.COMPLEX128: _Form("dcomplex_val", 16),
        DataType.BOOL: _Form("bool_val"),
        DataType.INT64: _Form("int64_val", low=-(2**63), high=2**63 - 1),
        DataType.UINT32: _Form("uint32_val", high=2**32 - 1),
        DataType.UINT64: _Form("uint64_val", high=2**64 - 1),
    }
    for kind, storage in STORAGE.items():
        if kind in (DataType.FLOAT16, DataType.BFLOAT16):
            forms[kind] = _Form("half_val", high=2**16 - 1)
        elif kind.startswith("float8"):
            forms[kind] = _Form("float8_val", 1)
        elif kind not in forms:
            limits = np.iinfo(storage)
            forms[kind] = _Form("int_val", low=int(limits.min), high=int(limits.max))
    return forms


_FORMS = _forms()


def _read_values(message: tensors_pb2.Tensor, kind: DataType, elements: int) -> bytes:
    """The content that a list of values stands for: the last one is repeated to the end, none at all means zeros."""
    form, storage = _FORMS[kind], STORAGE[kind]
    pieces = getattr(message, form.field)
    packed = pieces if isinstance(pieces, bytes) else pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if not packed:
        _refuse_strays(message)
        return bytes(elements * storage.itemsize)
    if form.fixed:
        given, rest = divmod(len(packed), form.fixed)
        if rest:
            raise ValueError(f"{form.field} has {len(packed)} bytes, no multiple of {form.fixed}")
        content = packed
    else:
        given = count_varints(packed)
        content = b"" if given > elements else _integers(packed, form, kind).tobytes()
    if given > elements:
        raise ValueError(f"{form.field} has {given} values for {elements} elements")
    if given < elements:
        content += content[-storage.itemsize :] * (elements - given)
    return content


def _integers(packed: bytes, form: _Form, kind: DataType) -> Array:
    numbers = decode_varints(packed)
    if kind is DataType.BOOL:
        truths: Array = numbers != 0
        return truths
    if form.low:
        signed = numbers.view(np.int64)
        if len(signed) and (signed.min() < form.low or signed.max() > form.high):
            raise ValueError(f"{form.field} has a value that {kind} cannot hold")
        return signed.astype(STORAGE[kind])
    if len(numbers) and numbers.max() > form.high:
        raise ValueError(f"{form.field} has a value that {kind} cannot hold")
    return numbers.astype("<u2" if form.field == "half_val" else STORAGE[kind])


def _read_strings(message: tensors_pb2.Tensor, elements: int) -> tuple[bytes, ...]:
    given = tuple(message.string_val)
    if message.tensor_content:
        raise ValueError("strings do not come as content")
    if elements > MAX_STRINGS:
        raise ValueError(f"it has {elements} elements, more than {MAX_STRINGS}")
    if len(given) > elements:
        raise ValueError(f"string_val has {len(given)} values for {elements} elements")
    return given + (given[-1] if given else b"",) * (elements - len(given))


def _refuse_strays(message: tensors_pb2.Tensor) -> None:
    """Values that are not packed would be read as none, so as zeros. No sender that TensorFlow's own code built makes them."""
    unknown: Any = UnknownFieldSet(message)
    strays = {field.field_number for field in unknown}
    known = {field.number: field.name for field in message.DESCRIPTOR.fields}
    named = sorted(known[number] for number in strays & known.keys())
    if named:
        raise ValueError(f"{', '.join(named)} is not packed")


@lru_cache(maxsize=256)
def _request_head(model: str, version: int | None, signature: str, outputs: tuple[str, ...]) -> bytes:
    """A request without its inputs. The same ones are asked for again and again."""
    return serving_pb2.PredictRequest(model_spec=_spec(model, version, signature), output_filter=outputs).SerializeToString()


@lru_cache(maxsize=256)
def _tensor_head(kind: DataType, shape: tuple[int, ...]) -> bytes:
    head = tensors_pb2.Tensor(dtype=_NUMBER_OF[kind])
    # A shape without dimensions is that of a single value; without the message itself it would be unknown to some readers.
    head.tensor_shape.SetInParent()
    for size in shape:
        head.tensor_shape.dim.add(size=size)
    return head.SerializeToString()


def _tensor(value: Tensor | Array, name: str) -> list[Piece]:
    """A Tensor message in pieces. The elements are put after the rest, which protobuf's format allows, so that no message copies them."""
    content: Piece = b""
    strings: tuple[bytes, ...] = ()
    if isinstance(value, Tensor):
        value.check(name)
        kind, strings, content = value.data_type, value.strings, value.content
    else:
        try:
            kind = type_of(value)
            strings = Tensor.of(value).strings if kind is DataType.STRING else ()
        except InvalidArgument as wrong:
            raise InvalidArgument(wrong.reason, f"{name}: {wrong.message}", field=name) from None
        if kind is not DataType.STRING:
            content = np.ascontiguousarray(value, dtype=STORAGE[kind])
    pieces: list[Piece] = [_tensor_head(kind, value.shape)]
    if strings:
        pieces.append(tensors_pb2.Tensor(string_val=strings).SerializeToString())
    if memoryview(content).nbytes:
        pieces += _framed(_CONTENT, [content])
    return pieces


def _framed(field: int, pieces: list[Piece]) -> list[Piece]:
    """Pieces as one field of bytes. Source: https://protobuf.dev/programming-guides/encoding/#length-types."""
    return [_varint(field << 3 | 2) + _varint(sum(memoryview(piece).nbytes for piece in pieces)), *pieces]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _specs(tensors: Mapping[str, serving_pb2.TensorInfo]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(name, _TYPE_OF.get(info.dtype) or _named(info.dtype), _shape(info.tensor_shape)) for name, info in tensors.items()
    }


def _shape(shape: tensors_pb2.TensorShape) -> tuple[int, ...] | None:
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def _named(number: int) -> str:
    known: Iterable[int] = tensors_pb2.DataType.values()
    if number in known:
        return tensors_pb2.DataType.Name(tensors_pb2.DataType.ValueType(number)).removeprefix("DATA_TYPE_").lower()
    # Types from 101 on are references to the others, which only graphs of TensorFlow 1 have.
    return f"reference to {_named(number - 100)}" if number - 100 in known else f"number {number}"


def _spec(model: str, version: int | None, signature: str) -> serving_pb2.ModelSpec:
    spec = serving_pb2.ModelSpec(name=model, signature_name=signature)
    if version is not None:
        spec.version.value = version
    return spec


def _parsed(kind: Callable[[], _Message], data: bytes) -> _Message:
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise unreadable("the model server answered with something that is not its own message") from None
    return message
