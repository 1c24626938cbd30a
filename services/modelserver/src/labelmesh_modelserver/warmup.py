"""Replays recorded requests into a version before it answers calls (servables/tensorflow/saved_model_warmup_util.cc)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from labelmesh_modelserver.examples import classify, multi_inference, regress
from labelmesh_modelserver.prediction import Runnable, predict
from labelmesh_modelserver.records import read_records
from labelmesh_modelserver.statuses import Code, ServingError, invalid_argument

WARM_UP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(model: Runnable, path: str, iterations: int = 1, check_method: bool = False) -> int:
    """Replays the records of a SavedModel's warm-up file, if it has one; how many there were.

    Raises:
        ServingError: INVALID_ARGUMENT for a record that is none and for more than 1,000 of them, DATA_LOSS for a file that is no
            TFRecord, and whatever a request fails with: then the version is not served.
    """
    file = Path(path) / WARM_UP_FILE
    if not file.is_file():
        return 0
    count = 0
    for record in read_records(file):
        log = prediction_log_pb2.PredictionLog()
        try:
            log.ParseFromString(record)
        except DecodeError as problem:
            raise invalid_argument(f"Failed to parse warmup record: {record[:64]!r} from {file}") from problem
        for _ in range(iterations):
            _replay(model, log, check_method)
        count += 1
        if count > MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
    return count


def _replay(model: Runnable, log: Any, check_method: bool) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(model, log.predict_log.request, None, None, check_method)
    elif kind == "classify_log":
        classify(model, log.classify_log.request, None, None, check_method)
    elif kind == "regress_log":
        regress(model, log.regress_log.request, None, None, check_method)
    elif kind == "multi_inference_log":
        multi_inference(model, log.multi_inference_log.request, None, None, check_method)
    elif kind is not None:
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {log.DESCRIPTOR.fields_by_name[kind].number}")
