"""The layers around every call, in the order they stand in (see `standard_layers`)."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections import Counter as Counted
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import grpc
import protovalidate
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labelmesh_chassis.calls import Call, Layer
from labelmesh_chassis.errors import (
    DeadlineExceeded,
    FieldViolation,
    InternalError,
    InvalidArgument,
    MeshError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    to_status,
)
from labelmesh_chassis.identity import IDENTITY_HEADER, IdentityVerifier
from labelmesh_chassis.measures import CALL_SECONDS, STREAM_SECONDS
from labelmesh_chassis.tracing import TracingLayer

_log = logging.getLogger(__name__)
# grpc answers a number of this order, and not None, where the caller set no deadline.
_NO_DEADLINE_S = 30 * 86_400.0
# Not a URI, an e-mail address or an IP address, which certificates name too.
_DNS_NAME = re.compile(r"(?![\d.]+$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RecordingLayer(Layer):
    """Counts and times every call on the Prometheus registry, and writes one access line for it (none for health and reflection).

    How long a stream lasts says nothing about how long anybody waited, so streams are timed apart from the others.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = Counter(
            "grpc_server_handled_total", "Calls ended, by outcome.", ["grpc_type", "grpc_method", "grpc_code"], registry=registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "How long unary calls took.", ["grpc_method"], buckets=CALL_SECONDS, registry=registry
        )
        self._streamed = Histogram(
            "grpc_server_stream_seconds", "How long streams lasted.", ["grpc_method"], buckets=STREAM_SECONDS, registry=registry
        )
        self._in_flight = Gauge("grpc_server_in_flight", "Calls being served.", registry=registry)
        self._streams = Gauge("grpc_server_streams_in_flight", "Streams among the calls being served.", registry=registry)

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        streams = call.streams_in or call.streams_out
        started = time.perf_counter()
        self._in_flight.inc()
        self._streams.inc(streams)
        try:
            yield
        except GeneratorExit:
            call.code = grpc.StatusCode.CANCELLED
            raise
        finally:
            elapsed = time.perf_counter() - started
            self._in_flight.dec()
            self._streams.dec(streams)
            self._handled.labels(call.shape, call.path, call.code.name).inc()
            (self._streamed if streams else self._seconds).labels(call.path).observe(elapsed)
            if call.options.full_name.startswith("labelmesh."):
                self._write(call, elapsed)

    def _write(self, call: Call, elapsed: float) -> None:
        fields = {
            "method": call.path,
            "code": call.code.name,
            "ms": round(elapsed * 1000, 2),
            "subject": call.identity.subject if call.identity else "",
        }
        _log.info("call", extra={"fields": fields})


class RequestIdLayer(Layer):
    """Gives every call an id: the caller's `x-request-id` where it is a sane one, else a new one. It goes back in the trailers."""

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        given = call.metadata.get("x-request-id", "")
        call.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        call.context.set_trailing_metadata((("x-request-id", call.request_id),))
        yield


class ErrorLayer(Layer):
    """Turns errors into statuses. What is no MeshError is logged with its traceback and leaves as INTERNAL, nothing more."""

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        try:
            yield
        except MeshError as error:
            self._abort(call, error)
        except Exception:
            if not call.context.is_active():
                call.code = grpc.StatusCode.CANCELLED
                raise
            _log.exception("a call failed by a fault of ours", extra={"fields": {"method": call.path}})
            self._abort(call, InternalError("INTERNAL", "internal error"))

    def _abort(self, call: Call, error: MeshError) -> None:
        call.code = error.code
        status = to_status(error, request_id=call.request_id)
        details = status.SerializeToString()
        call.context.set_trailing_metadata((("x-request-id", call.request_id), ("grpc-status-details-bin", details)))
        # The abort has no `from`: it ends the method by an exception of its own that carries nothing.
        call.context.abort(error.code, error.message)


