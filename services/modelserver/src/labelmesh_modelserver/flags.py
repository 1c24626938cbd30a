"""The command line: TensorFlow Serving's flags, with their names and defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from labelmesh_modelserver.statuses import invalid_argument

ABOUT = (
    "This is labelmesh's model server: TensorFlow Serving's gRPC API over TensorFlow in Python, for machines where "
    "tensorflow_model_server is not installed. It is not TensorFlow Serving."
)

# Flags of tensorflow_model_server that are taken and change nothing here: what they tune is not there, or is always so.
_IGNORED = (
    "enable_grpc_healthcheck_service",
    "enable_profiler",
    "flush_filesystem_caches",
    "num_unload_threads",
    "remove_unused_fields_from_bundle_metagraph",
    "rest_api_enable_cors_support",
    "rest_api_num_threads",
    "rest_api_timeout_in_ms",
    "skip_initialize_tpu",
    "xla_cpu_compilation_enabled",
)


@dataclass(frozen=True)
class Flags:
    """What the command line said."""

    host: str
    port: int
    grpc_socket_path: str
    rest_api_port: int
    model_config_file: str
    model_config_file_poll_wait_seconds: float
    model_name: str
    model_base_path: str
    saved_model_tags: str
    allow_version_labels_for_unavailable_models: bool
    enable_batching: bool
    batching_parameters_file: str
    monitoring_config_file: str
    file_system_poll_wait_seconds: float
    num_load_threads: int
    max_num_load_retries: int
    load_retry_interval_micros: int
    enable_model_warmup: bool
    num_request_iterations_for_warmup: int
    enforce_session_run_timeout: bool
    enable_signature_method_name_check: bool
    tensorflow_session_parallelism: int
    tensorflow_intra_op_parallelism: int
    tensorflow_inter_op_parallelism: int
    per_process_gpu_memory_fraction: float
    grpc_channel_arguments: tuple[tuple[str, int | str], ...]
    grpc_max_threads: int
    drain_seconds: float
    ignored: tuple[str, ...] = ()


def parse(arguments: Sequence[str] | None = None) -> Flags:
    """Reads the command line; --help and mistakes end the process, as argparse does.

    Raises:
        ServingError: INVALID_ARGUMENT where flags contradict each other, with TensorFlow Serving's texts.
    """
    values = vars(_parser().parse_args(arguments))
    ignored = tuple(f"--{name}" for name in _IGNORED if values.pop(name) is not None)
    flags = Flags(**{**values, "grpc_channel_arguments": _channel_arguments(values["grpc_channel_arguments"]), "ignored": ignored})
    if not flags.model_config_file and not flags.model_base_path:
        raise invalid_argument("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if flags.batching_parameters_file and not flags.enable_batching:
        raise invalid_argument("server_options.batching_parameters_file is set without setting server_options.enable_batching to true.")
    split = flags.tensorflow_intra_op_parallelism > 0 and flags.tensorflow_inter_op_parallelism > 0
    if split and flags.tensorflow_session_parallelism > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or (server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m labelmesh_modelserver",
        description=ABOUT,
        epilog="Flags are those of tensorflow_model_server with its defaults, but for --host and --drain_seconds, which are ours. "
        "Booleans are given as --flag, --flag=true or --flag=false. Taken, but without effect here: "
        f"{', '.join(_IGNORED)}.",
        allow_abbrev=False,
    )
    api = f"gRPC API of tensorflow-serving-api {version('tensorflow-serving-api')}"
    parser.add_argument("--version", action="version", version=f"labelmesh-modelserver {version('labelmesh-modelserver')}; {api}")
    for name in _IGNORED:
        parser.add_argument(f"--{name}", nargs="?", const="true", default=None, help=argparse.SUPPRESS)
    serving = parser.add_argument_group("what to serve")
    serving.add_argument(
        "--model_config_file",
        default="",
        metavar="FILE",
        help="A ModelServerConfig in protobuf's text format. Then --model_name and --model_base_path are ignored.",
    )
    serving.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=float,
        default=0,
        metavar="S",
        help="Read the config file again every so many seconds; 0: only once.",
    )
    serving.add_argument("--model_name", default="default", metavar="NAME", help="The name of the model in --model_base_path.")
    serving.add_argument("--model_base_path", default="", metavar="FOLDER", help="The folder that holds the model's version folders.")
    serving.add_argument("--saved_model_tags", default="serve", metavar="TAGS", help="Comma-separated tags of the meta graph to load.")
    _switch(
        serving,
        "--allow_version_labels_for_unavailable_models",
        False,
        "Let a label that is new, or stays where it was, point at a version that is not available yet.",
    )
    loading = parser.add_argument_group("loading")
    loading.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1,
        metavar="S",
        help="Look for new versions every so many seconds; 0: only once.",
    )
    loading.add_argument(
        "--num_load_threads",
        type=int,
        default=0,
        metavar="N",
        help="Threads that load versions. 0 is chosen by itself here: 2 (TensorFlow Serving then loads one after the other).",
    )
    loading.add_argument("--max_num_load_retries", type=int, default=5, metavar="N", help="How often a load that failed is tried again.")
    loading.add_argument("--load_retry_interval_micros", type=int, default=60_000_000, metavar="US", help="How long after.")
    _switch(loading, "--enable_model_warmup", True, "Replay assets.extra/tf_serving_warmup_requests before a version answers calls.")
    loading.add_argument(
        "--num_request_iterations_for_warmup",
        type=int,
        default=0,
        metavar="N",
        help="How often each warm-up record is replayed, if above 0.",
    )
    calls = parser.add_argument_group("calls")
    calls.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="The address to listen on, both ports (TensorFlow Serving: all)."
    )
    calls.add_argument("--port", type=int, default=8500, metavar="PORT", help="gRPC.")
    calls.add_argument("--grpc_socket_path", default="", metavar="PATH", help="Listen on a Unix socket as well.")
    calls.add_argument(
        "--rest_api_port", type=int, default=0, metavar="PORT", help="HTTP: Prometheus metrics, and nothing else here. 0: none."
    )
    calls.add_argument(
        "--grpc_max_threads",
        type=int,
        default=0,
        metavar="N",
        help="Calls that are worked on at once. 0: 4 per CPU, or twice max_batch_size (256 at most) with batching.",
    )
    calls.add_argument(
        "--grpc_channel_arguments",
        default="",
        metavar="K=V,...",
        help="Settings of the gRPC server, such as grpc.max_connection_age_ms=2000.",
    )
    _switch(calls, "--enforce_session_run_timeout", True, "Stop computing when a call's deadline has passed.")
    _switch(calls, "--enable_signature_method_name_check", False, "Insist on a signature's method_name.")
    calls.add_argument("--monitoring_config_file", default="", metavar="FILE", help="A MonitoringConfig in protobuf's text format.")
    calls.add_argument("--drain_seconds", type=float, default=30, metavar="S", help="How long calls may go on after SIGTERM.")
    computing = parser.add_argument_group("computing")
    _switch(computing, "--enable_batching", False, "Join calls of one signature into one run of the model.")
    computing.add_argument("--batching_parameters_file", default="", metavar="FILE", help="BatchingParameters in protobuf's text format.")
    computing.add_argument(
        "--tensorflow_session_parallelism",
        type=int,
        default=0,
        metavar="N",
        help="Threads within and between operations; 0: chosen by TensorFlow.",
    )
    computing.add_argument("--tensorflow_intra_op_parallelism", type=int, default=0, metavar="N", help="Threads within an operation.")
    computing.add_argument(
        "--tensorflow_inter_op_parallelism",
        type=int,
        default=0,
        metavar="N",
        help="Threads between operations. 0 is one per call at once here, 64 at most (TensorFlow Serving: one per CPU).",
    )
    computing.add_argument(
        "--per_process_gpu_memory_fraction",
        type=float,
        default=0,
        metavar="F",
        help="The share of a GPU's memory that TensorFlow may take, 0 to 1; 0: nearly all of it.",
    )
    return parser


def _switch(group: argparse._ArgumentGroup, flag: str, default: bool, text: str) -> None:
    group.add_argument(
        flag, type=_truth, nargs="?", const=True, default=default, metavar="BOOL", help=f"{text} Default: {str(default).lower()}."
    )


def _truth(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    """Settings as gRPC takes them: what looks like a number is one."""
    pairs = [piece.partition("=") for piece in text.split(",") if piece]
    return tuple((key, int(value) if value.lstrip("-").isdigit() else value) for key, _, value in pairs)


def cpu_count() -> int:
    """The CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
