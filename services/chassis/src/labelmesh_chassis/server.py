"""A gRPC server with everything that every service has: health, reflection, metrics, interceptors, limits and a graceful stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, Gauge

from labelmesh_chassis.calls import LayeredInterceptor
from labelmesh_chassis.certificates import CertificateFiles, certificate_files
from labelmesh_chassis.identity import IdentityVerifier
from labelmesh_chassis.interceptors import standard_layers
from labelmesh_chassis.measures import measure_process
from labelmesh_chassis.memory import limit_arenas, return_large_blocks, settle
from labelmesh_chassis.methods import method_options
from labelmesh_chassis.ops import OpsReply, OpsServer
from labelmesh_chassis.settings import ServiceSettings

_log = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
LIVENESS = "liveness"
"""The health service's name for whether the process answers at all: a database that is away is no reason to start it again."""
_CHECK_INTERVAL_S = 1.0

Servicer = TypeVar("Servicer")


class ServerBuilder:
    """Collects what a service serves; `build` makes the server. For `__main__`, the composition root."""

    def __init__(
        self, name: str, settings: ServiceSettings, *, verifier: IdentityVerifier | None, registry: CollectorRegistry | None = None
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self._name = name
        self._settings = settings
        self._verifier = verifier
        self._services: list[tuple[str, Callable[[grpc.Server], None]]] = []
        self._unauthenticated = {health.SERVICE_NAME, reflection.SERVICE_NAME}
        self._checks: dict[str, Callable[[], bool]] = {}
        self._routes: dict[str, Callable[[], OpsReply]] = {}
        self._closers: list[Callable[[], None]] = []

    def add(self, service: ServiceDescriptor, register: Callable[[Servicer, grpc.Server], None], servicer: Servicer) -> None:
        """Serves a service of the contract by its descriptor, the generated function that registers it, and its servicer."""
        self._services.append((service.full_name, lambda server: register(servicer, server)))

    def add_unauthenticated_service(self, service_name: str, register: Callable[[grpc.Server], None]) -> None:
        """Serves a service that is not of the contract, to callers without an identity, because it is the one that finds out who calls."""
        self._unauthenticated.add(service_name)
        self._services.append((service_name, register))

    def check(self, name: str, is_up: Callable[[], bool]) -> None:
        """The service is ready only while this says so; asked about once a second."""
        self._checks[name] = is_up

    def ops_route(self, path: str, answer: Callable[[], OpsReply]) -> None:
        """Serves one more path on the ops port."""
        self._routes[path] = answer

    def on_stop(self, close: Callable[[], None]) -> None:
        """Called after the last call has ended, in the reverse order of adding."""
        self._closers.append(close)

    def build(self) -> MeshServer:
        limit_arenas()
        return_large_blocks()
        settings = self._settings
        measure_process(self.registry, self._name, settings)
        layers = standard_layers(
            registry=self.registry,
            verifier=self._verifier,
            default_deadline_s=settings.default_deadline_s,
            threads=settings.worker_threads,
            callers=settings.tls_callers,
        )
        certificates = certificate_files(settings)
        pool = ThreadPoolExecutor(max_workers=settings.worker_threads, thread_name_prefix="rpc")
        server = grpc.server(
            pool,
            interceptors=[LayeredInterceptor(layers, frozenset(self._unauthenticated), method_options)],
            maximum_concurrent_rpcs=settings.worker_threads * 16,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_metadata_size", 32 * 1024),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
                # Then a caller is asked to connect anew, once its calls have ended: it finds new replicas, and shows a certificate that is
                # valid still.
                ("grpc.max_connection_age_ms", 600_000),
                ("grpc.so_reuseport", 0),
            ],
        )
        # Those who watch take no thread.
        health_servicer = health.HealthServicer(experimental_non_blocking=True)
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        for _, register in self._services:
            register(server)
        names = [name for name, _ in self._services]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        parts = _Parts(server, pool, health_servicer, names, certificates)
        mesh_server = MeshServer(self._name, settings, parts, self._checks, self._closers, self.registry)
        for path, answer in self._routes.items():
            mesh_server.ops.add(path, answer)
        return mesh_server


