"""Tensors to the wire and back beside TensorFlow's own functions, which a client of TensorFlow Serving usually uses.

Both sides start from a NumPy array and end at the bytes of a request; and start from the bytes of a reply and end at a NumPy array. What is
counted is the processor's time, so that what else the machine does is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from labelmesh_inference.serving import wire

from benchmarks.figures import ratio, spread, table

RUNS = 9
# Each measurement repeats until it has taken at least so long, in seconds.
_LEAST_S = 0.08
CONTENT, LIST = "content", "list of values"


def main() -> str:
    """Runs it and returns Markdown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    packing = [_packing(name, array) for name, array in _inputs().items()]
    unpacking = [_unpacking(name, array, form) for name, array, form in _outputs()]
    header = ["tensor", "here", "TensorFlow's functions", "times as fast", "goal"]
    return (
        "Packing: an array to a serialized PredictRequest, against `tf.make_tensor_proto` (µs of the processor).\n\n"
        + table(header, packing)
        + "\n\nUnpacking: a serialized PredictResponse to an array, against `tf.make_ndarray` (µs of the processor).\n\n"
        + table(header, unpacking)
    )


def _inputs() -> dict[str, Any]:
    chance = np.random.default_rng(1)
    return {
        "28x28x1 float32": chance.random((1, 28, 28, 1), np.float32),
        "32 of 28x28x1 float32": chance.random((32, 28, 28, 1), np.float32),
        "224x224x3 float32": chance.random((1, 224, 224, 3), np.float32),
        "1024x1024x3 uint8": chance.integers(0, 256, (1, 1024, 1024, 3), np.uint8),
    }


def _outputs() -> list[tuple[str, Any, str]]:
    chance = np.random.default_rng(2)
    return [
        ("10 float32", chance.random((1, 10), np.float32), LIST),
        ("1,000 float32", chance.random((1, 1000), np.float32), LIST),
        ("100,000 float32", chance.random((100, 1000), np.float32), LIST),
        ("1,000,000 float32", chance.random((1000, 1000), np.float32), LIST),
        ("100,000 int64", chance.integers(0, 90, 100_000, np.int64), LIST),
        ("1,000,000 float32", chance.random((1000, 1000), np.float32), CONTENT),
    ]


def _packing(name: str, array: Any) -> list[object]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    def ours() -> bytes:
        return wire.predict_request("digits", None, "serving_default", {"image": array})

    def theirs() -> bytes:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "digits"
        request.model_spec.signature_name = "serving_default"
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(array))
        serialized: bytes = request.SerializeToString()
        return serialized

    if predict_pb2.PredictRequest.FromString(ours()) != predict_pb2.PredictRequest.FromString(theirs()):
        raise SystemExit("The two requests differ.")
    return _row(name, ours, theirs, "at least 1.4")


def _unpacking(name: str, array: Any, form: str) -> list[object]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    output = response.outputs["scores"]
    if form == CONTENT:
        output.CopyFrom(tf.make_tensor_proto(array))
    else:
        # As TensorFlow Serving answers: Tensor::AsProtoField.
        output.dtype = tf.as_dtype(array.dtype).as_datatype_enum
        output.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
        (output.float_val if array.dtype == np.float32 else output.int64_val).extend(array.ravel().tolist())
    data = response.SerializeToString()

    def ours() -> Any:
        return wire.read_reply(data).array("scores")

    def theirs() -> Any:
        return tf.make_ndarray(predict_pb2.PredictResponse.FromString(data).outputs["scores"])

    if not np.array_equal(ours(), theirs()):
        raise SystemExit("The two answers differ.")
    goal = "at least 100" if form == LIST and array.dtype == np.float32 and array.size >= 100_000 else ""
    return _row(f"{name}, {form}", ours, theirs, goal)


def _row(name: str, ours: Callable[[], object], theirs: Callable[[], object], goal: str) -> list[object]:
    mine: list[float] = []
    other: list[float] = []
    for run in range(RUNS):
        # In turns, and each first as often as the other: what else the machine does hits both.
        for function, times in ((ours, mine), (theirs, other))[:: 1 if run % 2 else -1]:
            times.append(_time(function))
    micro = [spread([second * 1e6 for second in times]) for times in (mine, other)]
    return [name, micro[0], micro[1], ratio(other, mine), goal]


def _time(function: Callable[[], object]) -> float:
    """Seconds of the processor that one call takes."""
    calls, started = 0, time.thread_time()
    while (took := time.thread_time() - started) < _LEAST_S or not calls:
        function()
        calls += 1
    return took / calls


if __name__ == "__main__":
    print(main())
