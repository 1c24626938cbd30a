"""A model server in this process, with a repository of the test's own, called over a real channel with the genuine stubs."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from google.protobuf import text_format
from labelmesh_local.ports import free_ports
from labelmesh_modelserver.flags import parse
from labelmesh_modelserver.server import Server
from labelmesh_modelserver.tensors import Array, decode
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.support.models import ensure
from tests.support.modelserver import models_config

START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50


class Repository:
    """A model repository; versions appear in it whole, by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "models.config"
        root.mkdir(parents=True, exist_ok=True)

    def add(self, model: str, version: int, *, of: str = "", change: Callable[[Path], None] | None = None) -> Path:
        """Copies a version of the test models (`of` is "digits/2"; the same name and number by default)."""
        incoming = self.root / f".incoming-{model}-{version}"
        shutil.copytree(ensure() / (of or f"{model}/{version}"), incoming)
        if change is not None:
            change(incoming)
        target = self.root / model / str(version)
        target.parent.mkdir(exist_ok=True)
        return incoming.rename(target)

    def write_config(self, *models: str, policy: str = "all {}", labels: dict[str, int] | None = None) -> Path:
        """Writes models.config as a whole, by rename. `labels` are for every model."""
        text = models_config(self.root, models, policy)
        for label, version in (labels or {}).items():
            text = text.replace(
                'model_platform: "tensorflow"', f'model_platform: "tensorflow" version_labels {{ key: "{label}" value: {version} }}'
            )
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text)
        return fresh.rename(self.config)


class Caller:
    """The genuine stubs over one channel."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.channel = grpc.insecure_channel(
            target, options=[("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model: str, version: int | None = None, *, timeout_s: float = 10, **inputs: Array) -> tuple[int, dict[str, Array]]:
        """The version that answered, and its outputs as arrays."""
        response = self.prediction.Predict(predict_request(model, version, **inputs), timeout=timeout_s)
        return response.model_spec.version.value, {name: decode(tensor) for name, tensor in response.outputs.items()}

    def digit(self, version: int | None = None, *, model: str = "digits", mean: float = 0.35, **spec: Any) -> tuple[int, int]:
        """The version that answered about an image of this brightness, and its digit."""
        number, outputs = self.predict(model, version, image=np.full((1, 28, 28, 1), mean, np.float32))
        return number, int(outputs["scores"][0].argmax())

    def states(self, model: str) -> dict[int, int]:
        """The state of every version; empty where the server does not know the model."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=model))
        try:
            response = self.model.GetModelStatus(request, timeout=10)
        except grpc.RpcError as problem:
            if problem.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return {}
        return {status.version: status.state for status in response.model_version_status}

    def status(self, model: str, version: int) -> Any:
        """A ModelVersionStatus."""
        spec = model_pb2.ModelSpec(name=model)
        spec.version.value = version
        response = self.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=spec), timeout=10)
        return response.model_version_status[0]

    def reload(self, text: str, timeout_s: float = 20) -> Any:
        """HandleReloadConfigRequest with a ModelServerConfig's text."""
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(text, request.config)
        return self.model.HandleReloadConfigRequest(request, timeout=timeout_s)

    def until(self, what: Callable[[], bool], timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)

    def close(self) -> None:
        self.channel.close()


class RunningServer(Caller):
    """A server with these flags; used as a context."""

    def __init__(self, *flags: str) -> None:
        self.port, self.http_port = free_ports(2)
        super().__init__(f"127.0.0.1:{self.port}")
        self.server = Server(
            parse(
                [
                    *(f"--port={self.port}", f"--rest_api_port={self.http_port}", "--max_num_load_retries=0"),
                    *("--file_system_poll_wait_seconds=0.1", "--model_config_file_poll_wait_seconds=0.1", "--drain_seconds=5", *flags),
                ]
            )
        )

    def metrics(self, path: str = "/monitoring/prometheus/metrics") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as reply:
            return str(reply.read().decode())

    def __enter__(self) -> RunningServer:
        try:
            self.server.start(lambda: False)
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        self.server.stop()


class Load:
    """Calls a server all the time from several threads, until stopped; counts answers by version and keeps failures."""

    def __init__(self, target: str, threads: int = 2) -> None:
        self.answers: dict[int, int] = {}
        self.wrong: list[tuple[int, int]] = []
        self.failures: list[grpc.RpcError] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(target,)) for _ in range(threads)]

    def _call(self, target: str) -> None:
        caller = Caller(target)
        while not self._over.is_set():
            try:
                version, digit = caller.digit()
            except grpc.RpcError as problem:
                with self._lock:
                    self.failures.append(problem)
                time.sleep(0.01)
                continue
            with self._lock:
                self.answers[version] = self.answers.get(version, 0) + 1
                if digit != (3 + version - 1) % 10:
                    self.wrong.append((version, digit))
        caller.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=15)


def predict_request(model: str, version: int | None = None, **inputs: Array) -> Any:
    """A PredictRequest whose tensors travel as tensor_content, strings as string_val."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    for name, array in inputs.items():
        put(request.inputs[name], array)
    return request


def put(tensor: Any, array: Array) -> None:
    """Fills a TensorProto."""
    kinds = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "object": 7, "int64": 9}
    tensor.dtype = kinds[str(array.dtype)]
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.tensor_content = array.tobytes()


def strings(items: Iterable[bytes]) -> Array:
    values = list(items)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
