"""Warm-up records: servables/tensorflow/saved_model_warmup_util.cc."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2

from tests.integration.modelserver.house import AVAILABLE, END, Repository, RunningServer, predict_request


def _log(text: str) -> bytes:
    return bytes(text_format.Parse(text, prediction_log_pb2.PredictionLog()).SerializeToString())


def _predict_log(model: str = "digits", shape: tuple[int, ...] = (1, 28, 28, 1)) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request(model, image=np.zeros(shape, np.float32)))
    return bytes(log.SerializeToString())


def _records(records: Iterable[bytes]) -> Callable[[Path], None]:
    """Writes warm-up records with TensorFlow's own writer."""

    def change(folder: Path) -> None:
        extra = folder / "assets.extra"
        extra.mkdir()
        with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
            for record in records:
                writer.write(record)

    return change


def _garbage(folder: Path) -> None:
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no TFRecord, this, by any reading of it")


def test_a_version_is_warmed_up_before_it_answers(repository: Repository) -> None:
    path = repository.add("digits", 1, change=_records([_predict_log()] * 3))
    with RunningServer(f"--model_base_path={repository.root / 'digits'}", "--model_name=digits") as server:
        assert f':tensorflow:serving:model_warmup_latency_count{{model_path="{path}",status="OK"}} 1' in server.metrics()
        assert server.digit() == (1, 3)
        assert 'request_count{model_name="digits",status="OK"} 1' in server.metrics(), "warm-up must not count as requests"


def test_all_kinds_of_requests_warm_up(repository: Repository) -> None:
    example = 'input { example_list { examples { features { feature { key: "x" value { float_list { value: 1 } } } } } } }'
    spec = 'model_spec { name: "examples" signature_name:'
    tasks = f'tasks {{ {spec} "regress" }} method_name: "tensorflow/serving/regress" }}'
    records = [
        _log(f'classify_log {{ request {{ {spec} "classify" }} {example} }} }}'),
        _log(f'regress_log {{ request {{ {spec} "regress" }} {example} }} }}'),
        _log(f"multi_inference_log {{ request {{ {tasks} {example} }} }}"),
        _log(""),
    ]
    repository.add("examples", 1, change=_records(records))
    with RunningServer(f"--model_base_path={repository.root / 'examples'}", "--model_name=examples") as server:
        assert server.states("examples") == {1: AVAILABLE}


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (_garbage, 15, "corrupted record at 0. Please verify your warmup data is in TFRecord format."),
        (_records([b"\xff\xff"]), 3, "Failed to parse warmup record: "),
        (_records([_predict_log(shape=(1, 3))]), 3, ""),
        (_records([_predict_log()] * 1001), 3, "Number of warmup records exceeds the maximum (1000) at "),
        (_records([_log("session_run_log {}")]), 12, "Unsupported log_type for warmup: 5"),
    ],
    ids=["no TFRecord", "no PredictionLog", "a request that fails", "1001 records", "a session run"],
)
def test_a_bad_warm_up_file_fails_the_load(repository: Repository, change: Callable[[Path], None], code: int, text: str) -> None:
    repository.add("digits", 1)
    with RunningServer(f"--model_base_path={repository.root / 'digits'}", "--model_name=digits") as server:
        repository.add("digits", 2, change=change)
        server.until(lambda: server.states("digits").get(2) == END)
        status = server.status("digits", 2).status
        assert (status.error_code, status.error_message[: len(text)]) == (code, text)
        assert server.digit() == (1, 3)


def test_warm_up_can_be_switched_off(repository: Repository) -> None:
    repository.add("digits", 1, change=_garbage)
    flags = (f"--model_base_path={repository.root / 'digits'}", "--model_name=digits", "--enable_model_warmup=false")
    with RunningServer(*flags) as server:
        assert server.digit() == (1, 3)
