"""Batches as a caller and Prometheus see them."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.integration.modelserver.house import Repository, RunningServer

_GUIDE = """
max_batch_size { value: 16 }
batch_timeout_micros { value: 200000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 4
allowed_batch_sizes: 16
"""


def _flags(repository: Repository, model: str, parameters: str) -> list[str]:
    file = repository.root / "batching"
    file.write_text(parameters)
    base = repository.root / model
    return [f"--model_base_path={base}", f"--model_name={model}", "--enable_batching", f"--batching_parameters_file={file}"]


def _sum(page: str, metric: str) -> int:
    found = re.search(rf"^:tensorflow:serving:batching_session:{metric}{{}} (\d+)$", page, re.MULTILINE)
    assert found is not None, page
    return int(found.group(1))


def test_calls_at_once_are_one_run_of_the_model_and_each_gets_its_own_answer(repository: Repository) -> None:
    repository.add("digits", 1)
    with RunningServer(*_flags(repository, "digits", _GUIDE)) as server, ThreadPoolExecutor(16) as callers:
        together = threading.Barrier(16)

        def call(number: int) -> int:
            together.wait(10)
            return server.digit(mean=(number % 10) / 10 + 0.05)[1]

        assert list(callers.map(call, range(16))) == [number % 10 for number in range(16)]
        page = server.metrics()
        assert _sum(page, "wrapped_run_count") <= 3, "16 calls of one row fit into one batch of 16"
        assert _sum(page, "input_batch_size_count") == 16
        assert _sum(page, "processed_batch_size_sum") >= 16


def test_a_batch_is_filled_up_to_an_allowed_size(repository: Repository) -> None:
    repository.add("digits", 1)
    with RunningServer(*_flags(repository, "digits", _GUIDE)) as server:
        assert server.digit() == (1, 3)
        page = server.metrics()
        assert _sum(page, "processed_batch_size_sum") == 4
        assert ':batching_session:padding_size_sum{execution_batch_size="4"} 3' in page


def test_a_picture_of_another_size_spoils_nobodys_batch(repository: Repository) -> None:
    repository.add("digits", 1)
    with RunningServer(*_flags(repository, "digits", _GUIDE)) as server, ThreadPoolExecutor(4) as callers:
        wrong = callers.submit(server.predict, "digits", image=np.zeros((1, 3), np.float32))
        right = [callers.submit(server.digit) for _ in range(3)]
        assert [call.result(20) for call in right] == [(1, 3)] * 3
        refused = wrong.exception(20)
        assert isinstance(refused, grpc.RpcError)
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_full_queue_is_unavailable_at_once(repository: Repository) -> None:
    repository.add("slow", 1)
    parameters = "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } num_batch_threads { value: 1 }"
    with RunningServer(*_flags(repository, "slow", parameters), "--grpc_max_threads=8") as server, ThreadPoolExecutor(6) as callers:

        def call() -> grpc.StatusCode | None:
            try:
                server.predict("slow", timeout_s=60, x=np.ones(1, np.float32), steps=np.full(1, 1500, np.int32))
            except grpc.RpcError as problem:
                return problem.code() if "is full; currently 1 batches" in (problem.details() or "") else None
            return grpc.StatusCode.OK

        codes = [future.result(60) for future in [callers.submit(call) for _ in range(6)]]
        assert codes.count(grpc.StatusCode.UNAVAILABLE) >= 3, codes


@pytest.mark.parametrize(
    ("model", "signature", "text"),
    [("add_one", "no_batch", "Batched output tensor has 0 dimensions")],
)
def test_a_signature_without_rows_cannot_be_batched(repository: Repository, model: str, signature: str, text: str) -> None:
    from tests.integration.modelserver.house import predict_request

    repository.add(model, 1)
    with RunningServer(*_flags(repository, model, "batch_timeout_micros { value: 0 }")) as server:
        request = predict_request(model, x=np.ones(2, np.float32))
        request.model_spec.signature_name = signature
        with pytest.raises(grpc.RpcError) as refused:
            server.prediction.Predict(request, timeout=10)
        assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)
        request.model_spec.signature_name = ""
        assert list(server.prediction.Predict(request, timeout=10).outputs["y"].float_val) == [2.0, 2.0]


def test_wrong_parameters_are_told_before_anything_is_loaded(repository: Repository) -> None:
    repository.add("digits", 1)
    with pytest.raises(Exception, match="Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 1000"):
        RunningServer(*_flags(repository, "digits", "allowed_batch_sizes: 4"))


def test_without_a_file_batching_has_tensorflow_servings_defaults(repository: Repository) -> None:
    repository.add("digits", 1)
    base = Path(repository.root / "digits")
    with RunningServer(f"--model_base_path={base}", "--model_name=digits", "--enable_batching=true") as server:
        assert server.digit() == (1, 3)
        assert _sum(server.metrics(), "wrapped_run_count") == 1
