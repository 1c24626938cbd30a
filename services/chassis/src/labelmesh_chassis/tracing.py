"""Traces: who called whom for one call of a person, down to the SQL statement, joined across processes by W3C trace context.

Nothing is made, and OpenTelemetry is not even imported, until `start_tracing`. Span names and attributes are those of OpenTelemetry's
semantic conventions (https://opentelemetry.io/docs/specs/semconv). None of them holds who is calling, a token, an address or anything out
of a message: methods, codes and statements without their values are all that is told.

Spans are parts of a call: work that no call waits for makes none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import grpc

from labelmesh_chassis.calls import Call, Layer
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.settings import ServiceSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from sqlalchemy import Engine

    from labelmesh_chassis.spans import Spans

Attributes = Mapping[str, str | int | float]

# So much of a statement is told, in characters.
MOST_TEXT = 1000
# Execution option of a statement whose text is not the one that is to be told.
STATEMENT_TEXT = "labelmesh_statement_text"
# What a server says of itself and not of its caller (https://opentelemetry.io/docs/specs/semconv/rpc/grpc).
_FAULTS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
# Asked about every second or so by machines.
_UNTOLD = ("/grpc.health.", "/grpc.reflection.")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+(?:ONLY\s+)?\"?([a-z_][a-z0-9_.]*)", re.IGNORECASE)
_OPERATION = re.compile(r"[A-Za-z]+")
_BLANKS = re.compile(r"\s+")

# What is current is kept here and not in OpenTelemetry's own context, which takes it for a fault when a stream ends in another thread
# than it began in.
_current: ContextVar[Span | None] = ContextVar("current_span", default=None)
_spans: Spans | None = None


def start_tracing(service: str, settings: ServiceSettings, *, export_s: float = 5.0) -> Tracing | None:
    """Makes traces of this process from now on where a collector is set, else returns None. For `__main__` alone, before parts are made.

    The collector has `export_s` seconds to take what it is sent.
    """
    global _spans
    if settings.otlp_endpoint is None:
        return None
    from labelmesh_chassis.spans import Spans

    _spans = Spans(service, settings, export_s)
    return Tracing(_spans)


class Tracing:
    """Traces being made, until `stop`."""

    def __init__(self, spans: Spans) -> None:
        self._own = spans

    def stop(self) -> None:
        """Sends what is left, for two seconds at most, and makes no more."""
        global _spans
        if _spans is self._own:
            _spans = None
        self._own.close()

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


def is_tracing() -> bool:
    """Whether traces are made."""
    return _spans is not None


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id of the current span in hex, whether it is sent or not; None without one."""
    span = _current.get()
    if span is None:
        return None
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


class Part:
    """A part of the call being served, with a span while traces are made. It is ended once, in any thread."""

    __slots__ = ("_span",)

    def __init__(self, span: Span | None) -> None:
        self._span = span

    @property
    def span(self) -> Span | None:
        """None where nothing is told of it."""
        return self._span

    def tell(self, attributes: Attributes) -> None:
        """Adds attributes."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def headers(self) -> list[tuple[str, str]]:
        """The metadata by which a service that is called joins the trace."""
        return [] if self._span is None or _spans is None else _spans.headers(self._span)

    def end(self, error: str = "") -> None:
        """Ends it; `error` says of what kind the failure was, e.g. UNAVAILABLE."""
        span, self._span = self._span, None
        if span is None:
            return
        if error:
            span.set_attribute("error.type", error)
            if _spans is not None:
                _spans.fail(span)
        span.end()


def begin(name: str, kind: str, attributes: Attributes | None = None) -> Part:
    """Begins a part of what is current: `kind` is CLIENT for what another process does, else INTERNAL."""
    parent = _current.get()
    if parent is None or _spans is None:
        return Part(None)
    return Part(_spans.begin(name, kind, attributes, parent))


@contextmanager
def part(name: str, kind: str, attributes: Attributes | None = None) -> Iterator[Part]:
    """Around a part of the call being served. An exception that leaves it is a failure of it."""
    begun = begin(name, kind, attributes)
    if begun.span is None:
        yield begun
        return
    error = ""
    try:
        with _as_current(begun.span):
            yield begun
    except BaseException as failure:
        error = kind_of(failure)
        raise
    finally:
        begun.end(error)


def kind_of(failure: BaseException) -> str:
    """What is told of an exception: its reason or type, never its text, which may quote a message or a row."""
    return failure.reason if isinstance(failure, MeshError) else type(failure).__name__


@contextmanager
def _as_current(span: Span) -> Iterator[None]:
    token = _current.set(span)
    try:
        yield
    finally:
        try:
            _current.reset(token)
        except ValueError:  # A stream given up by its client is closed from another thread, where the variable was never set.
            _current.set(None)


# --- gRPC ---


class TracingLayer(Layer):
    """A span for every call, part of its caller's trace where the caller has one. None for health and reflection."""

    def around(self, call: Call) -> AbstractContextManager[None]:
        return self._around(call)

    @contextmanager
    def _around(self, call: Call) -> Iterator[None]:
        if _spans is None or call.path.startswith(_UNTOLD):
            yield
            return
        span = _spans.serve(call.path.removeprefix("/"), _rpc(call.path), call.metadata)
        try:
            with _as_current(span):
                yield
        finally:
            span.set_attributes({"rpc.response.status_code": call.code.name, "labelmesh.request_id": call.request_id})
            Part(span).end(call.code.name if call.code in _FAULTS else "")


