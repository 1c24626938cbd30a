"""Calls that a model server makes itself before a version answers anybody, so that no caller waits for what is only done once.

The file is a TFRecord of tensorflow.serving.PredictionLog (tensorflow_serving/apis/prediction_log.proto):
https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from labelmesh.tfserving.v1 import serving_pb2, tensors_pb2
from numpy.typing import NDArray

#: PredictionLog.predict_log and PredictLog.request: field numbers with wire type 2, a length and so many bytes.
_PREDICT_LOG, _REQUEST = b"\x32", b"\x0a"
_TYPES = {"float32": tensors_pb2.DATA_TYPE_FLOAT, "uint8": tensors_pb2.DATA_TYPE_UINT8}


def warm_up_record(model: str, signature: str, inputs: Mapping[str, NDArray[np.float32] | NDArray[np.uint8] | list[bytes]]) -> bytes:
    """One call with these inputs, batch dimension included; a list of bytes is a tensor of strings."""
    request = serving_pb2.PredictRequest(model_spec=serving_pb2.ModelSpec(name=model, signature_name=signature))
    for name, value in inputs.items():
        tensor = request.inputs[name]
        shape = (len(value),) if isinstance(value, list) else value.shape
        tensor.tensor_shape.dim.extend(tensors_pb2.TensorShape.Dim(size=size) for size in shape)
        if isinstance(value, list):
            tensor.dtype = tensors_pb2.DATA_TYPE_STRING
            tensor.string_val.extend(value)
        else:
            tensor.dtype = _TYPES[value.dtype.name]
            tensor.tensor_content = value.tobytes()
    return _field(_PREDICT_LOG, _field(_REQUEST, request.SerializeToString()))


def _field(key: bytes, content: bytes) -> bytes:
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return key + bytes(length) + content
