"""Calls to other services: every one has a deadline, reads and repeatable calls are retried on UNAVAILABLE, errors come back typed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from labelmesh_chassis.calls import current_call
from labelmesh_chassis.certificates import CertificateFiles
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import error_of
from labelmesh_chassis.identity import IDENTITY_HEADER
from labelmesh_chassis.methods import options_of
from labelmesh_chassis.renewing import RenewingChannel
from labelmesh_chassis.server import MAX_MESSAGE_BYTES
from labelmesh_chassis.tracing import begin_call, end_call


def open_channel(
    target: str,
    services: Sequence[ServiceDescriptor],
    *,
    timeout_s: float = 10,
    certificates: CertificateFiles | None = None,
    on_end: Callable[[str, str, float | None], None] | None = None,
) -> grpc.Channel:
    """A channel to `target` (host:port, or dns:/// for all addresses behind a name, balanced round robin).

    A call without a timeout gets `timeout_s`, or what the call being served has left where that is less. The identity and the
    request id of the call being served go along, and its trace. Failures raise the MeshError that the service raised. With `certificates`
    both sides prove who they are. `on_end` is told of every call that has ended: its method, its code, and its seconds unless it was a
    stream.
    """
    options = [
        ("grpc.service_config", json.dumps(service_config(services))),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # A process that hangs, or whose network is gone, keeps the calls after the first few seconds no longer.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        # A server that was restarted is found again within moments; grpc's own back-off grows to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
    return grpc.intercept_channel(secure_or_plain(target, certificates, options), _CallerInterceptor(timeout_s, on_end))


def secure_or_plain(target: str, certificates: CertificateFiles | None, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
    """A channel by mutual TLS where there is a certificate, else in plaintext."""
    if certificates is None:
        return grpc.insecure_channel(target, options=list(options))
    return RenewingChannel(target, certificates, options)


def service_config(services: Sequence[ServiceDescriptor]) -> dict[str, Any]:
    """gRPC's service config: round robin, and retries of the methods that the contract says may be sent again.

    Source: https://github.com/grpc/proposal/blob/master/A6-client-retries.md.
    """
    repeatable = [(service, method) for service in services for method in service.methods if options_of(method).repeatable]
    names = [{"service": service.full_name, "method": method.name} for service, method in repeatable]
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if names:
        config["methodConfig"] = [{"name": names, "retryPolicy": retry}]
    return config


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Sequence[tuple[str, str | bytes]]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _CallerInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds deadline, identity and request id to every call, and gives failures back as MeshError."""

    def __init__(self, timeout_s: float, on_end: Callable[[str, str, float | None], None] | None = None) -> None:
        self._timeout_s = timeout_s
        self._on_end = on_end

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return self._call(continuation, client_call_details, request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return self._call(continuation, client_call_details, request, stream=True)

    def intercept_stream_unary(self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Iterable[Any]) -> Any:
        return self._call(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Iterable[Any]) -> Any:
        return self._call(continuation, client_call_details, request_iterator, stream=True)

    def _call(self, continuation: Callable[..., Any], given: Any, request: Any, *, stream: bool = False) -> _Restoring:
        details = self._details(given)
        path = given.method.decode() if isinstance(given.method, bytes) else given.method
        span = begin_call(path)
        began = time.perf_counter()

        def ended(call: Any) -> None:
            # Called by gRPC in a thread of its own where the call goes on, also where nobody waits for the answer any more.
            code = call.code().name
            end_call(span, code)
            if self._on_end is not None:
                self._on_end(path, code, None if stream else time.perf_counter() - began)

        try:
            call = continuation(details._replace(metadata=[*details.metadata, *span.headers()]), request)
        except BaseException:
            end_call(span, grpc.StatusCode.UNKNOWN.name)
            raise
        if self._on_end is not None or span.span is not None:
            call.add_done_callback(ended)
        return _Restoring(call)

    def _details(self, given: Any) -> _Details:
        left = time_left()
        timeout = given.timeout if given.timeout is not None else self._timeout_s
        metadata = list(given.metadata or ())
        call = current_call.get()
        if call is not None:
            metadata.append(("x-request-id", call.request_id))
            if IDENTITY_HEADER in call.metadata:
                metadata.append((IDENTITY_HEADER, call.metadata[IDENTITY_HEADER]))
        return _Details(
            given.method,
            timeout if left is None else min(timeout, left),
            metadata,
            given.credentials,
            getattr(given, "wait_for_ready", None),
            getattr(given, "compression", None),
        )


class _Restoring:
    """A call in flight whose failures are raised as MeshError; everything else is the call's own."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as failure:
            raise error_of(failure) from failure

    def exception(self, timeout: float | None = None) -> Exception | None:
        failure = self._call.exception(timeout)
        return error_of(failure) if isinstance(failure, grpc.RpcError) else failure

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as failure:
            raise error_of(failure) from failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
