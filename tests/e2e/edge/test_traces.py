"""Spans of the edge: one trace from the caller to the services, and nobody to be known by it."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from labelmesh_gateway import write
from labelmesh_gateway.rendering import MAX_EXPORTS_PER_SECOND, MAX_SPANS_PER_EXPORT
from labelmesh_local.gateway import Gateway
from labelmesh_local.ports import free_port, free_ports

from tests.e2e.edge.mesh import ADMIN, Door, EdgeMesh, bearer, own_path
from tests.e2e.edge.test_tokens import list_projects
from tests.support.collector import CollectedSpan, Collector

LIST = "labelmesh.labeling.v1.ProjectService/ListProjects"
PARENT = "b7ad6b7169203331"
_FLUSHED_S = 1.7
"""Longer than Envoy keeps spans together (a second)."""


@dataclass(frozen=True)
class TracedDoor(Door):
    port: int
    admin_port: int
    collector: Collector
    log: Path

    def parent(self, *, sampled: bool = True) -> tuple[str, str]:
        """A new trace's id, and the header that begins it."""
        trace_id = uuid.uuid4().hex
        return trace_id, f"00-{trace_id}-{PARENT}-{'01' if sampled else '00'}"

    def spans_of(self, trace_id: str, count: int) -> list[CollectedSpan]:
        """The spans of a trace, once there are `count`."""

        def of_trace(spans: list[CollectedSpan]) -> list[CollectedSpan]:
            return [span for span in spans if span.trace_id == trace_id]

        return of_trace(self.collector.wait_for(lambda spans: len(of_trace(spans)) >= count))


@pytest.fixture(scope="module")
def door(edge: EdgeMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedDoor]:
    """An edge that traces what its callers want traced, and nothing by itself."""
    folder = tmp_path_factory.mktemp("traces")
    with Collector() as collector, edge.second_door(folder, otlp=collector.endpoint, trace_ratio=0) as plain:
        yield TracedDoor(plain.port, plain.admin_port, collector, folder / "gateway.log")


def test_a_call_is_a_span_between_its_caller_and_those_who_are_asked(edge: EdgeMesh, door: TracedDoor, token: str) -> None:
    trace_id, header = door.parent()
    list_projects(door, *bearer(token), ("traceparent", header))
    spans = {span.name: span for span in door.spans_of(trace_id, 3) if span.kind == "server"}
    server = spans[LIST]
    assert (server.parent_id, server.service, server.failed) == (PARENT, "gateway", False)
    assert (server.attributes["http.route"], server.attributes["grpc.status_code"], server.attributes["http.status_code"]) == (
        LIST,
        "0",
        "200",
    )
    asked = [span for span in door.spans_of(trace_id, 3) if span.kind == "client"]
    assert {span.parent_id for span in asked} == {server.span_id}
    assert sorted(str(span.attributes["upstream_cluster"]) for span in asked) == ["auth", "labeling"]


def test_context_goes_on_to_the_service_and_to_the_check(edge: EdgeMesh, door: TracedDoor, token: str, tmp_path: Path) -> None:
    with Listening(edge.settings.auth[0]) as auth, Listening(edge.settings.labeling[0]) as labeling:
        settings = {"auth": (auth.endpoint,), "labeling": (labeling.endpoint,), "otlp": door.collector.endpoint, "trace_ratio": 0}
        with edge.second_door(tmp_path, **settings) as heard:
            trace_id, header = door.parent()
            told = (("traceparent", header), ("tracestate", "who=ada"), ("baggage", "name=ada"))
            until_answered(lambda: list_projects(heard, *bearer(token), *told))
            spans = door.spans_of(trace_id, 3)
    for each, path in ((labeling, f"/{LIST}"), (auth, "/envoy.service.auth.v3.Authorization/Check")):
        metadata = each.heard[path][-1]
        version, seen, span_id, flags = metadata["traceparent"].split("-")
        assert (version, seen, flags) == ("00", trace_id, "01"), path
        assert span_id != PARENT
        assert "baggage" not in metadata and not metadata.get("tracestate"), path
    assert labeling.heard[f"/{LIST}"][-1]["traceparent"].split("-")[2] in {span.span_id for span in spans}


