"""The same methods for gRPC, gRPC-Web, Connect and JSON, with the same details in errors."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import uuid

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from labelmesh.auth.v1 import sessions_pb2
from labelmesh.labeling.v1 import projects_pb2, statistics_pb2
from openapi_spec_validator import validate

from tests.e2e.edge.mesh import ADMIN, PASSWORD, EdgeMesh, Reply

LIST = "/labelmesh.labeling.v1.ProjectService/ListProjects"
GET = "/labelmesh.labeling.v1.ProjectService/GetProject"
WATCH = "/labelmesh.labeling.v1.StatisticsService/WatchStatistics"
SIGN_IN = "/labelmesh.auth.v1.SessionService/SignIn"


def frame(message: Message) -> bytes:
    data = message.SerializeToString()
    return b"\0" + struct.pack(">I", len(data)) + data


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """The frames of a gRPC-Web body: flags (128: trailers) and payload."""
    found = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        found.append((flags, body[5 : 5 + size]))
        body = body[5 + size :]
    return found


def grpc_web(edge: EdgeMesh, path: str, message: Message, token: str | None = None) -> Reply:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "accept": "application/grpc-web+proto"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return edge.http("POST", path, frame(message), headers)


def details_of(reply: Reply) -> status_pb2.Status:
    encoded = reply.headers["grpc-status-details-bin"]
    return status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))


def test_json_calls_a_method_and_reads_its_answer(edge: EdgeMesh, token: str) -> None:
    wanted = {"requestId": str(uuid.uuid4()), "displayName": "by JSON", "classes": [{"id": "cat"}], "leaseDuration": "60s"}
    made = edge.http("POST", "/v1/projects", wanted, {"authorization": f"Bearer {token}"})
    assert made.status == 200, made.body
    project = made.json["project"]
    assert (project["displayName"], project["leaseDuration"], project["imagesCount"]) == ("by JSON", "60s", "0")
    assert edge.http("GET", f"/v1/projects/{project['id']}", headers={"authorization": f"Bearer {token}"}).json["project"] == project


def test_json_errors_carry_the_details_of_google_rpc(edge: EdgeMesh, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    missing = edge.http("GET", f"/v1/projects/{uuid.uuid4()}", headers=headers)
    assert (missing.status, missing.json["code"], missing.reason) == (404, 5, "PROJECT_NOT_FOUND")
    invalid = edge.http("POST", "/v1/projects", {"requestId": "x", "displayName": ""}, headers)
    assert (invalid.status, invalid.json["code"]) == (400, 3)
    violations = [each for detail in invalid.json["details"] for each in detail.get("fieldViolations", ())]
    assert {"request_id", "display_name", "classes"} <= {each["field"] for each in violations}


@pytest.mark.parametrize("body", [b'{"name": ', b"\xff\xfe", b'{"name": 1}', b"[1]"])
def test_json_that_cannot_be_read_is_answered_in_json(edge: EdgeMesh, body: bytes) -> None:
    reply = edge.http("POST", "/v1/sessions", body, {"content-type": "application/json"})
    assert (reply.status, reply.json["code"], reply.reason) == (400, 3, "MALFORMED_REQUEST")
    assert reply.json["message"]


def test_unknown_paths_and_verbs_are_answered_in_json_without_asking_anybody(edge: EdgeMesh, token: str) -> None:
    before = edge.checks()
    headers = {"authorization": f"Bearer {token}"}
    for verb, path in (("GET", "/v1/nothing"), ("DELETE", "/v1/projects"), ("GET", LIST), ("POST", "/labelmesh.labeling.v1.Nobody/Call")):
        reply = edge.http(verb, path, headers=headers)
        assert (reply.status, reply.json["code"], reply.reason) == (404, 5, "NO_SUCH_PATH"), (verb, path)
    assert edge.checks() == before


def test_grpc_web_answers_with_a_message_frame_and_a_trailer_frame(edge: EdgeMesh, token: str) -> None:
    reply = grpc_web(edge, LIST, projects_pb2.ListProjectsRequest(page_size=1), token)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/grpc-web+proto")
    (flags, message), (last, trailers) = frames(reply.body)
    assert (flags, last) == (0, 128)
    projects_pb2.ListProjectsResponse.FromString(message)
    assert b"grpc-status:0" in trailers


def test_grpc_web_errors_of_services_and_of_the_edge_carry_details(edge: EdgeMesh, token: str) -> None:
    missing = grpc_web(edge, GET, projects_pb2.GetProjectRequest(project_id=str(uuid.uuid4())), token)
    edge_of_key = edge.http("POST", LIST, frame(projects_pb2.ListProjectsRequest()), {
        "content-type": "application/grpc-web+proto", "x-grpc-web": "1", "x-api-key": "lmk_nobody",
    })  # fmt: skip
    unsigned = grpc_web(edge, LIST, projects_pb2.ListProjectsRequest())
    unknown = grpc_web(edge, "/labelmesh.labeling.v1.ProjectService/Nothing", projects_pb2.ListProjectsRequest(), token)
    expected = ((missing, "5", "PROJECT_NOT_FOUND"), (edge_of_key, "16", "API_KEY_INVALID"), (unsigned, "16", "CREDENTIAL_MISSING"))
    for reply, code, reason in (*expected, (unknown, "12", "NO_SUCH_METHOD")):
        assert (reply.status, reply.headers["content-type"], reply.headers["grpc-status"]) == (200, "application/grpc-web+proto", code)
        status = details_of(reply)
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert (str(status.code), info.reason, bool(status.message)) == (code, reason, True)


def test_grpc_web_signs_in_by_cookie_and_never_shows_the_token(edge: EdgeMesh) -> None:
    reply = grpc_web(edge, SIGN_IN, sessions_pb2.SignInRequest(name=ADMIN, password=PASSWORD, use_cookie=True))
    (_, message), *_ = frames(reply.body)
    assert sessions_pb2.SignInResponse.FromString(message).token == ""
    cookie = reply.headers["set-cookie"]
    assert all(part in cookie for part in ("labelmesh_session=", "HttpOnly", "SameSite=Strict", "Path=/"))
    session = cookie.partition(";")[0]
    assert edge.http("GET", "/v1/sessions/current", headers={"cookie": session}).json["session"]["user"]["name"] == ADMIN


def test_a_stream_reaches_grpc_web_message_by_message(edge: EdgeMesh, token: str) -> None:
    project_id, _ = edge.project_with_image(token)
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=15)
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "authorization": f"Bearer {token}"}
    connection.request("POST", WATCH, frame(statistics_pb2.WatchStatisticsRequest(project_id=project_id)), headers)
    response = connection.getresponse()
    flags, size = struct.unpack(">BI", response.read(5))
    first = statistics_pb2.WatchStatisticsResponse.FromString(response.read(size))
    connection.close()
    assert (response.status, flags, first.project.images) == (200, 0, 1)


def test_connect_calls_unary_methods_with_protobuf(edge: EdgeMesh, token: str) -> None:
    headers = {"content-type": "application/proto", "connect-protocol-version": "1", "authorization": f"Bearer {token}"}
    reply = edge.http("POST", LIST, projects_pb2.ListProjectsRequest(page_size=1).SerializeToString(), headers)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/proto")
    projects_pb2.ListProjectsResponse.FromString(reply.body)
    missing = edge.http("POST", GET, projects_pb2.GetProjectRequest(project_id=str(uuid.uuid4())).SerializeToString(), headers)
    assert (missing.status, missing.json["code"]) == (404, "not_found")
    assert edge.http("POST", LIST, b"", {**headers, "authorization": "Bearer x"}).status == 401


def test_the_openapi_document_tells_every_json_path_that_is_served(edge: EdgeMesh, token: str) -> None:
    reply = edge.http("GET", "/openapi.json")
    document = json.loads(reply.body)
    validate(document)
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            # Who says nothing to a classic interface is told by the edge itself how to use it.
            asked = "?url=x" if any(parameter["name"] == "url" for parameter in operation.get("parameters", ())) else ""
            answered = edge.http(verb.upper(), path.replace("{", "").replace("}", "") + asked, headers={"authorization": "Bearer x"})
            assert answered.status in (401, 400), (verb, path)
    page = edge.http("GET", "/docs/api/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<script>" not in page.body
    assert b"style=" not in page.body
