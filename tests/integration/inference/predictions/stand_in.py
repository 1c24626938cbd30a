"""A model server whose models say what a test wants, for what the tiny models never do: wrong replies, one version that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import numpy as np
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh.tfserving.v1 import serving_pb2
from labelmesh_inference.serving.values import Array

from tests.integration.inference.predictions.questions import tensor
from tests.unit.inference.serving.lean_server import LeanServer

Reply = Callable[[int], Mapping[str, Any]]

MANIFEST = man.ModelManifest(
    model="m", input=man.InputSpec(kind=man.INPUT_KIND_TENSOR), classes=man.ClassesOutput(tensor="y"), labels=["no", "yes"]
)
ASKED = pre.Input(tensor=tensor([1.0, 2.0]))


def sure(rows: int) -> Mapping[str, Any]:
    """A reply as the manifest says."""
    return {"y": np.tile(np.array([0.25, 0.75], np.float32), (rows, 1))}


class StandIn(LeanServer):
    """Serves "m", which takes two floats, or inputs of another shape.

    `reply` answers so many rows; `hanging` versions do not answer until `release`.
    """

    def __init__(self, *, versions: tuple[int, ...] = (1,), shape: tuple[int, ...] = (-1, 2)) -> None:
        self._shape = shape
        self.reply: Reply = sure
        self.hanging: set[int] = set()
        self._released = threading.Event()
        super().__init__(self._answer, versions=versions)

    def __enter__(self) -> StandIn:
        return self

    def _answer(self, inputs: Mapping[str, Array]) -> Mapping[str, Any]:
        return self.reply(len(inputs["x"]))

    def _predict(self, request: serving_pb2.PredictRequest, context: grpc.ServicerContext) -> serving_pb2.PredictResponse:
        if request.model_spec.version.value in self.hanging:
            self._released.wait(30)
        return super()._predict(request, context)

    def _metadata(
        self, request: serving_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> serving_pb2.GetModelMetadataResponse:
        response = super()._metadata(request, context)
        signatures = serving_pb2.SignatureDefMap.FromString(response.metadata["signature_def"].value)
        shape = signatures.signature_def["serving_default"].inputs["x"].tensor_shape
        del shape.dim[:]
        for size in self._shape:
            shape.dim.add(size=size)
        response.metadata["signature_def"].value = signatures.SerializeToString()
        return response

    def release(self) -> None:
        """Lets go of what hangs."""
        self.hanging = set()
        self._released.set()

    def stop(self) -> None:
        self.release()
        super().stop()
