"""The parameter files of batching and monitoring: servables/tensorflow/session_bundle_config.proto, config/monitoring_config.proto."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelmesh_modelserver.parameters import BatchingParameters, read_batching_parameters, read_metrics_path
from labelmesh_modelserver.statuses import Code, ServingError


def _file(folder: Path, text: str) -> str:
    file = folder / "parameters"
    file.write_text(text)
    return str(file)


def test_a_batching_file_of_tensorflow_servings_guide_is_read(tmp_path: Path) -> None:
    """Source: tensorflow_serving/batching/README.md."""
    parameters = read_batching_parameters(
        _file(
            tmp_path,
            """
            max_batch_size { value: 128 }
            batch_timeout_micros { value: 1500 }  # a comment
            max_enqueued_batches { value: 1000000 }
            num_batch_threads { value: 8 }
            allowed_batch_sizes: 32
            allowed_batch_sizes: 128
            pad_variable_length_inputs: true
            """,
        )
    )
    assert parameters == BatchingParameters(128, 0.0015, 1000000, 8, (32, 128), True, False, 128)


def test_without_a_file_batches_are_those_of_the_shared_batch_scheduler() -> None:
    """Source: tensorflow/core/kernels/batching_util/shared_batch_scheduler.h, QueueOptions."""
    parameters = read_batching_parameters("")
    assert (parameters.max_batch_size, parameters.batch_timeout_s, parameters.max_enqueued_batches) == (1000, 0, 10)
    assert parameters.num_batch_threads >= 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 8 allowed_batch_sizes: 4",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be positive; was -1"),
        ("batch_timeout_micros { value: -5 }", "batch_timeout_micros must be non-negative; was -5"),
        (
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 9 }",
            "max_execution_batch_size should be less than or equal to max_batch_size; was 9, max_batch_size is 8",
        ),
        ("max_batchsize { value: 8 }", 'has no field named "max_batchsize"'),
    ],
)
def test_parameters_that_cannot_be_followed_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ServingError) as refused:
        read_batching_parameters(_file(tmp_path, text))
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert complaint in refused.value.text


def test_calls_are_split_only_where_the_file_says_so(tmp_path: Path) -> None:
    assert (
        read_batching_parameters(
            _file(tmp_path, "max_batch_size { value: 8 } max_execution_batch_size { value: 2 }")
        ).max_execution_batch_size
        == 8
    )
    split = "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 2 }"
    assert read_batching_parameters(_file(tmp_path, split)).max_execution_batch_size == 2


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true, path: "/metrics" }', "/metrics"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ("prometheus_config { enable: false }", None),
        ("", None),
    ],
)
def test_the_monitoring_file_says_where_metrics_are(tmp_path: Path, text: str, path: str | None) -> None:
    assert read_metrics_path(_file(tmp_path, text)) == path


def test_without_a_monitoring_file_metrics_are_at_tensorflow_servings_path() -> None:
    assert read_metrics_path("") == "/monitoring/prometheus/metrics"
