"""A call to a model that takes digits."""

from __future__ import annotations

import numpy as np
from labelmesh.inference.v1 import predictions_pb2 as pred
from labelmesh.inference.v1 import tensors_pb2


def request(model: str, version: int = 0) -> pred.PredictRequest:
    """Asks, by the model's traffic or one version, about a digit as a tensor; nothing is stored."""
    pixels = np.full((28, 28, 1), 0.35, np.float32)
    tensor = tensors_pb2.Tensor(data_type=tensors_pb2.DATA_TYPE_FLOAT32, shape=pixels.shape, content=pixels.tobytes())
    choice = pred.ModelChoice(model=model, version=version)
    return pred.PredictRequest(model=choice, input=pred.Input(tensor=tensor), settings=pred.AnswerSettings(storage=pred.STORAGE_NONE))
