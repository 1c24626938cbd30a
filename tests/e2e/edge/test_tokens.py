"""What the edge judges alone, and what it asks auth about."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from labelmesh.auth.v1 import api_keys_pb2, api_keys_pb2_grpc, sessions_pb2, sessions_pb2_grpc
from labelmesh.labeling.v1 import projects_pb2, projects_pb2_grpc

from tests.e2e.edge.mesh import ANNOTATOR, Door, EdgeMesh, bearer

LIST = "/labelmesh.labeling.v1.ProjectService/ListProjects"


def list_projects(edge: Door, *metadata: tuple[str, str]) -> projects_pb2.ListProjectsResponse:
    with edge.channel() as channel:
        stub = projects_pb2_grpc.ProjectServiceStub(channel)
        return stub.ListProjects(projects_pb2.ListProjectsRequest(), metadata=metadata, timeout=10)


def refusal(edge: Door, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str]:
    """The code and the reason of a refused call over gRPC."""
    with pytest.raises(grpc.RpcError) as caught:
        list_projects(edge, *metadata)
    return caught.value.code(), reason_of(caught.value)


def reason_of(error: grpc.RpcError) -> str:
    call: Any = error
    status = rpc_status.from_call(call)
    assert status is not None, f"no details: {error}"
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "labelmesh"
    return str(info.reason)


def bad_tokens(edge: EdgeMesh, token: str) -> dict[str, tuple[str, str]]:
    """Tokens that the edge can judge alone, each with the reason that it gives."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    header, _, signature = token.split(".")
    other = edge.forged(token, sub="somebody-else").split(".")[1]
    return {
        "signed by somebody else": (edge.forged(token, key=key), "TOKEN_INVALID"),
        "not signed": (edge.forged(token, algorithm="none"), "TOKEN_INVALID"),
        "for another audience": (edge.forged(token, aud="elsewhere"), "TOKEN_INVALID"),
        "by another issuer": (edge.forged(token, iss="elsewhere"), "TOKEN_INVALID"),
        "of the services among themselves": (edge.forged(token, iss="labelmesh-auth", aud="labelmesh-internal"), "TOKEN_INVALID"),
        "past its end": (edge.forged(token, exp=now - 10), "SESSION_ENDED"),
        "with other claims under the old signature": (f"{header}.{other}.{signature}", "TOKEN_INVALID"),
        "no token at all": ("something", "TOKEN_INVALID"),
    }


def test_a_session_token_lets_its_holder_in_by_header_and_by_cookie(edge: EdgeMesh, token: str) -> None:
    list_projects(edge, *bearer(token))
    assert edge.http("GET", "/v1/projects", headers={"cookie": f"labelmesh_session={token}"}).status == 200


def test_tokens_that_the_edge_can_judge_never_reach_auth(edge: EdgeMesh, token: str) -> None:
    bad = bad_tokens(edge, token)
    before = edge.checks()
    for what, (bad_token, reason) in bad.items():
        assert refusal(edge, *bearer(bad_token)) == (grpc.StatusCode.UNAUTHENTICATED, reason), what
        for headers in ({"authorization": f"Bearer {bad_token}"}, {"cookie": f"labelmesh_session={bad_token}"}):
            reply = edge.http("GET", "/v1/projects", headers=headers)
            assert (reply.status, reply.json["code"], reply.reason) == (401, 16, reason), what
    assert refusal(edge) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    assert edge.http("GET", "/v1/projects").reason == "CREDENTIAL_MISSING"
    assert edge.checks() == before


def test_a_token_without_an_end_is_refused(edge: EdgeMesh, token: str) -> None:
    before = edge.checks()
    code, _ = refusal(edge, *bearer(edge.forged(token, exp=None)))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert edge.checks() == before


def test_a_bad_token_beside_a_good_one_is_refused(edge: EdgeMesh, token: str) -> None:
    bad = edge.forged(token, aud="elsewhere")
    headers = {"authorization": f"Bearer {token}", "cookie": f"labelmesh_session={bad}"}
    assert edge.http("GET", "/v1/projects", headers=headers).status == 401


def test_a_revoked_session_fails_on_its_very_next_call(edge: EdgeMesh, token: str) -> None:
    list_projects(edge, *bearer(token))
    with edge.channel() as channel:
        sessions_pb2_grpc.SessionServiceStub(channel).SignOut(sessions_pb2.SignOutRequest(), metadata=bearer(token), timeout=10)
    before = edge.checks()
    assert refusal(edge, *bearer(token)) == (grpc.StatusCode.UNAUTHENTICATED, "SESSION_REVOKED")
    assert edge.checks() == before + 1


def test_a_session_idle_for_121_seconds_has_ended_and_one_idle_for_119_has_not(edge: EdgeMesh) -> None:
    young = edge.sign_in()
    edge.age_sessions(115)
    list_projects(edge, *bearer(young))
    edge.age_sessions(6)
    assert refusal(edge, *bearer(young)) == (grpc.StatusCode.UNAUTHENTICATED, "SESSION_ENDED")


def test_a_json_caller_is_told_the_reason_and_loses_the_dead_cookie(edge: EdgeMesh) -> None:
    token = edge.sign_in()
    edge.age_sessions(121)
    reply = edge.http("GET", "/v1/projects", headers={"cookie": f"labelmesh_session={token}"})
    assert (reply.status, reply.json["code"], reply.reason) == (401, 16, "SESSION_ENDED")
    assert reply.headers["content-type"] == "application/json"
    assert "labelmesh_session=" in reply.headers["set-cookie"]
    assert "max-age=0" in reply.headers["set-cookie"].lower()


def test_an_identity_header_from_outside_has_no_effect(edge: EdgeMesh) -> None:
    annotator = edge.sign_in(ANNOTATOR)
    admin_identity = edge.forged(annotator, iss="labelmesh-auth", aud="labelmesh-internal", role="admin", exp=int(time.time()) + 60)
    forged = ("x-labelmesh-identity", admin_identity)
    assert refusal(edge, forged) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    with edge.channel() as channel:
        stub = sessions_pb2_grpc.SessionServiceStub(channel)
        mine = stub.GetSession(sessions_pb2.GetSessionRequest(), metadata=(*bearer(annotator), forged), timeout=10)
        assert mine.session.user.name == ANNOTATOR
        keys = api_keys_pb2_grpc.ApiKeyServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            keys.ListApiKeys(api_keys_pb2.ListApiKeysRequest(), metadata=(*bearer(annotator), forged), timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_an_api_key_may_do_what_its_scopes_say_and_nothing_else(edge: EdgeMesh, token: str) -> None:
    wanted = api_keys_pb2.CreateApiKeyRequest(
        request_id="7d3cf0de-4f0f-4a57-9d2c-0a4f3f6b7a01", display_name="reader", scopes=["labeling.read"]
    )
    with edge.channel() as channel:
        made = api_keys_pb2_grpc.ApiKeyServiceStub(channel).CreateApiKey(wanted, metadata=bearer(token), timeout=10)
        key = ("x-api-key", made.secret)
        list_projects(edge, key)
        assert edge.http("GET", "/v1/projects", headers=dict([key])).status == 200
        with pytest.raises(grpc.RpcError) as caught:
            projects_pb2_grpc.ProjectServiceStub(channel).CreateProject(projects_pb2.CreateProjectRequest(), metadata=(key,), timeout=10)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    reply = edge.http("POST", "/v1/projects", {}, {"x-api-key": made.secret})
    assert (reply.status, reply.json["code"], reply.reason) == (403, 7, "SCOPE_MISSING")
    assert refusal(edge, ("x-api-key", "lmk_nobody")) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID")