def test_a_caller_that_wants_no_trace_gets_none_and_neither_do_services(
    edge: EdgeMesh, door: TracedDoor, token: str, tmp_path: Path
) -> None:
    with Listening(edge.settings.labeling[0]) as labeling:
        settings = {"labeling": (labeling.endpoint,), "otlp": door.collector.endpoint, "trace_ratio": 1}
        with edge.second_door(tmp_path, **settings) as heard:
            trace_id, header = door.parent(sampled=False)
            until_answered(lambda: list_projects(heard, *bearer(token), ("traceparent", header)))
            time.sleep(_FLUSHED_S)
    assert labeling.heard[f"/{LIST}"][-1]["traceparent"].endswith("-00")
    assert [span for span in door.collector.spans() if span.trace_id == trace_id] == []


@pytest.mark.parametrize("ratio", [0, 1])
def test_the_ratio_is_for_callers_that_have_not_decided(edge: EdgeMesh, tmp_path: Path, ratio: int) -> None:
    wanted = {"x-client-trace-id": "1", "x-envoy-force-trace": "1", "x-b3-sampled": "1"}
    with Collector() as collector, edge.second_door(tmp_path, otlp=collector.endpoint, trace_ratio=ratio) as door:
        for headers in ({}, wanted, {"traceparent": "00-0-0-01"}):
            door.http("GET", "/v1/nothing", headers=headers)
        time.sleep(_FLUSHED_S)
        assert len(collector.spans()) == 2 * ratio, "of a context that cannot be read nothing is made"


def test_spans_tell_nothing_of_who_called_and_nothing_that_a_caller_wrote(edge: EdgeMesh, door: TracedDoor, token: str) -> None:
    trace_id, header = door.parent()
    _, image = edge.project_with_image(token)
    mine = {
        "traceparent": header, "authorization": f"Bearer {token}", "user-agent": "agent-of-zorro", "referer": "https://a.example/zorro",
        "accept-language": "zorro-LOVELACE", "x-forwarded-for": "198.51.100.77", "cookie": "name=zorro",
    }  # fmt: skip
    door.http("GET", "/v1/projects?page_token=zorro", headers=mine)
    door.http("GET", f"/v1/projects/{uuid.uuid4()}?name=zorro", headers=mine)
    door.http(
        "POST",
        "/v1/users",
        {"requestId": str(uuid.uuid4()), "name": ADMIN, "displayName": "zorro", "password": "zorro-zorro-zorro-1"},
        mine,
    )
    door.http("POST", f"/{LIST}", b"\0\0\0\0\0", {**mine, "content-type": "application/grpc-web+zorro", "grpc-timeout": "7zorro"})
    door.http("POST", f"/{LIST}", b"\0\0\0\0\0", {**mine, "content-type": "application/grpc+zorro", "grpc-timeout": "7zorro"})
    with door.channel() as channel:
        create: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/labelmesh.auth.v1.UserService/GetUser?zorro")
        with pytest.raises(grpc.RpcError):
            create(b"", metadata=(*bearer(token), ("traceparent", header)), timeout=10)
    door.http("GET", "/augment/?url=https://a.example/zorro", headers={**mine, "accept": "text/html"})
    door.http("GET", "/objects/zorro/zorro?X-Amz-Signature=zorro", headers=mine)
    assert door.http("GET", own_path(image.url), headers=mine).status == 200
    door.spans_of(trace_id, 12)
    time.sleep(_FLUSHED_S)
    spans = [span for span in door.collector.spans() if span.trace_id == trace_id]
    told = json.dumps([(span.name, span.attributes, span.events) for span in spans]).lower()
    signature = own_path(image.url).partition("X-Amz-Signature=")[2][:20].lower()
    for secret in ("zorro", "lovelace", token[:20].lower(), signature, "127.0.0.1", "198.51.100", ADMIN, "bearer", "page_token", "x-amz"):
        assert secret not in told, (secret, told)


