"""The same work through the augmentation service: a stream of files with their boxes, from a client as programs write one."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import json_format
from labelmesh.augment.v1 import augmentations_pb2, augmentations_pb2_grpc, labels_pb2, pipelines_pb2
from labelmesh_augment.pipelines.pipeline import Pipeline

from benchmarks.augmentation_ways import BOXES
from benchmarks.gateway_overhead import signed_identity
from benchmarks.mesh import Mesh, cpu_seconds

# A message, and messages that are on their way before an answer has come.
ITEMS, UNANSWERED = 8, 6
REPEATS = 4
_METHOD = "/labelmesh.augment.v1.AugmentationService/ApplyStream"
_OPTIONS = [("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20)]


@dataclass(frozen=True)
class Round:
    """Pictures a second: of CPU, of the service with its workers and of the client together; and on the clock."""

    per_cpu_second: float
    per_second: float


class Service:
    """An augmentation service with this many workers, in a mesh of its own."""

    def __init__(self, home: Path, workers: int) -> None:
        self._mesh = Mesh(home, {"LABELMESH_WORKERS": str(workers)})
        self._mesh.up()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._mesh.inner_ports()['augment']['grpc']}", options=_OPTIONS)
        with grpc.insecure_channel(self._mesh.address) as edge:
            self._admin = self._mesh.admin(edge)

    def stop(self) -> None:
        self._channel.close()
        self._mesh.down()

    def round(self, files: Sequence[bytes], pipeline: Pipeline, seed: int, repeats: int = REPEATS) -> Round:
        """All files `repeats` times, each augmented once."""
        identity = signed_identity(self._mesh, self._admin, _METHOD)
        pid = self._mesh.pids()["augment"]
        free: queue.Queue[None] = queue.Queue()
        for _ in range(UNANSWERED):
            free.put(None)
        stub = augmentations_pb2_grpc.AugmentationServiceStub(self._channel)
        cpu, own, started, answered = cpu_seconds(pid), time.process_time(), time.perf_counter(), 0
        for reply in stub.ApplyStream(_messages(list(files) * repeats, pipeline, seed, free), metadata=identity, timeout=300):
            for result in reply.results:
                if result.WhichOneof("result") != "augmented":
                    raise SystemExit(f"a picture was refused: {result.error}")
                answered += 1
                if answered % ITEMS == 0:
                    free.put(None)
        seconds = time.perf_counter() - started
        return Round(answered / (cpu_seconds(pid) - cpu + time.process_time() - own), answered / seconds)


def _messages(
    files: Sequence[bytes], pipeline: Pipeline, seed: int, free: queue.Queue[None]
) -> Iterator[augmentations_pb2.ApplyStreamRequest]:
    yield augmentations_pb2.ApplyStreamRequest(pipeline=_message(pipeline), seed=seed)
    boxes = [labels_pb2.Box(id=str(n), x=x0, y=y0, width=x1 - x0, height=y1 - y0) for n, (x0, y0, x1, y1) in enumerate(BOXES)]
    labels = labels_pb2.Labels(boxes=boxes)
    for first in range(0, len(files), ITEMS):
        items = [
            augmentations_pb2.StreamItem(sample=augmentations_pb2.Sample(source=augmentations_pb2.Source(image=file), labels=labels))
            for file in files[first : first + ITEMS]
        ]
        free.get(timeout=120)
        yield augmentations_pb2.ApplyStreamRequest(items=items)


def _message(pipeline: Pipeline) -> pipelines_pb2.Pipeline:
    steps = [{"transform": step.transform, "parameters": dict(step.parameters)} for step in pipeline.steps]
    return json_format.ParseDict({"steps": steps}, pipelines_pb2.Pipeline())
