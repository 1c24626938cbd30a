"""Predictions through the service beside calls straight to the model server, over the same model, in turns, in one mesh.

The plain client sends the same tensors as `tensor_content` over one channel: the cheapest way there is without the service.
"""

from __future__ import annotations

import io
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from labelmesh.inference.v1 import predictions_pb2, predictions_pb2_grpc, tensors_pb2
from labelmesh.tfserving.v1 import serving_pb2
from labelmesh.tfserving.v1 import tensors_pb2 as tf_tensors
from PIL import Image, ImageFilter

from benchmarks.figures import percentile, ratio, spread, table
from benchmarks.gateway_overhead import signed_identity
from benchmarks.mesh import HOUSE, Account, Mesh
from benchmarks.prediction_manifests import DIGITS, JPEG, PHOTO

RUNS = 5
OVERHEAD_CALLS = 300
_OPTIONS = [("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20)]
_METHOD = "/labelmesh.inference.v1.PredictionService/Predict"
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True)
class Work:
    """A model and what it is asked: the same inputs for the model server and for the service."""

    model: str
    plain: Sequence[tf_tensors.Tensor]
    inputs: Sequence[predictions_pb2.Input]
    group: int
    """Inputs in one message of the stream."""


class PlainClient:
    """One call an input to the model server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=serving_pb2.PredictRequest.SerializeToString,
            response_deserializer=serving_pb2.PredictResponse.FromString,
        )

    def predict(self, model: str, tensor: tf_tensors.Tensor) -> None:
        request = serving_pb2.PredictRequest(model_spec=serving_pb2.ModelSpec(name=model), inputs={"images": tensor})
        self._call(request, timeout=30)

    def per_second(self, work: Work, threads: int) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda tensor: self.predict(work.model, tensor), work.plain))
        return len(work.plain) / (time.perf_counter() - started)


class Service:
    """The inference service, straight or through the gateway."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = predictions_pb2_grpc.PredictionServiceStub(channel)

    def predict(self, work: Work, number: int, metadata: Metadata, storage: predictions_pb2.Storage.ValueType) -> None:
        request = predictions_pb2.PredictRequest(
            model=predictions_pb2.ModelChoice(model=work.model),
            input=work.inputs[number],
            settings=predictions_pb2.AnswerSettings(storage=storage, top_k=1),
        )
        self._stub.Predict(request, metadata=metadata, timeout=30)

    def per_second(self, work: Work, metadata: Metadata, storage: predictions_pb2.Storage.ValueType) -> float:
        """By one stream, with at most eight messages unanswered."""
        free: queue.Queue[None] = queue.Queue()
        for _ in range(8):
            free.put(None)

        def messages() -> Iterator[predictions_pb2.PredictStreamRequest]:
            settings = predictions_pb2.AnswerSettings(storage=storage, top_k=1)
            yield predictions_pb2.PredictStreamRequest(model=predictions_pb2.ModelChoice(model=work.model), settings=settings)
            for first in range(0, len(work.inputs), work.group):
                free.get(timeout=60)
                yield predictions_pb2.PredictStreamRequest(inputs=work.inputs[first : first + work.group])

        started, answered = time.perf_counter(), 0
        for reply in self._stub.PredictStream(messages(), metadata=metadata, timeout=120):
            free.put(None)
            answered += sum(item.WhichOneof("item") == "prediction" for item in reply.items)
        if answered != len(work.inputs):
            raise SystemExit(f"{work.model}: {answered} of {len(work.inputs)} inputs were answered")
        return answered / (time.perf_counter() - started)


def tensors(model: str, arrays: Sequence[np.ndarray], group: int) -> Work:
    """Work of tensors of uint8 or float32."""
    pixels = arrays[0].dtype == np.uint8
    theirs = tf_tensors.DATA_TYPE_UINT8 if pixels else tf_tensors.DATA_TYPE_FLOAT
    ours = tensors_pb2.DATA_TYPE_UINT8 if pixels else tensors_pb2.DATA_TYPE_FLOAT32
    shape = tf_tensors.TensorShape(dim=[tf_tensors.TensorShape.Dim(size=size) for size in (1, *arrays[0].shape)])
    plain = [tf_tensors.Tensor(dtype=theirs, tensor_content=array.tobytes(), tensor_shape=shape) for array in arrays]
    own = [tensors_pb2.Tensor(data_type=ours, shape=array.shape, content=array.tobytes()) for array in arrays]
    return Work(model, plain, [predictions_pb2.Input(tensor=tensor) for tensor in own], group)


def digits(count: int) -> Work:
    """Tensors of 28x28 floats, 256 in a message."""
    return tensors(DIGITS, list(np.random.default_rng(3).random((count, 28, 28, 1), dtype=np.float32)), 256)


def photographs(count: int) -> Work:
    """JPEG files of 1,024 x 768 pixels, each different."""
    chance = np.random.default_rng(5)
    files: list[bytes] = []
    for _ in range(count):
        coarse = Image.fromarray(chance.integers(0, 256, (48, 64, 3), dtype=np.uint8)).resize((1024, 768), Image.Resampling.BICUBIC)
        grain = Image.fromarray(chance.integers(0, 256, (768, 1024, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(1))
        held = io.BytesIO()
        Image.blend(coarse, grain, 0.15).save(held, "JPEG", quality=85)
        files.append(held.getvalue())
    shape = tf_tensors.TensorShape(dim=[tf_tensors.TensorShape.Dim(size=1)])
    plain = [tf_tensors.Tensor(dtype=tf_tensors.DATA_TYPE_STRING, string_val=[file], tensor_shape=shape) for file in files]
    return Work(JPEG, plain, [predictions_pb2.Input(image=file) for file in files], 4)


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        made = Path(folder) / "models"
        made.mkdir()
        subprocess.run([sys.executable, "-m", "benchmarks.prediction_models", str(made)], cwd=HOUSE, check=True, capture_output=True)
        mesh = Mesh(Path(folder) / "mesh")
        mesh.up(models=True)
        try:
            for name in (DIGITS, PHOTO, JPEG):
                mesh.labelmesh("model", "add", str(made / name))
            return _measure(mesh)
        finally:
            mesh.down()


def _measure(mesh: Mesh) -> str:
    small = digits(4096)
    pixels = np.random.default_rng(3).integers(0, 256, (96, 224, 224, 3), dtype=np.uint8)
    large = tensors(PHOTO, list(pixels), 4)
    ports = mesh.inner_ports()
    with (
        grpc.insecure_channel(f"127.0.0.1:{ports['modelserver']['grpc']}", options=_OPTIONS) as to_model,
        grpc.insecure_channel(f"127.0.0.1:{ports['inference']['grpc']}", options=_OPTIONS) as to_service,
        grpc.insecure_channel(mesh.address, options=_OPTIONS) as edge,
    ):
        plain, service, through_edge = PlainClient(to_model), Service(to_service), Service(edge)
        admin = mesh.admin(edge)
        rows = [row for work, title, goal in _works(small, large) for row in _throughput(plain, service, mesh, admin, work, title, goal)]
        throughput = table(["inputs", "way", "inputs per second", "of the better plain way", "goal"], rows)
        return f"{throughput}\n\nOne call at a time, 28x28 tensors:\n\n" + _overhead(plain, service, through_edge, mesh, admin, small)


def _works(small: Work, large: Work) -> list[tuple[Work, str, str]]:
    return [
        (small, "28x28 tensors", "at least 8"),
        (large, "224x224x3 tensors", "at least 0.9"),
        (photographs(64), "JPEG, 1,024 pixels", "at least 0.9"),
    ]


def _throughput(plain: PlainClient, service: Service, mesh: Mesh, admin: Account, work: Work, title: str, goal: str) -> list[list[object]]:
    one_by_one: list[float] = []
    four: list[float] = []
    stored: list[float] = []
    unstored: list[float] = []
    few = Work(work.model, work.plain[:1024], work.inputs[:1024], work.group)
    for run in range(RUNS + 1):
        figures = [
            plain.per_second(few, 1),
            plain.per_second(few, 4),
            service.per_second(work, signed_identity(mesh, admin, _METHOD), predictions_pb2.STORAGE_RESULT),
            service.per_second(work, signed_identity(mesh, admin, _METHOD), predictions_pb2.STORAGE_NONE),
        ]
        if run > 0:  # The first run warms up.
            for kept, figure in zip((one_by_one, four, stored, unstored), figures, strict=True):
                kept.append(figure)
    better = [max(pair) for pair in zip(one_by_one, four, strict=True)]
    return [
        [title, "model server, one call an input, one at a time", spread(one_by_one), "", ""],
        ["", "the same, four at a time", spread(four), "", ""],
        ["", "service, by stream, results stored", spread(stored), ratio(stored, better), goal],
        ["", "service, by stream, nothing stored", spread(unstored), ratio(unstored, better), ""],
    ]


def _overhead(plain: PlainClient, service: Service, edge: Service, mesh: Mesh, admin: Account, work: Work) -> str:
    own: list[Metadata] = [admin.metadata]
    nothing, result = predictions_pb2.STORAGE_NONE, predictions_pb2.STORAGE_RESULT
    ways: dict[str, Callable[[int], None]] = {
        "straight to the model server": lambda number: plain.predict(work.model, work.plain[number]),
        "service, nothing stored": lambda number: service.predict(work, number, own[0], nothing),
        "service, result stored": lambda number: service.predict(work, number, own[0], result),
        "gateway and service, result stored": lambda number: edge.predict(work, number, admin.metadata, result),
    }
    p50: dict[str, list[float]] = {name: [] for name in ways}
    p99: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(RUNS + 1):
        for name, call in ways.items():
            own[0] = signed_identity(mesh, admin, _METHOD)
            times: list[float] = []
            for number in range(OVERHEAD_CALLS):
                started = time.perf_counter()
                call(number)
                times.append((time.perf_counter() - started) * 1000)
            if run > 0:
                p50[name].append(percentile(times, 0.5))
                p99[name].append(percentile(times, 0.99))
    direct = "straight to the model server"

    def added(figures: dict[str, list[float]], name: str) -> str:
        pairs = zip(figures[name], figures[direct], strict=True)
        return "" if name == direct else str(spread([ours - theirs for ours, theirs in pairs]))

    rows = [[name, spread(p50[name]), added(p50, name), spread(p99[name]), added(p99, name)] for name in ways]
    return table(["way", "p50 ms", "added p50 ms", "p99 ms", "added p99 ms"], rows)


if __name__ == "__main__":
    print(main())