def test_files_and_objects_leave_no_spans(edge: EdgeMesh, tmp_path: Path, token: str) -> None:
    _, image = edge.project_with_image(token)
    with Collector() as collector, edge.second_door(tmp_path, otlp=collector.endpoint) as door:
        for path in ("/", "/assets/index-Ab12Cd34.js", own_path(image.url)):
            assert door.http("GET", path).status == 200
        assert door.http("GET", "/v1/nothing").status == 404
        assert [span.name for span in collector.wait_for(len)] == ["nothing"]


def test_a_crowd_that_wants_traces_gets_no_more_than_the_bound(edge: EdgeMesh, door: TracedDoor, tmp_path: Path) -> None:
    """With a bound of 20 in a second instead of the rendered one, which calls one after the other do not reach."""
    port, admin_port = free_ports(2)
    with Collector() as collector:
        settings = {"listen": f"127.0.0.1:{port}", "admin_port": admin_port, "otlp": collector.endpoint, "trace_ratio": 0}
        path = write(edge.settings.model_copy(update=settings), tmp_path)
        bounded = path.read_text()
        for rendered, less in (
            (f"max_cache_size: {2 * MAX_SPANS_PER_EXPORT}", "max_cache_size: 20"),
            (f"min_flush_spans: {MAX_SPANS_PER_EXPORT}", "min_flush_spans: 20"),
            (f"exports > {MAX_EXPORTS_PER_SECOND} ", "exports > 1 "),
        ):
            assert bounded.count(rendered) == 1
            bounded = bounded.replace(rendered, less)
        path.write_text(bounded)
        gateway = Gateway(path, run_dir=tmp_path, admin_port=admin_port, concurrency=1)
        gateway.start()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            began = time.monotonic()
            for _ in range(300):
                connection.request("GET", "/v1/nothing", headers={"traceparent": door.parent()[1]})
                assert connection.getresponse().read()
            seconds = int(time.monotonic() - began) + 3
            connection.close()
            time.sleep(_FLUSHED_S)
            assert 0 < len(collector.spans()) <= 20 * seconds < 300
            tried, went = (Door(port, admin_port).envoy_stat(f"cluster.collector.upstream_rq_{name}") for name in ("total", "200"))
            assert tried > went > 0
        finally:
            gateway.stop()


def test_a_collector_that_is_away_harms_nothing(edge: EdgeMesh, tmp_path: Path, token: str) -> None:
    with edge.second_door(tmp_path, otlp=f"127.0.0.1:{free_port()}", otlp_http=f"127.0.0.1:{free_port()}") as door:
        for _ in range(30):
            list_projects(door, *bearer(token))
        reply = door.http("POST", "/telemetry/v1/traces", {"resourceSpans": []}, {"authorization": f"Bearer {token}"})
        assert reply.status == 503


def test_a_line_of_the_access_log_names_its_trace(edge: EdgeMesh, door: TracedDoor) -> None:
    trace_id, header = door.parent()
    door.http("GET", "/v1/nothing", headers={"traceparent": header})
    deadline = time.monotonic() + 20
    while not (lines := [line for line in door.log.read_text().splitlines() if trace_id in line]):
        assert time.monotonic() < deadline, "no line of that trace"
        time.sleep(0.2)
    line = json.loads(lines[0])
    assert (line["trace_id"], line["path"]) == (trace_id, "/v1/nothing")


def until_answered(call: Any) -> None:
    """Calls until the gateway has found its services."""
    deadline = time.monotonic() + 20
    while True:
        try:
            call()
            return
        except grpc.RpcError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


class Listening:
    """Stands between the edge and a service, passes calls on as they are, and keeps what came with them: `heard` by path."""

    def __init__(self, target: str) -> None:
        self.heard: dict[str, list[dict[str, str]]] = {}
        self._channel = grpc.insecure_channel(target)
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((_Passing(self._pass),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Listening:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()
        self._channel.close()

    def _pass(self, path: str, metadata: Any, request: bytes) -> bytes:
        self.heard.setdefault(path, []).append({key: str(value) for key, value in metadata})
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        identity = tuple((key, value) for key, value in metadata if key.startswith("x-labelmesh-"))
        return call(request, metadata=identity, timeout=10)


class _Passing(grpc.GenericRpcHandler):
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def service(self, details: Any) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda request, _: self._answer(details.method, details.invocation_metadata, request))