@dataclass(frozen=True)
class _Parts:
    """What a server is made of."""

    server: grpc.Server
    pool: ThreadPoolExecutor
    health: health.HealthServicer
    service_names: list[str]
    certificates: CertificateFiles | None


class MeshServer:
    """A built server. `start`, then `run_until_signal` (a process) or `stop` (a test)."""

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        parts: _Parts,
        checks: dict[str, Callable[[], bool]],
        closers: list[Callable[[], None]],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._settings = settings
        self._server = parts.server
        self._pool = parts.pool
        self._health = parts.health
        self._service_names = parts.service_names
        self._certificates = parts.certificates
        self._probed: grpc.Server | None = None
        self._checks = checks
        self._closers = closers
        self._ready = False
        self._up = Gauge(
            "labelmesh_check_up", "Whether what this service cannot work without is there, by what it is.", ["check"], registry=registry
        )
        self._stopping = threading.Event()
        host, _, port = settings.ops_listen.rpartition(":")
        self.ops = OpsServer(host, int(port), registry, lambda: self._ready, certificates=parts.certificates)
        self.port = 0
        # Of health alone, where it is served besides.
        self.health_port = 0

    def start(self) -> int:
        """Binds, serves, and returns the gRPC port; SystemExit with a sentence when the address is taken."""
        credentials = self._certificates.server_credentials() if self._certificates is not None else None
        self.port = self._bind(self._server, self._settings.listen, credentials)
        if self._settings.health_listen is not None:
            self._probed = grpc.server(ThreadPoolExecutor(2, thread_name_prefix="probe"), options=[("grpc.so_reuseport", 0)])
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probed)
            self.health_port = self._bind(self._probed, self._settings.health_listen, None)
            self._probed.start()
        self.ops.start()
        self._server.start()
        self._update_health()
        threading.Thread(target=self._watch_health, name="health", daemon=True).start()
        _log.info("serving", extra={"fields": {"listen": self._settings.listen, "port": self.port, "ops_port": self.ops.port}})
        return self.port

    def _bind(self, server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            return server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        except RuntimeError:
            raise SystemExit(f"{self._name} cannot listen on {address}: the address is taken or not of this machine") from None

    def run_until_signal(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains and returns."""
        settle()
        # Not an Event: a signal that comes while this thread holds the Event's lock would wait for itself in set().
        asked: SimpleQueue[int] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: asked.put(number))
        asked.get()
        self.stop()

    def stop(self, *, lead_s: float | None = None, drain_s: float | None = None) -> None:
        """Reports not ready, gives balancers time to see it, refuses new calls, lets the others end, closes what was opened.

        For `lead_s` seconds health is NOT_SERVING on every port and calls are served as ever: a balancer that goes by probes (Envoy) or by
        endpoints (Kubernetes) may send some still. Then new calls are refused, and those being served have `drain_s` seconds; a stream
        that lasts longer ends as UNAVAILABLE, and its caller calls again, elsewhere. Health is told to the end.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        _log.info("draining")
        self._ready = False
        self._health.enter_graceful_shutdown()
        time.sleep(self._settings.drain_lead_s if lead_s is None else lead_s)
        self._server.stop(self._settings.drain_s if drain_s is None else drain_s).wait()
        if self._probed is not None:
            self._probed.stop(0).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for close in reversed(self._closers):
            close()
        self.ops.stop()
        _log.info("stopped")

    def _watch_health(self) -> None:
        while not self._stopping.wait(_CHECK_INTERVAL_S):
            self._update_health()

    def _update_health(self) -> None:
        failing = [name for name, is_up in self._checks.items() if not is_up()]
        for name in self._checks:
            self._up.labels(name).set(name not in failing)
        ready = not failing and not self._stopping.is_set()
        if ready != self._ready:
            _log.info("ready" if ready else "not ready", extra={"fields": {"failing": failing}})
        self._ready = ready
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ["", *self._service_names]:
            self._health.set(name, status)
        self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
