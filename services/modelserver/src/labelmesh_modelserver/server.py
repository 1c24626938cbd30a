"""Puts the parts together: loads the models, then opens the ports, and takes both down again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from queue import SimpleQueue
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2, model_service_pb2_grpc, prediction_service_pb2, prediction_service_pb2_grpc

from labelmesh_modelserver.batching import BatchScheduler
from labelmesh_modelserver.configuration import read_config_file, single_model
from labelmesh_modelserver.flags import Flags, cpu_count
from labelmesh_modelserver.metrics import Metrics
from labelmesh_modelserver.models import Periodic, ServedModels
from labelmesh_modelserver.monitoring import MetricsServer
from labelmesh_modelserver.parameters import read_batching_parameters, read_metrics_path
from labelmesh_modelserver.savedmodel import devices, session_config, tensorflow_version
from labelmesh_modelserver.servables import Retries, Servables, VersionStatus
from labelmesh_modelserver.servicer import ModelService, PredictionService
from labelmesh_modelserver.serving import LoadedModel, ModelLoader
from labelmesh_modelserver.statuses import Code, ServingError

_log = logging.getLogger(__name__)

_SERVICES = tuple(
    file.DESCRIPTOR.services_by_name[name].full_name
    for file, name in ((prediction_service_pb2, "PredictionService"), (model_service_pb2, "ModelService"))
)
_MAX_MESSAGE = 2**31 - 1
_LOAD_THREADS = 2
_MAX_BATCH_CALL_THREADS = 256
_MAX_RUN_THREADS = 64
_STILL_WAITING_S = 10.0


class Server:
    """A running model server."""

    def __init__(self, flags: Flags) -> None:
        """Reads the files the flags name. Nothing is loaded and no port is open yet.

        Raises:
            ServingError: where a file is missing or wrong.
        """
        self._flags = flags
        self._metrics = Metrics()
        self._metrics.info.set(1, f"labelmesh-modelserver {version('labelmesh-modelserver')}, not TensorFlow Serving", tensorflow_version())
        self._metrics_path = read_metrics_path(flags.monitoring_config_file)
        self._config = self._read_config()
        self._scheduler: BatchScheduler | None = None
        if flags.enable_batching:
            self._scheduler = BatchScheduler(read_batching_parameters(flags.batching_parameters_file), self._metrics)
        self._servables = Servables[LoadedModel](
            self._loader(),
            load_threads=flags.num_load_threads or _LOAD_THREADS,
            retries=Retries(max(flags.max_num_load_retries, 0), flags.load_retry_interval_micros / 1e6),
            on_change=self._tell,
        )
        self._models = ServedModels(self._servables, allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models)
        self._health = health.HealthServicer()
        self._periodic: list[Periodic] = []
        self._http: MetricsServer | None = None
        self._grpc: grpc.Server | None = None

    def start(self, give_up: Callable[[], bool]) -> None:
        """Loads the configured models, opens the ports and keeps looking for new versions.

        Like TensorFlow Serving it opens no port before every configured model has a version to answer with; while it waits it
        looks for versions and logs for what it waits. `give_up` ends the wait.

        Raises:
            ServingError: UNKNOWN where a model cannot be loaded, UNAVAILABLE where a port is taken, DEADLINE_EXCEEDED when told to give up.
        """
        if self._flags.ignored:
            _log.warning("Flags of TensorFlow Serving that change nothing here: %s", ", ".join(self._flags.ignored))
        found = devices()
        _log.info(
            "TensorFlow %s computes on %s", tensorflow_version(), f"the GPUs {', '.join(found)}" if found else "the CPU; it sees no GPU"
        )
        self._every(self._flags.file_system_poll_wait_seconds, "versions", self._models.poll)
        self._models.reload(self._config, self._impatient(give_up))
        if self._flags.model_config_file:
            self._every(self._flags.model_config_file_poll_wait_seconds, "config", self._reread_config)
        self._open_ports()

    def stop(self) -> None:
        """Lets calls finish, for as long as --drain_seconds says, and unloads everything."""
        for periodic in self._periodic:
            periodic.stop()
        self._health.enter_graceful_shutdown()
        if self._grpc is not None:
            self._grpc.stop(self._flags.drain_seconds).wait()
        if self._http is not None:
            self._http.stop()
        self._servables.close(timeout_s=2)
        if self._scheduler is not None:
            self._scheduler.close()

    def _loader(self) -> ModelLoader:
        flags = self._flags
        return ModelLoader(
            tags=[tag for tag in flags.saved_model_tags.split(",") if tag],
            session_config=session_config(
                intra_op=flags.tensorflow_intra_op_parallelism or flags.tensorflow_session_parallelism,
                inter_op=flags.tensorflow_inter_op_parallelism or flags.tensorflow_session_parallelism or self._run_threads(),
                gpu_memory_fraction=flags.per_process_gpu_memory_fraction,
            ),
            scheduler=self._scheduler,
            metrics=self._metrics,
            warm_up=flags.enable_model_warmup,
            warm_up_iterations=flags.num_request_iterations_for_warmup,
            check_method=flags.enable_signature_method_name_check,
        )

    def _read_config(self) -> Any:
        if self._flags.model_config_file:
            return read_config_file(self._flags.model_config_file)
        return single_model(self._flags.model_name, self._flags.model_base_path)

    def _reread_config(self) -> None:
        """Takes the config file's new content, if it has any. One that was refused is tried again: its labels may be valid by now."""
        try:
            config = read_config_file(self._flags.model_config_file)
            if config != self._config:
                self._models.change(config)
                self._config = config
        except ServingError as problem:
            _log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", problem.text)

    def _open_ports(self) -> None:
        flags = self._flags
        server = grpc.server(
            ThreadPoolExecutor(self._call_threads(), thread_name_prefix="call"),
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE),
                ("grpc.max_send_message_length", _MAX_MESSAGE),
                ("grpc.so_reuseport", 0),
                *flags.grpc_channel_arguments,
            ],
        )
        prediction = PredictionService(
            self._models,
            self._metrics,
            enforce_timeout=flags.enforce_session_run_timeout,
            check_method=flags.enable_signature_method_name_check,
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self._models), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        address = f"{flags.host}:{flags.port}"
        try:
            server.add_insecure_port(address)
            if flags.grpc_socket_path:
                server.add_insecure_port(f"unix:{flags.grpc_socket_path}")
            if flags.rest_api_port and self._metrics_path is not None:
                self._http = MetricsServer(flags.host, flags.rest_api_port, self._metrics_path, self._metrics)
        except (RuntimeError, OSError) as problem:
            raise ServingError(Code.UNAVAILABLE, f"Failed to listen: {problem}") from problem
        for name in ("", *_SERVICES):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        server.start()
        self._grpc = server
        _log.info("Running gRPC ModelServer at %s ...", address)
        if self._http is not None:
            self._http.start()
            _log.info("Exporting metrics at http://%s:%d%s", flags.host, self._http.port, self._metrics_path)

    def _call_threads(self) -> int:
        """As TensorFlow Serving: 4 per CPU. A call that waits for its batch holds a thread, so batching needs two batches' worth."""
        if self._flags.grpc_max_threads > 0:
            return self._flags.grpc_max_threads
        threads = 4 * cpu_count()
        if self._scheduler is not None:
            threads = max(threads, min(2 * self._scheduler.parameters.max_batch_size, _MAX_BATCH_CALL_THREADS))
        return threads

    def _run_threads(self) -> int:
        """Threads that run graphs: one for each call at once.

        TensorFlow's own choice is one per CPU, and a call that computes for long holds one to its end: as many of them as there
        are CPUs would keep every other model from answering.
        """
        return min(max(self._call_threads(), cpu_count()), _MAX_RUN_THREADS)

    def _every(self, interval_s: float, name: str, action: Callable[[], None]) -> None:
        if interval_s > 0:
            self._periodic.append(Periodic(name, interval_s, action))
            self._periodic[-1].start()

    def _impatient(self, give_up: Callable[[], bool]) -> Callable[[], bool]:
        """`give_up`, which also says from time to time that this server is still waiting."""
        last = time.monotonic()

        def ask() -> bool:
            nonlocal last
            if time.monotonic() - last > _STILL_WAITING_S:
                last = time.monotonic()
                _log.warning("No port is open yet: not every configured model has a version that is loaded")
            return give_up()

        return ask

    def _tell(self, status: VersionStatus) -> None:
        self._metrics.version_states.set(int(status.state), status.model, str(status.version))


def run(flags: Flags, asked: SimpleQueue[int]) -> None:
    """Serves until something is in `asked`: the number of a signal.

    Raises:
        ServingError: where it cannot start.
    """
    server = Server(flags)
    try:
        server.start(lambda: not asked.empty())
        asked.get()
        _log.info("Draining: calls have %g s to finish", flags.drain_seconds)
    finally:
        server.stop()
