"""Where signed-in pages leave the spans of their calls."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from labelmesh.auth.v1 import api_keys_pb2, api_keys_pb2_grpc, sessions_pb2, sessions_pb2_grpc
from labelmesh_gateway.rendering import MAX_SPANS_BYTES

from tests.e2e.edge.mesh import Door, EdgeMesh, bearer
from tests.support.collector import Collector

PATH = "/telemetry/v1/traces"


def spans(name: str = "call") -> dict[str, Any]:
    """One span as a page says it."""
    span = {"traceId": uuid.uuid4().hex, "spanId": uuid.uuid4().hex[:16], "name": name, "kind": 3}
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def door(edge: EdgeMesh, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_text('<!doctype html><meta name="labelmesh-tracing" content="off" /><title>page</title>')
    settings = {"otlp_http": collector.http_endpoint, "trace_ratio": 0.25, "web_root": page}
    with edge.second_door(tmp_path_factory.mktemp("browser-spans"), **settings) as door:
        yield door


@pytest.fixture
def cookie(token: str) -> dict[str, str]:
    return {"cookie": f"labelmesh_session={token}", "content-type": "application/json"}


def test_a_signed_in_page_leaves_its_spans_with_the_collector(door: Door, collector: Collector, cookie: dict[str, str]) -> None:
    reply = door.http("POST", PATH, json.dumps(spans("by cookie")).encode(), {**cookie, "origin": f"http://127.0.0.1:{door.port}"})
    assert (reply.status, reply.body) == (200, b"")
    assert "by cookie" in [span.name for span in collector.wait_for(len)]
    protobuf = door.http("POST", PATH, b"", {**cookie, "content-type": "application/x-protobuf"})
    assert protobuf.status == 200


def test_the_page_is_told_how_many_of_its_calls_to_trace(edge: EdgeMesh, door: Door) -> None:
    assert b'<meta name="labelmesh-tracing" content="0.25" />' in door.http("GET", "/").body
    assert b'<meta name="labelmesh-tracing" content="0.25" />' in door.http("GET", "/projects").body
    assert edge.http("POST", PATH, spans()).status == 404, "without a collector there is no such path"


def test_nobody_without_a_session_leaves_spans(edge: EdgeMesh, door: Door, collector: Collector, token: str) -> None:
    ended = edge.sign_in()
    before = len(collector.spans())
    with edge.channel() as channel:
        sessions_pb2_grpc.SessionServiceStub(channel).SignOut(sessions_pb2.SignOutRequest(), metadata=bearer(ended), timeout=10)
        wanted = api_keys_pb2.CreateApiKeyRequest(request_id=str(uuid.uuid4()), display_name="spans", scopes=["labeling.read"])
        key = api_keys_pb2_grpc.ApiKeyServiceStub(channel).CreateApiKey(wanted, metadata=bearer(token), timeout=10).secret
    for headers, status, reason in (
        ({}, 401, "CREDENTIAL_MISSING"),
        ({"cookie": "labelmesh_session=x"}, 401, "TOKEN_INVALID"),
        ({"cookie": f"labelmesh_session={ended}"}, 401, "SESSION_REVOKED"),
        ({"cookie": f"labelmesh_session={edge.forged(token, aud='elsewhere')}"}, 401, "TOKEN_INVALID"),
        ({"x-api-key": key}, 403, "API_KEY_NOT_ALLOWED"),
    ):
        reply = door.http("POST", PATH, spans(), headers)
        assert (reply.status, reply.reason) == (status, reason), headers
    assert len(collector.spans()) == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_no_page_of_another_origin_leaves_spans(door: Door, collector: Collector, cookie: dict[str, str], origin: str) -> None:
    before = len(collector.spans())
    reply = door.http("POST", PATH, json.dumps(spans()).encode(), {**cookie, "origin": origin})
    assert (reply.status, reply.reason) == (403, "FOREIGN_ORIGIN")
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    assert "access-control-allow-origin" not in door.http("OPTIONS", PATH, headers=asked).headers
    assert len(collector.spans()) == before


def test_spans_are_no_activity_of_a_person(edge: EdgeMesh, door: Door) -> None:
    token = edge.sign_in()
    headers = {"cookie": f"labelmesh_session={token}"}
    edge.age_sessions(100)
    assert door.http("POST", PATH, spans(), headers).status == 200
    edge.age_sessions(25)
    reply = door.http("POST", PATH, spans(), headers)
    assert (reply.status, reply.reason) == (401, "SESSION_ENDED")


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": "application/jsonx"}, {"content-encoding": "gzip"}, {"content-type": ""}]
)
def test_only_otlp_as_it_is_is_taken(door: Door, cookie: dict[str, str], headers: dict[str, str]) -> None:
    reply = door.http("POST", PATH, b"{}", {**cookie, **headers})
    assert (reply.status, reply.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_other_paths_and_verbs_lead_nowhere(door: Door, cookie: dict[str, str]) -> None:
    for verb, path in (
        ("GET", PATH),
        ("PUT", PATH),
        ("POST", "/telemetry/v1/logs"),
        ("POST", f"{PATH}/"),
        ("POST", "/telemetry/v1/traces/../metrics"),
    ):
        assert door.http(verb, path, b"{}", cookie).status == 404, (verb, path)
    assert door.http("POST", f"{PATH}?a=b", b"{}", cookie).status == 415, "a query is not passed on"


def test_no_more_than_256_kib_are_taken_at_once(door: Door, cookie: dict[str, str]) -> None:
    largest = b"{}" + b" " * (MAX_SPANS_BYTES - 2)
    assert door.http("POST", PATH, largest, cookie).status == 200
    told = door.http("POST", PATH, largest + b" ", cookie)
    assert (told.status, told.reason) == (413, "BODY_TOO_LARGE")
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    connection.request("POST", PATH, iter([b" " * 65536] * 5), cookie, encode_chunked=True)
    assert connection.getresponse().status == 413, "nor where the length is not told before"
    connection.close()


def test_one_account_does_not_use_up_what_others_may_leave(edge: EdgeMesh, collector: Collector, tmp_path: Path) -> None:
    with edge.second_door(tmp_path, otlp_http=collector.http_endpoint) as door:
        sessions = [{"authorization": f"Bearer {edge.sign_in()}"} for _ in range(2)]
        began = time.monotonic()
        statuses = [door.http("POST", PATH, spans(), sessions[number % 2]).status for number in range(120)]
        passed = statuses.count(200)
        assert set(statuses) == {200, 429}
        assert 60 <= passed <= 61 + (time.monotonic() - began), "another session of the account does not help"
        other = edge.sign_in("edge-annotator")
        assert door.http("POST", PATH, spans(), {"authorization": f"Bearer {other}"}).status == 200


class Loud(BaseHTTPRequestHandler):
    """A collector that says more than is good."""

    status = 200
    heard: dict[str, str]

    def do_POST(self) -> None:
        type(self).heard = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
        self.rfile.read(int(self.headers.get("content-length", "0")))
        body = b"collector at 10.0.0.7: secret"
        self.send_response(self.status)
        for name, value in (
            ("set-cookie", "a=b"),
            ("location", "http://10.0.0.7/"),
            ("x-collector", "10.0.0.7"),
            ("www-authenticate", "Basic"),
        ):
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def loud(edge: EdgeMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Loud)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        with edge.second_door(tmp_path_factory.mktemp("loud"), otlp_http=f"127.0.0.1:{server.server_address[1]}") as door:
            yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("answered", "told"), [(200, 200), (400, 400), (429, 429), (503, 503), (401, 502), (302, 502), (500, 502)])
def test_of_the_collectors_answer_the_status_alone_goes_back(loud: Door, cookie: dict[str, str], answered: int, told: int) -> None:
    Loud.status = answered
    reply = loud.http("POST", PATH, b"{}", cookie)
    assert (reply.status, reply.body) == (told, b"")
    assert {"set-cookie", "location", "x-collector", "www-authenticate", "x-labelmesh-passed-on"}.isdisjoint(reply.headers)


def test_the_collector_learns_nothing_of_who_sent_them(edge: EdgeMesh, loud: Door, cookie: dict[str, str]) -> None:
    Loud.status = 200
    personal = {
        "user-agent": "zorro",
        "referer": "http://127.0.0.1/zorro",
        "accept-language": "zorro",
        "x-forwarded-for": "198.51.100.1",
        "x-zorro": "1",
    }
    assert loud.http("POST", PATH, b"{}", {**cookie, **personal}).status == 200
    told = Loud.heard.pop(":path")
    assert told == "/v1/traces"
    assert set(Loud.heard) <= {"host", "content-type", "content-length", "accept-encoding", "x-zorro"}
    assert "labelmesh_session" not in str(Loud.heard)


def test_refusals_of_the_edge_keep_their_words(loud: Door) -> None:
    assert loud.http("POST", PATH, spans()).reason == "CREDENTIAL_MISSING"
