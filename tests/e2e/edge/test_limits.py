"""What one caller cannot take from the others."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.labeling.v1 import projects_pb2, projects_pb2_grpc

from tests.e2e.edge.mesh import Door, EdgeMesh, bearer
from tests.e2e.edge.test_tokens import reason_of


def test_sign_ins_of_one_address_are_limited_whatever_way_they_come(edge: EdgeMesh, tmp_path: Path) -> None:
    with edge.second_door(tmp_path, sign_in_per_minute=6) as door:
        statuses = [door.refused_sign_in().status for _ in range(5)]
        assert statuses == [401] * 5
        with door.channel() as channel:
            stub = sessions_pb2_grpc.SessionServiceStub(channel)
            caught = [_refusal(stub) for _ in range(3)]
        assert [each.code() for each in caught] == [grpc.StatusCode.UNAUTHENTICATED, *[grpc.StatusCode.RESOURCE_EXHAUSTED] * 2]
        assert reason_of(caught[-1]) == "RATE_LIMITED"
        refused = door.refused_sign_in()
        assert (refused.status, refused.json["code"], refused.reason) == (429, 8, "RATE_LIMITED")
        assert any("retryDelay" in detail for detail in refused.json["details"])
        assert door.http("GET", "/v1/projects").status == 401, "other methods are not limited by it"


def _refusal(stub: sessions_pb2_grpc.SessionServiceStub) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        stub.SignIn(sessions_pb2.SignInRequest(name=f"nobody-{uuid.uuid4().hex[:12]}", password="x"), timeout=10)
    return caught.value


def test_addresses_do_not_limit_each_other(edge: EdgeMesh, tmp_path: Path) -> None:
    def sign_in(door: Door, address: str) -> int:
        return door.refused_sign_in({"x-forwarded-for": address}).status

    with edge.second_door(tmp_path, sign_in_per_minute=2, trusted_hops=1) as door:
        assert [sign_in(door, "198.51.100.7") for _ in range(3)] == [401, 401, 429]
        assert sign_in(door, "198.51.100.8") == 401


def test_an_address_cannot_be_made_up(edge: EdgeMesh, tmp_path: Path) -> None:
    with edge.second_door(tmp_path, sign_in_per_minute=2) as door:
        statuses = [door.refused_sign_in({"x-forwarded-for": f"198.51.100.{last}"}).status for last in range(4)]
    assert statuses == [401, 401, 429, 429]


def test_all_calls_of_one_address_are_limited_generously(edge: EdgeMesh, tmp_path: Path) -> None:
    with edge.second_door(tmp_path, calls_per_second=10) as door:
        statuses = [door.http("GET", "/").status for _ in range(60)]
    assert statuses[:40] == [200] * 40
    assert 429 in statuses


def test_a_body_that_is_too_long_is_refused_before_it_is_read(edge: EdgeMesh, token: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    connection.putrequest("POST", "/v1/projects")
    for name, value in (("content-length", str(40 * 2**20)), ("content-type", "application/json"), ("authorization", f"Bearer {token}")):
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["details"][0]["reason"]) == (413, "BODY_TOO_LARGE")
    connection.close()


@pytest.mark.parametrize("headers", [{"x-long": "a" * 40_000}, {f"x-{number}": "a" for number in range(120)}])
def test_headers_that_are_too_long_or_too_many_are_refused(edge: EdgeMesh, headers: dict[str, str]) -> None:
    assert edge.http("GET", "/", headers=headers).status == 431


def test_calls_whose_body_does_not_come_keep_no_thread_of_a_service(edge: EdgeMesh, token: str) -> None:
    speaking = threading.Event()

    def silence() -> Iterator[projects_pb2.ListProjectsRequest]:
        speaking.wait(30)
        yield projects_pb2.ListProjectsRequest()

    with edge.channel() as channel:
        begin = channel.stream_unary(
            "/labelmesh.labeling.v1.ProjectService/ListProjects",
            request_serializer=projects_pb2.ListProjectsRequest.SerializeToString,
            response_deserializer=projects_pb2.ListProjectsResponse.FromString,
        )
        # More than all replicas have threads.
        silent = [begin.future(silence(), metadata=bearer(token), timeout=30) for _ in range(100)]
        try:
            for _ in range(4):
                stub = projects_pb2_grpc.ProjectServiceStub(channel)
                stub.ListProjects(projects_pb2.ListProjectsRequest(), metadata=bearer(token), timeout=5)
        finally:
            speaking.set()
        for call in silent:
            call.result(timeout=20)
