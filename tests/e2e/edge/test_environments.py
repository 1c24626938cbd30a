"""The gateway as each environment tells it to be: local, docker-compose and Kubernetes, with and without mutual TLS.

Envoy judges the settings as they stand. Then they are brought to this machine, with other addresses and files, booted before the same
services, and judged from outside.
"""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh_gateway import write
from labelmesh_gateway.__main__ import validate
from labelmesh_local.gateway import Gateway
from labelmesh_local.ports import free_ports

from tests.e2e.edge.environments import PLACES, Environment, environment
from tests.e2e.edge.mesh import ADMIN, ANNOTATOR, PASSWORD, Door, EdgeMesh, bearer, own_path
from tests.e2e.edge.secured import SecuredServices
from tests.e2e.edge.test_tokens import LIST, bad_tokens, list_projects, refusal
from tests.e2e.edge.test_traces import until_answered
from tests.support.collector import Collector


@dataclass(frozen=True)
class Place:
    """A booted environment."""

    environment: Environment
    door: Door
    ops: Door
    collector: Collector

    def token(self, name: str = ADMIN) -> str:
        with self.door.channel() as channel:
            stub = sessions_pb2_grpc.SessionServiceStub(channel)
            return str(stub.SignIn(sessions_pb2.SignInRequest(name=name, password=PASSWORD), timeout=15).token)


@pytest.fixture(scope="module", params=PLACES)
def place(
    request: pytest.FixtureRequest, edge: EdgeMesh, secured: SecuredServices, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    told = environment(request.param, folder / "home")
    assert edge.settings.web_root.is_dir()
    port, admin_port, ops_port = free_ports(3)
    with Collector() as collector:
        services = (
            secured.told(secured.mounted(folder / "tls"))
            if told.mutual_tls
            else {part: getattr(edge.settings, part) for part in ("auth", "auth_ops", "labeling", "inference", "augment")}
        )
        here = {
            **services,
            "listen": f"127.0.0.1:{port}",
            "admin_port": admin_port,
            "ops_listen": f"127.0.0.1:{ops_port}",
            "objects": edge.settings.objects,
            # The S3 server of the tests speaks plaintext.
            "objects_tls": False,
            "otlp": collector.endpoint,
            "otlp_http": collector.http_endpoint,
            "web_root": edge.settings.web_root,
        }
        path = write(told.here(here), folder / "gateway")
        gateway = Gateway(path, run_dir=folder / "gateway", admin_port=admin_port, concurrency=1)
        gateway.start()
        try:
            door = Door(port, admin_port)
            token = edge.sign_in()
            until_answered(lambda: list_projects(door, *bearer(token)))
            yield Place(told, door, Door(ops_port, admin_port), collector)
        finally:
            gateway.stop()


def test_envoy_accepts_the_settings_as_they_stand(place: Place, tmp_path: Path) -> None:
    assert validate(write(place.environment.settings, tmp_path)) == ""


def test_people_sign_in_and_call_by_grpc_web_and_json(place: Place) -> None:
    token = place.token()
    list_projects(place.door, *bearer(token))
    assert place.door.http("GET", "/v1/projects", headers={"cookie": f"labelmesh_session={token}"}).status == 200
    web = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "authorization": f"Bearer {token}"}
    reply = place.door.http("POST", LIST, b"\0\0\0\0\0", web)
    assert (reply.status, b"grpc-status:0" in reply.body) == (200, True)


def test_bad_tokens_are_refused_without_asking_anybody(place: Place, edge: EdgeMesh, token: str) -> None:
    bad = bad_tokens(edge, token)

    def asked() -> int:
        return sum(place.door.envoy_stat(f"http.edge.ext_authz.{outcome}") for outcome in ("ok", "denied", "error"))

    before = asked()
    for what, (bad_token, reason) in bad.items():
        reply = place.door.http("GET", "/v1/projects", headers={"authorization": f"Bearer {bad_token}"})
        assert (reply.status, reply.reason) == (401, reason), what
    assert refusal(place.door) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    assert asked() == before
    place.door.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"})
    assert asked() == before + 1, "the count counts"


