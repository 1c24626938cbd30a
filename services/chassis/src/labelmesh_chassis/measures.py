"""What a service measures of the parts it stands on: database pools, object storage, calls to other services, its certificate.

Names and units follow Prometheus' conventions (https://prometheus.io/docs/practices/naming). Label values come from the code, never from
a caller, so their number is bounded and nobody's data is among them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool, event

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

    from labelmesh_chassis.database import Database
    from labelmesh_chassis.objects import ObjectStore
    from labelmesh_chassis.settings import ServiceSettings

# For what takes from a millisecond to a minute: a call, a statement, a request to storage.
CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# For streams, which last until their callers have seen enough.
STREAM_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600)
# For what is mostly there at once: a connection of the pool.
_WAIT_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)

_CONFLICTS = {"40001", "40P01", "55P03"}
_CANCELLED = "57014"
_AWAY_CLASSES = {"08", "53", "57", "58"}


def measure_process(registry: CollectorRegistry, service: str, settings: ServiceSettings) -> None:
    """What there is to say of every service's process: memory, processor time, start, how many calls it can serve, its certificate."""
    ProcessCollector(registry=registry)
    Gauge("labelmesh_service_info", "1, for the service of this name.", ["service"], registry=registry).labels(service).set(1)
    Gauge("grpc_server_threads", "Calls that can be served at once.", registry=registry).set(settings.worker_threads)
    if settings.tls_certificate is not None:
        CertificateMeasure(settings.tls_certificate, registry)


class Measures:
    """Of one process. `__main__` makes one, and names to it the parts that it opens."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pools = _Pools(registry)
        self._errors = Counter(
            "database_errors_total", "Statements and connections that failed, by kind.", ["pool", "kind"], registry=registry
        )
        self._stored = Counter(
            "object_store_requests_total", "Requests to object storage, by outcome.", ["operation", "outcome"], registry=registry
        )
        self._storing = Histogram(
            "object_store_request_seconds", "How long they took.", ["operation"], buckets=CALL_SECONDS, registry=registry
        )
        self._called = Counter(
            "grpc_client_handled_total",
            "Calls to other services ended, by outcome.",
            ["grpc_target", "grpc_method", "grpc_code"],
            registry=registry,
        )
        self._calling = Histogram(
            "grpc_client_handling_seconds",
            "How long unary calls to other services took.",
            ["grpc_target", "grpc_method"],
            buckets=CALL_SECONDS,
            registry=registry,
        )

    def database(self, pool: str, database: Database) -> None:
        """Measures a database's pool and errors under this name."""
        self._pools.add(pool, database)
        for kind in ("away", "cancelled", "conflict", "constraint", "other"):
            self._errors.labels(pool, kind)

        def count(failed: ExceptionContext) -> None:
            self._errors.labels(pool, _kind_of(failed)).inc()

        event.listen(database.engine, "handle_error", count)

    def objects(self, store: ObjectStore) -> None:
        """Measures requests to object storage."""

        def ended(operation: str, outcome: str, seconds: float) -> None:
            self._stored.labels(operation, outcome).inc()
            self._storing.labels(operation).observe(seconds)

        store.on_end = ended

    def calls_to(self, target: str) -> Callable[[str, str, float | None], None]:
        """What `open_channel` tells about calls to the service of this name: method, code, and the seconds of those that are no streams."""

        def ended(method: str, code: str, seconds: float | None) -> None:
            self._called.labels(target, method, code).inc()
            if seconds is not None:
                self._calling.labels(target, method).observe(seconds)

        return ended


def _kind_of(failed: ExceptionContext) -> str:
    state = getattr(failed.original_exception, "pgcode", None) or ""
    if state in _CONFLICTS:
        return "conflict"
    if state == _CANCELLED:
        return "cancelled"
    if failed.is_disconnect or state[:2] in _AWAY_CLASSES or (not state and failed.connection is None):
        return "away"
    return "constraint" if state[:2] == "23" else "other"


class _Pools(Collector):
    """Pools as they stand at a scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._watched: dict[str, Database] = {}
        self._waits = Histogram(
            "database_pool_wait_seconds", "How long connections were waited for.", ["pool"], buckets=_WAIT_SECONDS, registry=registry
        )
        registry.register(self)

    def add(self, name: str, database: Database) -> None:
        database.use.observe = self._waits.labels(name).observe
        self._watched[name] = database

    def collect(self) -> Iterable[Metric]:
        size = GaugeMetricFamily("database_pool_size", "Connections that the pool may have.", labels=["pool"])
        in_use = GaugeMetricFamily("database_pool_in_use", "Connections that are in use.", labels=["pool"])
        waiting = GaugeMetricFamily("database_pool_waiting", "Those who wait for a connection.", labels=["pool"])
        timeouts = CounterMetricFamily("database_pool_timeouts_total", "Those who waited for a connection in vain.", labels=["pool"])
        for name, database in self._watched.items():
            pool: Any = database.engine.pool
            assert isinstance(pool, QueuePool)
            size.add_metric([name], pool.size())
            in_use.add_metric([name], pool.checkedout())
            waiting.add_metric([name], database.use.waiting)
            timeouts.add_metric([name], database.use.timeouts)
        return size, in_use, waiting, timeouts

    def describe(self) -> Iterable[Metric]:
        return ()


class CertificateMeasure(Collector):
    """When the certificate in a file expires, read again whenever the file is another one. A file that cannot be read has no figure."""

    def __init__(self, path: Path, registry: CollectorRegistry) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: tuple[object, float] | None = None
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        expiry = GaugeMetricFamily("tls_certificate_expiry_timestamp_seconds", "When the certificate of this service expires, Unix time.")
        try:
            expiry.add_metric([], self._expires_at())
        except (OSError, ValueError):
            return ()
        return (expiry,)

    def describe(self) -> Iterable[Metric]:
        return ()

    def _expires_at(self) -> float:
        with self._lock:
            stat = self._path.stat()
            mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._known is None or self._known[0] != mark:
                certificate = x509.load_pem_x509_certificate(self._path.read_bytes())
                self._known = (mark, certificate.not_valid_after_utc.timestamp())
            return self._known[1]
