"""An OpenTelemetry collector that keeps what it is sent: OTLP over gRPC and over HTTP (https://opentelemetry.io/docs/specs/otlp/)."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class CollectedSpan:
    """A span as it arrived. Ids are lower-case hex, `parent_id` is "" of a root; times are nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    # One of KINDS.
    kind: str
    attributes: dict[str, object] = field(default_factory=dict)
    failed: bool = False
    # Names of its events, each followed by the values of its attributes.
    events: tuple[str, ...] = ()
    began_ns: int = 0
    ended_ns: int = 0


class Collector:
    """Listens on loopback between entering and leaving; `endpoint` takes OTLP over gRPC, `http_endpoint` OTLP over HTTP at /v1/traces.

    `port` 0 takes a free one; `credentials` make it speak TLS on `endpoint`.
    """

    def __init__(self, *, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> None:
        self._lock = threading.Lock()
        self._spans: list[CollectedSpan] = []
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4, thread_name_prefix="collector"))
        register: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        register(_Receiver(self._keep), self._server)
        address = f"127.0.0.1:{port}"
        bound = self._server.add_insecure_port(address) if credentials is None else self._server.add_secure_port(address, credentials)
        self.endpoint = f"127.0.0.1:{bound}"
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _http_handler(self._keep))
        self._http.daemon_threads = True
        self.http_endpoint = f"127.0.0.1:{self._http.server_address[1]}"
        self._http_thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._server.start()
        self._http_thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.stop(0).wait()
        self._http.shutdown()
        self._http.server_close()
        self._http_thread.join()

    def spans(self) -> list[CollectedSpan]:
        """Everything that has arrived, in the order of arrival."""
        with self._lock:
            return list(self._spans)

    def wait_for(self, is_enough: Callable[[list[CollectedSpan]], object], *, timeout_s: float = 20) -> list[CollectedSpan]:
        """What has arrived once that is enough; AssertionError with what there is where it does not come in time."""
        deadline = time.monotonic() + timeout_s
        while not is_enough(found := self.spans()):
            assert time.monotonic() < deadline, "\n".join(str(span) for span in found) or "no span arrived"
            time.sleep(0.05)
        return found

    def forget(self) -> None:
        """Gives up what has arrived."""
        with self._lock:
            self._spans.clear()

    def _keep(self, request: Any) -> None:
        fresh = [
            _collected(span, _values(part.resource.attributes).get("service.name", ""))
            for part in request.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += fresh


class _Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, keep: Callable[[Any], None]) -> None:
        self._keep = keep

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._keep(request)
        return trace_service_pb2.ExportTraceServiceResponse()


def _http_handler(keep: Callable[[Any], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            as_json = self.headers.get_content_type() == "application/json"
            body = self.rfile.read(min(length, MOST_BYTES))
            if self.path != "/v1/traces":
                self._answer(404, "text/plain", b"not found\n")
                return
            request = trace_service_pb2.ExportTraceServiceRequest()
            try:
                if as_json:
                    json_format.ParseDict(_with_base64_ids(json.loads(body)), request, ignore_unknown_fields=True)
                else:
                    request.ParseFromString(body)
            except Exception as problem:
                self._answer(400, "text/plain", f"{problem}\n".encode())
                return
            keep(request)
            self._answer(200, "application/json" if as_json else "application/x-protobuf", b"{}" if as_json else b"")

        def _answer(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler


def _with_base64_ids(value: Any) -> Any:
    """OTLP's JSON has ids in hex where protobuf's JSON has bytes in base64."""
    if isinstance(value, list):
        return [_with_base64_ids(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(entry)).decode() if key in ids and isinstance(entry, str) else _with_base64_ids(entry)
        for key, entry in value.items()
    }


def _collected(span: Any, service: object) -> CollectedSpan:
    return CollectedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        service=str(service),
        kind=KINDS[span.kind],
        attributes=_values(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        events=tuple(" ".join([event.name, *map(str, _values(event.attributes).values())]) for event in span.events),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


def _values(attributes: Any) -> dict[str, object]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: Any) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(entry) for entry in value.array_value.values]
    found: object = getattr(value, kind) if kind else None
    return found