def test_nobody_says_who_they_are_by_a_header(place: Place, edge: EdgeMesh) -> None:
    annotator = place.token(ANNOTATOR)
    admin = edge.forged(annotator, iss="labelmesh-auth", aud="labelmesh-internal", role="admin")
    headers = {"x-labelmesh-identity": admin, "x-labelmesh-client-address": "198.51.100.1"}
    assert place.door.http("GET", "/v1/projects", headers=headers).reason == "CREDENTIAL_MISSING"
    mine = place.door.http("GET", "/v1/sessions/current", headers={**headers, "authorization": f"Bearer {annotator}"})
    assert mine.json["session"]["user"]["name"] == ANNOTATOR


def test_a_page_of_another_origin_can_do_nothing(place: Place, token: str) -> None:
    headers = {"origin": "https://evil.example", "cookie": f"labelmesh_session={token}"}
    assert place.door.http("POST", "/v1/sessions:reportActivity", {}, headers).reason == "FOREIGN_ORIGIN"
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in place.door.http("OPTIONS", LIST, headers=asked).headers
    own = f"http://127.0.0.1:{place.door.port}"
    assert place.door.http("POST", "/v1/sessions:reportActivity", {}, {**headers, "origin": own}).status == 200


def test_an_object_comes_by_its_url_and_by_no_other(place: Place, edge: EdgeMesh, token: str) -> None:
    _, image = edge.project_with_image(token)
    reply = place.door.http("GET", own_path(image.url))
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert "sandbox" in reply.headers["content-security-policy"]
    assert place.door.http("GET", own_path(image.url).replace("X-Amz-Signature=", "X-Amz-Signature=0")).status == 403
    assert place.door.http("DELETE", own_path(image.url)).status == 404


def test_the_page_is_served_and_runs_only_its_own_code(place: Place) -> None:
    reply = place.door.http("GET", "/projects")
    assert (reply.status, "script-src 'self'" in reply.headers["content-security-policy"]) == (200, True)
    assert place.door.http("GET", "/openapi.json").status == 200
    assert place.door.http("GET", f"/v1/{uuid.uuid4()}").reason == "NO_SUCH_PATH"


def test_those_who_operate_it_ask_apart_from_its_callers(place: Place) -> None:
    if place.environment.settings.ops_listen is None:
        with pytest.raises(ConnectionRefusedError):
            place.ops.http("GET", "/ready")
        assert place.environment.place == "local"
        return
    assert (place.ops.http("GET", "/ready").status, place.ops.http("GET", "/metrics").status) == (200, 200)
    assert place.ops.http("GET", "/config_dump").status == 404
    assert b"envoy_" not in place.door.http("GET", "/metrics").body


def test_traces_are_made_where_a_collector_is_told_and_else_not(place: Place, token: str) -> None:
    settings = place.environment.settings
    trace_id = uuid.uuid4().hex
    sampled = ("traceparent", f"00-{trace_id}-b7ad6b7169203331-01")
    list_projects(place.door, *bearer(token), sampled)
    if settings.otlp is None:
        assert place.door.envoy_stat("http.edge.tracing.random_sampling") == 0
        assert place.collector.spans() == []
    else:
        place.collector.wait_for(lambda spans: [span for span in spans if span.trace_id == trace_id])
    left = place.door.http("POST", "/telemetry/v1/traces", {"resourceSpans": []}, {"authorization": f"Bearer {token}"})
    assert left.status == (404 if settings.otlp_http is None else 200)


def test_what_is_too_large_or_too_much_is_refused(place: Place) -> None:
    settings = place.environment.settings
    connection = http.client.HTTPConnection("127.0.0.1", place.door.port, timeout=10)
    connection.putrequest("POST", "/v1/sessions")
    connection.putheader("content-length", str(settings.max_body_bytes * 2))
    connection.putheader("content-type", "application/json")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert place.door.http("GET", "/", headers={"x-long": "a" * 1024 * settings.max_header_kib}).status == 431
    # As often as one address may, and as often as comes back while it asks.
    statuses = [place.door.http("POST", "/v1/sessions", {"name": ""}).status for _ in range(settings.sign_in_per_minute * 2)]
    assert set(statuses) == {400, 429}
