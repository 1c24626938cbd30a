"""OpenTelemetry's part of `tracing`: the spans themselves and how they get to the collector. Imported only where traces are made."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from labelmesh_chassis.certificates import certificate_files
from labelmesh_chassis.channels import secure_or_plain
from labelmesh_chassis.settings import ServiceSettings

_log = logging.getLogger(__name__)
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# A stop waits no longer for the collector than this.
MOST_STOP_S = 2.0
# Between two lines that say that the collector is away.
_QUIET_S = 60.0
_KINDS = {"CLIENT": SpanKind.CLIENT, "INTERNAL": SpanKind.INTERNAL}


class Spans:
    """Makes spans and sends them in batches, in a thread of its own. What the collector does not take is dropped; no call waits for it."""

    def __init__(self, service: str, settings: ServiceSettings, export_s: float) -> None:
        if settings.otlp_endpoint is None:
            raise ValueError("there is no collector to send traces to")
        # The SDK says once for every batch what `_Exporter` says once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        about = {"service.name": service, "service.namespace": "labelmesh", "service.version": _version(service)}
        resource = Resource.create({**about, "service.instance.id": f"{socket.gethostname()}-{os.getpid()}"})
        self._exporter = _Exporter(settings, export_s)
        self._provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.trace_ratio), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, max_queue_size=4096, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer("labelmesh")
        self._context = TraceContextTextMapPropagator()

    def serve(self, name: str, attributes: Mapping[str, str], metadata: Mapping[str, str]) -> Span:
        """The span of a call that came with this metadata."""
        return self._tracer.start_span(name, self._context.extract(metadata), SpanKind.SERVER, attributes)

    def begin(self, name: str, kind: str, attributes: Mapping[str, str | int | float] | None, parent: Span) -> Span:
        """The span of a part of another."""
        return self._tracer.start_span(name, set_span_in_context(parent), _KINDS[kind], attributes)

    def headers(self, span: Span) -> list[tuple[str, str]]:
        """`traceparent`, and `tracestate` where there is one."""
        carrier: dict[str, str] = {}
        self._context.inject(carrier, set_span_in_context(span))
        return list(carrier.items())

    def fail(self, span: Span) -> None:
        """Marks a span as failed."""
        span.set_status(StatusCode.ERROR)

    def close(self) -> None:
        """Sends what is left, for at most `MOST_STOP_S` seconds."""
        flushing = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        flushing.start()
        flushing.join(MOST_STOP_S)
        # Ends what is still on its way.
        self._exporter.close()
        flushing.join(MOST_STOP_S)


class _Exporter(SpanExporter):
    """OTLP over gRPC (https://opentelemetry.io/docs/specs/otlp), by the service's own certificate where it has one."""

    def __init__(self, settings: ServiceSettings, export_s: float) -> None:
        self._export_s = export_s
        self._endpoint = settings.otlp_endpoint or ""
        # A collector that comes back is found within a second.
        options = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1_000), ("grpc.enable_http_proxy", 0)]
        self._channel = secure_or_plain(self._endpoint, certificate_files(settings), options)
        self._export: Callable[..., Any] = self._channel.unary_unary(
            EXPORT, request_serializer=lambda message: message.SerializeToString(), response_deserializer=bytes
        )
        self._lost = 0
        self._said_at = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            self._export(encode_spans(spans), timeout=self._export_s, wait_for_ready=True)
        except (grpc.RpcError, ValueError) as failure:
            # ValueError: the channel is closed.
            self._say(failure, len(spans))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def close(self) -> None:
        self._channel.close()

    def _say(self, failure: Exception, lost: int) -> None:
        self._lost += lost
        if time.monotonic() - self._said_at < _QUIET_S:
            return
        code = failure.code().name if isinstance(failure, grpc.Call) else "CLOSED"
        _log.warning("traces cannot be sent", extra={"fields": {"collector": self._endpoint, "code": code, "lost": self._lost}})
        self._said_at, self._lost = time.monotonic(), 0


def _version(service: str) -> str:
    try:
        return version(f"labelmesh-{service}")
    except PackageNotFoundError:
        return version("labelmesh-chassis")
