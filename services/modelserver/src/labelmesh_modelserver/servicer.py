"""The genuine gRPC services of TensorFlow Serving, answered by the modules beside this one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from labelmesh_modelserver.examples import classify, multi_inference, regress
from labelmesh_modelserver.metadata import model_metadata, model_status
from labelmesh_modelserver.metrics import Metrics
from labelmesh_modelserver.models import ServedModels
from labelmesh_modelserver.prediction import predict
from labelmesh_modelserver.serving import LoadedModel
from labelmesh_modelserver.statuses import Code, ServingError, invalid_argument

_log = logging.getLogger(__name__)

_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
# gRPC's clock says a number like this where a call has no deadline.
_NO_DEADLINE_S = 10_000_000.0


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict, Classify, Regress, MultiInference, GetModelMetadata."""

    def __init__(self, models: ServedModels[LoadedModel], metrics: Metrics, *, enforce_timeout: bool, check_method: bool) -> None:
        self._models = models
        self._metrics = metrics
        self._enforce_timeout = enforce_timeout
        self._check_method = check_method

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer(model: LoadedModel, version: int, timeout_s: float | None) -> Any:
            return predict(model, request, version, timeout_s, self._check_method)

        return self._answer("Predict", request, request.model_spec, context, predict_pb2.PredictResponse, answer)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer(model: LoadedModel, version: int, timeout_s: float | None) -> Any:
            return classify(model, request, version, timeout_s, self._check_method, self._count_examples)

        return self._answer("Classify", request, request.model_spec, context, classification_pb2.ClassificationResponse, answer)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer(model: LoadedModel, version: int, timeout_s: float | None) -> Any:
            return regress(model, request, version, timeout_s, self._check_method, self._count_examples)

        return self._answer("Regress", request, request.model_spec, context, regression_pb2.RegressionResponse, answer)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer(model: LoadedModel, version: int, timeout_s: float | None) -> Any:
            return multi_inference(model, request, version, timeout_s, self._check_method, self._count_examples)

        reply = inference_pb2.MultiInferenceResponse
        if not request.tasks:
            return _refuse(context, reply, invalid_argument("Inference request has empty tasks."))
        return self._answer("MultiInference", request.tasks[0], request.tasks[0].model_spec, context, reply, answer)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return model_metadata(self._models, request)
        except ServingError as problem:
            return _refuse(context, get_model_metadata_pb2.GetModelMetadataResponse, problem)

    def _answer(
        self,
        api: str,
        request: Any,
        spec: Any,
        context: grpc.ServicerContext,
        reply: Callable[[], Any],
        answer: Callable[[LoadedModel, int, float | None], Any],
    ) -> Any:
        began = time.perf_counter()
        try:
            if not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            timeout_s = _time_left(context)
            with self._models.use(spec) as (version, model):
                started = time.perf_counter()
                response = answer(model, version, timeout_s if self._enforce_timeout else None)
                ended = time.perf_counter()
        except ServingError as problem:
            self._metrics.requests.add(spec.name if self._models.is_known(spec.name) else "", problem.code.name)
            return _refuse(context, reply, problem)
        except Exception:
            _log.exception("%s of model %s failed", api, spec.name)
            self._metrics.requests.add(spec.name, Code.INTERNAL.name)
            return _refuse(context, reply, ServingError(Code.INTERNAL, "internal error"))
        self._metrics.requests.add(spec.name, Code.OK.name)
        self._metrics.runtime_latency.add((ended - started) * 1e6, spec.name, api, "TF1")
        self._metrics.request_latency.add((time.perf_counter() - began) * 1e6, spec.name, api, "GRPC")
        return response

    def _count_examples(self, model: str, count: int) -> None:
        self._metrics.example_counts.add(count, model)
        self._metrics.example_total.add(model, by=count)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, models: ServedModels[LoadedModel]) -> None:
        self._models = models

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return model_status(self._models, request)
        except ServingError as problem:
            return _refuse(context, get_model_status_pb2.GetModelStatusResponse, problem)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
                )
            self._models.reload(request.config, lambda: not context.is_active())
        except ServingError as problem:
            _log.error("ReloadConfig failed: %s", problem.text)
            return _refuse(context, model_management_pb2.ReloadConfigResponse, problem)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response


def _time_left(context: grpc.ServicerContext) -> float | None:
    """Seconds until the call's deadline, None without one.

    Raises:
        ServingError: DEADLINE_EXCEEDED where it has passed: nobody waits for the answer, so it is not computed.
    """
    left: float | None = context.time_remaining()  # None without a deadline, whatever its types say
    if left is None or left > _NO_DEADLINE_S:
        return None
    if left <= 0 or not context.is_active():
        raise ServingError(Code.DEADLINE_EXCEEDED, "The deadline had passed before the call was worked on")
    return left


def _refuse(context: grpc.ServicerContext, reply: Callable[[], Any], problem: ServingError) -> Any:
    context.set_code(_STATUS_CODES[problem.code])
    context.set_details(problem.details())
    return reply()