def begin_call(path: str) -> Part:
    """The span of a call to another service."""
    return begin(path.removeprefix("/"), "CLIENT", _rpc(path)) if _current.get() is not None else Part(None)


def end_call(part: Part, code: str) -> None:
    """Ends it with a status code, e.g. OK."""
    part.tell({"rpc.response.status_code": code})
    part.end("" if code == "OK" else code)


@lru_cache(maxsize=1024)
def _rpc(path: str) -> dict[str, str]:
    return {"rpc.system.name": "grpc", "rpc.method": path.removeprefix("/")}


# --- SQL ---


def trace_statements(engine: Engine) -> None:
    """Makes a span of every statement that is executed on an engine's connections while a call is served."""
    from sqlalchemy import event

    url = engine.url
    about: dict[str, str | int | float] = {"db.namespace": url.database or "", "server.address": url.host or ""}
    about["server.port"] = url.port or 5432

    def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        # Of a connection's own beginnings there is no context.
        if context is not None and _current.get() is not None:
            text = context.execution_options.get(STATEMENT_TEXT, statement)
            context.labelmesh_part = _begin_statement(text, about)

    def after(_connection: Any, cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        begun: Part | None = getattr(context, "labelmesh_part", None)
        if begun is not None:
            if cursor.description is not None:  # of what answers with rows alone
                begun.tell({"db.response.returned_rows": max(0, cursor.rowcount)})
            begun.end()

    def failed(found: Any) -> None:
        begun: Part | None = getattr(found.execution_context, "labelmesh_part", None)
        if begun is not None:
            begun.end(getattr(found.original_exception, "pgcode", None) or kind_of(found.original_exception))

    listen: Callable[..., object] = event.listen
    listen(engine, "before_cursor_execute", before)
    listen(engine, "after_cursor_execute", after)
    listen(engine, "handle_error", failed)


@contextmanager
def traced_statement(text: str) -> Iterator[None]:
    """Around a statement that goes to the driver past the engine."""
    begun = _begin_statement(text, {}) if _current.get() is not None else Part(None)
    error = ""
    try:
        yield
    except BaseException as failure:
        error = getattr(failure, "pgcode", None) or kind_of(failure)
        raise
    finally:
        begun.end(error)


def _begin_statement(text: str, about: Attributes) -> Part:
    summary, attributes = describe_statement(text)
    return begin(summary, "CLIENT", {**attributes, **about})


@lru_cache(maxsize=2048)
def describe_statement(text: str) -> tuple[str, dict[str, str]]:
    """A statement's name (operation and first table, e.g. "SELECT images") and what is told of it: its text with places for values."""
    found = _OPERATION.search(text)
    operation = found[0].upper() if found else "SQL"
    table = _TABLE.search(text)
    summary = f"{operation} {table[1]}" if table else operation
    told = {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.summary": summary}
    return summary, {**told, "db.query.text": _BLANKS.sub(" ", text).strip()[:MOST_TEXT]}
