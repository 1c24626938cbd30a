"""The parameter files that tensorflow-serving-api has no messages for: batching and monitoring.

Their messages are described here with TensorFlow Serving's names and numbers (servables/tensorflow/session_bundle_config.proto,
config/monitoring_config.proto), so that protobuf's own parser reads the files, comments and all, and refuses what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

from labelmesh_modelserver.configuration import read_text_proto
from labelmesh_modelserver.flags import cpu_count
from labelmesh_modelserver.statuses import invalid_argument

PROMETHEUS_PATH = "/monitoring/prometheus/metrics"

_INT64 = ".google.protobuf.Int64Value"
_BOOL = ".google.protobuf.BoolValue"
_STRING = ".google.protobuf.StringValue"
_Field = descriptor_pb2.FieldDescriptorProto
_BATCHING_FIELDS: tuple[tuple[str, int, str | int, bool], ...] = (
    ("max_batch_size", 1, _INT64, False),
    ("batch_timeout_micros", 2, _INT64, False),
    ("max_enqueued_batches", 3, _INT64, False),
    ("num_batch_threads", 4, _INT64, False),
    ("thread_pool_name", 5, _STRING, False),
    ("allowed_batch_sizes", 6, _Field.TYPE_INT64, True),
    ("pad_variable_length_inputs", 7, _Field.TYPE_BOOL, False),
    ("enable_large_batch_splitting", 8, _BOOL, False),
    ("max_execution_batch_size", 9, _INT64, False),
)


@dataclass(frozen=True)
class BatchingParameters:
    """How calls are joined. The defaults are those of TensorFlow's SharedBatchScheduler."""

    max_batch_size: int = 1000
    batch_timeout_s: float = 0.0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 1000
    thread_pool_name: str = "model_server_batch_threads"


def read_batching_parameters(path: str) -> BatchingParameters:
    """BatchingParameters from a file; the defaults where there is none.

    Raises:
        ServingError: where the file cannot be read, does not parse or contradicts itself.
    """
    message = _BATCHING()
    if path:
        read_text_proto(path, message)

    def value(name: str, default: Any) -> Any:
        return getattr(message, name).value if message.HasField(name) else default

    max_batch_size = value("max_batch_size", BatchingParameters.max_batch_size)
    splitting = value("enable_large_batch_splitting", False)
    execution = value("max_execution_batch_size", max_batch_size) if splitting else max_batch_size
    parameters = BatchingParameters(
        max_batch_size=max_batch_size,
        batch_timeout_s=value("batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=value("max_enqueued_batches", BatchingParameters.max_enqueued_batches),
        num_batch_threads=value("num_batch_threads", cpu_count()),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        enable_large_batch_splitting=splitting,
        max_execution_batch_size=execution,
        thread_pool_name=value("thread_pool_name", BatchingParameters.thread_pool_name),
    )
    _check(parameters)
    return parameters


def _check(parameters: BatchingParameters) -> None:
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads", "max_execution_batch_size"):
        if getattr(parameters, name) < 1:
            raise invalid_argument(f"{name} must be positive; was {getattr(parameters, name)}")
    if parameters.batch_timeout_s < 0:
        raise invalid_argument(f"batch_timeout_micros must be non-negative; was {parameters.batch_timeout_s * 1e6:.0f}")
    if parameters.max_execution_batch_size > parameters.max_batch_size:
        raise invalid_argument(
            f"max_execution_batch_size should be less than or equal to max_batch_size; was {parameters.max_execution_batch_size}, "
            f"max_batch_size is {parameters.max_batch_size}"
        )
    sizes = parameters.allowed_batch_sizes
    if not sizes:
        return
    if list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
        raise invalid_argument("allowed_batch_sizes entries must be monotonically increasing")
    if sizes[-1] != parameters.max_execution_batch_size:
        raise invalid_argument(
            f"Last entry in allowed_batch_sizes must match max_batch_size; last entry was {sizes[-1]}; "
            f"expected {parameters.max_execution_batch_size}"
        )


def read_metrics_path(path: str) -> str | None:
    """Where Prometheus finds metrics, from a MonitoringConfig file; None where it says not to expose any.

    Without a file they are exposed at TensorFlow Serving's default path: this server has nothing else on its HTTP port.

    Raises:
        ServingError: where the file cannot be read or does not parse.
    """
    if not path:
        return PROMETHEUS_PATH
    message = _MONITORING()
    read_text_proto(path, message)
    if not message.prometheus_config.enable:
        return None
    return message.prometheus_config.path or PROMETHEUS_PATH


def _messages() -> tuple[Any, Any]:
    """The two message classes, in a pool of their own: the default pool may one day know them."""
    file = descriptor_pb2.FileDescriptorProto(
        name="labelmesh_modelserver/parameters.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    batching = file.message_type.add(name="BatchingParameters")
    for name, number, kind, repeated in _BATCHING_FIELDS:
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        if isinstance(kind, str):
            batching.field.add(name=name, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=kind)
        else:
            batching.field.add(name=name, number=number, label=label, type=kind)
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_BOOL)
    prometheus.field.add(name="path", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(
        name="prometheus_config",
        number=1,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE,
        type_name=".tensorflow.serving.PrometheusConfig",
    )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return (
        message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters")),
        message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.MonitoringConfig")),
    )


_BATCHING, _MONITORING = _messages()