class CallersLayer(Layer):
    """Lets only those services call whose certificate has one of `allowed` names; PermissionDenied (CALLER_NOT_ALLOWED) for the others.

    A certificate's name (DNS or URI) is allowed where it is one of them as it stands, e.g. `gateway.labelmesh.svc` or
    `spiffe://labelmesh/gateway`, or where it is a DNS name whose first label is one of them: `gateway` allows `gateway`,
    `gateway.labelmesh.svc` and so on. Where the authority also certifies others' services, whole names say which is meant. Health is told
    to everybody who is certified.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        if not call.path.startswith("/grpc.health."):
            proven: Mapping[str, Sequence[bytes]] = cast(Any, call.context.auth_context())
            names = [name.decode(errors="replace") for name in proven.get("x509_subject_alternative_name", ())]
            if not any(is_allowed(name, self._allowed) for name in names):
                raise PermissionDenied("CALLER_NOT_ALLOWED", "the service that calls is not one of those that may")
        yield


def is_allowed(name: str, allowed: Collection[str]) -> bool:
    """Whether a certificate's name is among them, whole or by the first label of a DNS name."""
    return name in allowed or (_DNS_NAME.fullmatch(name) is not None and name.partition(".")[0] in allowed)


class DeadlineLayer(Layer):
    """Every call has a deadline: the caller's, or the method's default, or the service's. Database and channels obey it."""

    def __init__(self, default_s: float) -> None:
        self._default_s = default_s

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        own = call.options.default_deadline_s or self._default_s
        remaining: float | None = call.context.time_remaining()
        given = remaining if remaining is not None and remaining < _NO_DEADLINE_S else None
        if given is not None and given <= 0:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "the caller's deadline had passed before the call began")
        call.deadline = time.monotonic() + (own if given is None else given)
        yield


class IdentityLayer(Layer):
    """Lets a call through only with a signed identity, except to open methods."""

    def __init__(self, verifier: IdentityVerifier | None) -> None:
        self._verifier = verifier

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        token = call.metadata.get(IDENTITY_HEADER)
        if not call.unauthenticated and not call.options.open:
            if token is None or self._verifier is None:
                raise Unauthenticated("IDENTITY_MISSING", "this needs a signed-in caller")
            call.identity = self._verifier.verify(token)
        yield


class StreamsLayer(Layer):
    """Lets so many calls at once send streams of messages, and of them each account so many: each keeps a thread, also while its caller
    is silent, and other calls need threads too. ResourceExhausted (TOO_MANY_STREAMS) beyond that."""

    def __init__(self, *, most: int, most_of_caller: int) -> None:
        self._most = most
        self._most_of_caller = most_of_caller
        self._lock = threading.Lock()
        self._streams: Counted[str] = Counted()

    @contextmanager
    def around(self, call: Call) -> Iterator[None]:
        if not call.streams_in or call.identity is None:
            yield
            return
        caller = call.identity.user_id
        with self._lock:
            if self._streams.total() >= self._most or self._streams[caller] >= self._most_of_caller:
                raise ResourceExhausted("TOO_MANY_STREAMS", "too many streams at once; end some, or try again", retry_after=1)
            self._streams[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams[caller] -= 1
                if not self._streams[caller]:
                    del self._streams[caller]


class ValidationLayer(Layer):
    """Checks each request by the rules in the contract (https://protovalidate.com) before a servicer sees it."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def check(self, call: Call, message: Message) -> None:
        if not call.options.full_name.startswith("labelmesh."):
            return
        found = self._validator.collect_violations(message)
        if found:
            violations = [_field_violation(violation) for violation in found[:100]]
            sentence = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:3])
            raise InvalidArgument("INVALID_FIELDS", sentence, violations=violations)


def _field_violation(violation: protovalidate.Violation) -> FieldViolation:
    path = ""
    field = violation.proto.field
    for element in field.elements if field is not None else ():
        path += ("." if path else "") + element.field_name
        subscript = element.subscript
        if subscript is not None:
            path += f"[{subscript.value}]"
    return FieldViolation(path, violation.proto.message, violation.proto.rule_id.replace(".", "_").upper())


def standard_layers(
    *,
    registry: CollectorRegistry,
    verifier: IdentityVerifier | None,
    default_deadline_s: float,
    threads: int,
    callers: Collection[str] = (),
) -> list[Layer]:
    """Outermost first: the span is there for the access line; recording sees every outcome; the request id is in every error; nothing
    unverified reaches validation.

    `threads` serve calls; streams of messages get half of them at most, those of one account a quarter. `callers` are the names of the
    services that may call, by certificate; without any, all that have one.
    """
    return [
        TracingLayer(),
        RecordingLayer(registry),
        RequestIdLayer(),
        ErrorLayer(),
        *([CallersLayer(callers)] if callers else []),
        DeadlineLayer(default_deadline_s),
        IdentityLayer(verifier),
        StreamsLayer(most=max(1, threads // 2), most_of_caller=max(1, threads // 4)),
        ValidationLayer(),
    ]
