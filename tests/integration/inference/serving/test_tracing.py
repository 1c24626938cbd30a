"""A call to the model server is a part of the trace of the call that needs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from labelmesh_chassis.calls import Call
from labelmesh_chassis.errors import NotFound
from labelmesh_chassis.methods import MethodOptions
from labelmesh_chassis.settings import ServiceSettings
from labelmesh_chassis.tracing import TracingLayer, start_tracing
from labelmesh_inference.serving.channel import ServingChannel

from tests.support.collector import Collector

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATH = "/labelmesh.inference.v1.PredictionService/Predict"
MODEL = "/tensorflow.serving.PredictionService/Predict"


def test_a_call_to_the_model_server_is_a_span_and_takes_the_trace_along() -> None:
    seen: list[dict[str, Any]] = []

    def predict(request: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append(dict(context.invocation_metadata()))
        if request == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        return request

    server = grpc.server(ThreadPoolExecutor(2))
    handlers: dict[str, Any] = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = ServingChannel(f"127.0.0.1:{port}")
    served: Any = SimpleNamespace()
    call = Call(PATH, served, MethodOptions(PATH[1:].replace("/", ".")), {"traceparent": f"00-{TRACE}-{PARENT}-01"}, unauthenticated=True)
    with Collector() as collector:
        told = {"database_url": "postgresql+psycopg2://nobody@127.0.0.1/none", "otlp_endpoint": collector.endpoint}
        traced = start_tracing("inference", ServiceSettings.model_validate(told))
        assert traced is not None
        with traced:
            with TracingLayer().around(call):
                assert channel.call(MODEL, b"one", timeout_s=5) == b"one"
                with pytest.raises(NotFound):
                    channel.call(MODEL, b"fail", timeout_s=5)
            channel.call(MODEL, b"outside of any call", timeout_s=5)
        spans = collector.spans()
    channel.close()
    server.stop(0).wait()
    outer = next(span for span in spans if span.kind == "server")
    first, second = (span for span in spans if span.kind == "client")
    assert (outer.trace_id, outer.parent_id) == (TRACE, PARENT)
    assert (first.name, first.parent_id, first.failed) == (MODEL[1:], outer.span_id, False)
    assert (second.failed, second.attributes["rpc.response.status_code"]) == (True, "NOT_FOUND")
    assert seen[0]["traceparent"] == f"00-{TRACE}-{first.span_id}-01"
    assert "traceparent" not in seen[2]
