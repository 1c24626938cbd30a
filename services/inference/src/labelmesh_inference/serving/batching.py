"""Calls to models: inputs of the same shape share a call, and no model gets more calls at once than it may.

TensorFlow Serving goes on computing for clients that have left, so what is too much is refused before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelmesh_chassis.errors import MeshError

from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.serving.values import Array, Tensor


@dataclass(frozen=True)
class CallKey:
    """Whom to ask. Without a version the newest that is served answers."""

    model: str
    version: int | None
    signature: str = "serving_default"


@dataclass(frozen=True)
class BatchPolicy:
    """How calls to a model are packed, as its manifest says."""

    # Rows in one call, at least 1; 1 turns sharing off.
    max_batch_size: int = 32
    # How long a row may wait for company while another call to the same model is in flight.
    max_wait_s: float = 0.002
    max_calls_in_flight: int = 8
    # Of one call to the model.
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Answer:
    """What a model answered to one row."""

    # The one that answered, as the model server said.
    version: int
    # Without the batch dimension.
    outputs: Mapping[str, Array]
    # Before its call was sent, and the call itself.
    waiting_s: float
    model_s: float
    # Rows that shared the call, this one included.
    batch_size: int


class ModelCalls:
    """Calls to the models of one server. Threads share it."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def call(self, key: CallKey, policy: BatchPolicy, row: Mapping[str, Array | Tensor], outputs: Sequence[str] = ()) -> Answer:
        """The answer to one row, whose inputs come without the batch dimension. Errors are those of `ModelServer.predict`, and
        ResourceExhausted (MODEL_BUSY), at once, where the model has as many calls in flight and rows waiting as it may."""
        raise NotImplementedError

    def call_many(
        self, key: CallKey, policy: BatchPolicy, rows: Sequence[Mapping[str, Array | Tensor]], outputs: Sequence[str] = ()
    ) -> list[Answer | MeshError]:
        """The answers to many rows in their order; a row that the model refuses has its error in its place, the others theirs."""
        raise NotImplementedError
