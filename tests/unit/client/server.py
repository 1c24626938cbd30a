"""A real gRPC server on loopback whose methods are functions of a test.

For what happens between client and server (retries, errors, broken streams), not for what labelmesh does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from labelmesh.augment.v1 import augmentations_pb2, pipelines_pb2
from labelmesh.auth.v1 import api_keys_pb2, sessions_pb2, users_pb2
from labelmesh.inference.v1 import models_pb2, predictions_pb2, scoring_pb2, trainings_pb2
from labelmesh.labeling.v1 import annotations_pb2, images_pb2, projects_pb2, statistics_pb2
from labelmesh_client import Client, connect

_FILES = (
    *(api_keys_pb2, sessions_pb2, users_pb2),
    *(annotations_pb2, images_pb2, projects_pb2, statistics_pb2),
    *(models_pb2, predictions_pb2, scoring_pb2, trainings_pb2),
    *(augmentations_pb2, pipelines_pb2),
)
_METHODS: dict[str, MethodDescriptor] = {
    method.full_name: method for file in _FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
}

Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Serve = Callable[[dict[str, Behaviour]], "ScriptedServer"]


class ScriptedServer:
    """Serves methods by their short names, e.g. `ImageService.AddImages`; others are UNIMPLEMENTED. Keeps the metadata of every call."""

    def __init__(self, behaviours: dict[str, Behaviour], tls: grpc.ServerCredentials | None = None) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 32 * 1024 * 1024)]
        )
        self.metadata: list[dict[str, str | bytes]] = []
        self.calls: list[str] = []
        services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        for name, behaviour in behaviours.items():
            method = next(one for full, one in _METHODS.items() if full.endswith("." + name))
            services.setdefault(method.containing_service.full_name, {})[method.name] = self._handler(name, method, behaviour)
        for service, handlers in services.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        here = "127.0.0.1:0"
        self.port = self._server.add_insecure_port(here) if tls is None else self._server.add_secure_port(here, tls)
        self._server.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.stop(None).wait(5)

    def _handler(self, name: str, method: MethodDescriptor, behaviour: Behaviour) -> grpc.RpcMethodHandler[Any, Any]:
        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(name)
            self.metadata.append(dict(context.invocation_metadata()))
            return behaviour(request, context)

        def behave_in_a_stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield from behave(request, context)

        request_class = GetMessageClass(method.input_type)
        if method.client_streaming and method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(behave_in_a_stream, request_class.FromString, _serialize)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(behave, request_class.FromString, _serialize)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(behave_in_a_stream, request_class.FromString, _serialize)
        return grpc.unary_unary_rpc_method_handler(behave, request_class.FromString, _serialize)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def refuse(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str = "",
    violations: Sequence[tuple[str, str]] = (),
    retry_after_s: float | None = None,
) -> Any:
    """Ends a call as the services of the mesh do, with google.rpc details."""
    status = status_pb2.Status(code=code.value[0], message=message)
    if reason:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="labelmesh", metadata={"of": "test"}))
    if violations:
        bad = error_details_pb2.BadRequest()
        for field, description in violations:
            bad.field_violations.add(field=field, description=description)
        status.details.add().Pack(bad)
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(retry_after_s * 1e9))
        status.details.add().Pack(retry)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


def client_of(server: ScriptedServer, *, patience_s: float = 5.0) -> Client:
    """A client with an API key for a scripted server."""
    return connect(server.address, api_key="lmk_test", patience_s=patience_s)


def serving() -> Iterator[Serve]:
    """Starts scripted servers on free loopback ports, and ends them."""
    servers: list[ScriptedServer] = []

    def start(behaviours: dict[str, Behaviour]) -> ScriptedServer:
        servers.append(ScriptedServer(behaviours))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
