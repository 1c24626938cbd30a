"""One call being served, and the one place that knows gRPC's four shapes of a method.

An interceptor here is a layer: a context manager around the call, and a look at each request message. The four shapes are
taken apart once, in `LayeredInterceptor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from labelmesh_chassis.methods import MethodOptions

if TYPE_CHECKING:
    from labelmesh_chassis.identity import Identity

_ATTRIBUTE = "labelmesh_call"


@dataclass
class Call:
    """What the layers know and find out about one call."""

    path: str
    context: grpc.ServicerContext
    options: MethodOptions
    metadata: dict[str, str]
    # A method of the chassis itself (health, reflection) or of a service that authenticates by other means.
    unauthenticated: bool
    # Whether its caller sends any number of messages, and so decides how long it keeps a thread.
    streams_in: bool = False
    # Whether it answers with any number of messages.
    streams_out: bool = False
    request_id: str = ""
    identity: Identity | None = None
    # Monotonic seconds.
    deadline: float | None = None
    code: grpc.StatusCode = field(default=grpc.StatusCode.OK)

    @property
    def shape(self) -> str:
        """Which of gRPC's four shapes the method has, by the names that metrics have for them."""
        if self.streams_in:
            return "bidi_stream" if self.streams_out else "client_stream"
        return "server_stream" if self.streams_out else "unary"


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


def call_of(context: grpc.ServicerContext) -> Call:
    """The call that a servicer's context belongs to; RuntimeError outside of a LayeredInterceptor."""
    call = getattr(context, _ATTRIBUTE, None)
    if not isinstance(call, Call):
        raise RuntimeError("this server was built without the chassis' interceptors")
    return call


class Layer:
    """One concern around every call. Both parts may raise; what they raise passes through the layers outside of them."""

    def around(self, call: Call) -> AbstractContextManager[None]:
        """Entered before the servicer's method and left after the last reply."""
        return nullcontext()

    def check(self, call: Call, message: Message) -> None:
        """Sees each request message before the servicer does."""


class LayeredInterceptor(grpc.ServerInterceptor):
    """Puts layers, outermost first, around every method of a server."""

    def __init__(
        self, layers: Sequence[Layer], unauthenticated_services: frozenset[str], options_of: Callable[[str], MethodOptions | None]
    ) -> None:
        self._layers = tuple(layers)
        self._unauthenticated = unauthenticated_services
        self._options_of = options_of
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        known = self._handlers.get(path)
        if known is not None:
            return known
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        wrapped = self._wrap(path, handler)
        self._handlers[path] = wrapped
        return wrapped

    def _wrap(self, path: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        serializers = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
        if handler.response_streaming:
            stream_behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream

            def serve_stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
                with self._entered(path, context, handler.request_streaming, streams_out=True) as call:
                    yield from stream_behaviour(self._checked(call, request, handler.request_streaming), context)

            make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
            return make(serve_stream, **serializers)

        unary_behaviour: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary

        def serve_unary(request: Any, context: grpc.ServicerContext) -> Any:
            with self._entered(path, context, handler.request_streaming) as call:
                return unary_behaviour(self._checked(call, request, handler.request_streaming), context)

        make_unary = grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        return make_unary(serve_unary, **serializers)

    def _entered(self, path: str, context: grpc.ServicerContext, streams_in: bool, *, streams_out: bool = False) -> _Entered:
        service = path.removeprefix("/").partition("/")[0]
        options = self._options_of(path) or MethodOptions(full_name=path.removeprefix("/").replace("/", "."))
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        open_to_all = service in self._unauthenticated
        call = Call(path, context, options, metadata, unauthenticated=open_to_all, streams_in=streams_in, streams_out=streams_out)
        setattr(context, _ATTRIBUTE, call)
        return _Entered(call, self._layers)

    def _checked(self, call: Call, request: Any, streaming: bool) -> Any:
        if not streaming:
            self._check(call, request)
            return request
        return self._checked_stream(call, request)

    def _checked_stream(self, call: Call, requests: Iterator[Any]) -> Iterator[Any]:
        for message in requests:
            self._check(call, message)
            yield message

    def _check(self, call: Call, message: Any) -> None:
        for layer in self._layers:
            layer.check(call, message)


class _Entered:
    """All layers entered, outermost first, with `current_call` set meanwhile."""

    def __init__(self, call: Call, layers: tuple[Layer, ...]) -> None:
        self._call = call
        self._layers = layers
        self._stack = ExitStack()

    def __enter__(self) -> Call:
        token = current_call.set(self._call)
        with ExitStack() as stack:
            stack.callback(_forget, token)
            for layer in self._layers:
                stack.enter_context(layer.around(self._call))
            self._stack = stack.pop_all()
        return self._call

    def __exit__(self, *failure: Any) -> bool | None:
        return self._stack.__exit__(*failure)


def _forget(token: Any) -> None:
    try:
        current_call.reset(token)
    except ValueError:  # A stream given up by its client is closed from another thread, where the variable was never set.
        current_call.set(None)
