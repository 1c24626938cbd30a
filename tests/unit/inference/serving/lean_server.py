"""A real gRPC server that speaks TensorFlow Serving's API in this service's lean messages, with a model made of a function."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
import numpy as np
from labelmesh.tfserving.v1 import serving_pb2, tensors_pb2
from labelmesh_inference.serving.values import Array
from labelmesh_inference.serving.wire import read_tensor, serialized_tensor

Model = Callable[[Mapping[str, Array]], Mapping[str, Array]]


class Refused(Exception):
    """What a model's function raises to answer with a status of TensorFlow Serving."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def doubled(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    """The model that most tests ask."""
    return {"y": inputs["x"] * 2}


class LeanServer:
    """Serves one model, "m", in the versions given; `model` may be changed while it runs."""

    def __init__(
        self, model: Model = doubled, *, versions: tuple[int, ...] = (1,), delay_s: float = 0, address: str = "127.0.0.1:0"
    ) -> None:
        self.model = model
        self.versions = versions
        self.delay_s = delay_s
        # Rows of each call, in the order they came; and the requests themselves.
        self.sizes: list[int] = []
        self.requests: list[serving_pb2.PredictRequest] = []
        self.timeouts: list[float | None] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(32), options=options)
        methods: dict[str, Any] = {
            "PredictionService": {
                "Predict": (self._predict, serving_pb2.PredictRequest, serving_pb2.PredictResponse),
                "GetModelMetadata": (self._metadata, serving_pb2.GetModelMetadataRequest, serving_pb2.GetModelMetadataResponse),
            },
            "ModelService": {
                "GetModelStatus": (self._status, serving_pb2.GetModelStatusRequest, serving_pb2.GetModelStatusResponse),
            },
        }
        for service, found in methods.items():
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(serve, asked.FromString, answered.SerializeToString)
                for name, (serve, asked, answered) in found.items()
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", handlers),))
        self.port = self._server.add_insecure_port(address)
        self._server.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> LeanServer:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.stop(0).wait(5)

    def _predict(self, request: serving_pb2.PredictRequest, context: grpc.ServicerContext) -> serving_pb2.PredictResponse:
        version = self._version(request.model_spec, context)
        inputs = {name: read_tensor(tensor, name).array() for name, tensor in request.inputs.items()}
        with self._lock:
            self.requests.append(request)
            self.timeouts.append(context.time_remaining())
            self.sizes.append(next((len(array) for array in inputs.values() if array.ndim), 0))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            time.sleep(self.delay_s)
            outputs = self.model(inputs)
        except Refused as refused:
            abort(context, refused.code, refused.text)
        finally:
            with self._lock:
                self.at_once -= 1
        response = serving_pb2.PredictResponse(model_spec=request.model_spec)
        response.model_spec.version.value = version
        for name, array in outputs.items():
            if not request.output_filter or name in request.output_filter:
                response.outputs[name].MergeFromString(serialized_tensor(np.asarray(array)))
        return response

    def _metadata(
        self, request: serving_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> serving_pb2.GetModelMetadataResponse:
        self._version(request.model_spec, context)
        signatures = serving_pb2.SignatureDefMap()
        made = signatures.signature_def["serving_default"]
        for tensors, name in ((made.inputs, "x"), (made.outputs, "y")):
            tensors[name].dtype = tensors_pb2.DATA_TYPE_FLOAT
            tensors[name].tensor_shape.dim.add(size=-1)
            tensors[name].tensor_shape.dim.add(size=2)
        made.outputs["seen"].dtype = tensors_pb2.DATA_TYPE_VARIANT
        made.outputs["seen"].tensor_shape.unknown_rank = True
        response = serving_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        response.metadata["signature_def"].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        response.metadata["signature_def"].value = signatures.SerializeToString()
        return response

    def _status(self, request: serving_pb2.GetModelStatusRequest, context: grpc.ServicerContext) -> serving_pb2.GetModelStatusResponse:
        if request.model_spec.name != "m":
            abort(context, grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {request.model_spec.name}")
        state = serving_pb2.ModelVersionStatus.STATE_AVAILABLE
        statuses = [serving_pb2.ModelVersionStatus(version=version, state=state) for version in self.versions]
        return serving_pb2.GetModelStatusResponse(model_version_status=statuses)

    def _version(self, spec: serving_pb2.ModelSpec, context: grpc.ServicerContext) -> int:
        if spec.HasField("version") and (spec.name != "m" or spec.version.value not in self.versions):
            abort(context, grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific({spec.name}, {spec.version.value})")
        if spec.name != "m":
            abort(context, grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")
        return spec.version.value if spec.HasField("version") else max(self.versions)


def abort(context: grpc.ServicerContext, code: grpc.StatusCode, text: str) -> NoReturn:
    """Ends a call with a status."""
    context.abort(code, text)
    raise AssertionError("abort raises")
