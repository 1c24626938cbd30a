"""Pages of other origins: those that are named may call, all others get nothing, and no preflight reaches a service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.edge.mesh import Door, EdgeMesh

LIST = "/labelmesh.labeling.v1.ProjectService/ListProjects"
FRIEND = "https://annotate.example.org"
PATHS = (LIST, "/v1/projects", "/v1/sessions", "/objects/bucket/key")


@pytest.fixture(scope="module")
def door(edge: EdgeMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """An edge that knows one friendly origin."""
    with edge.second_door(tmp_path_factory.mktemp("origins"), public_origins=(FRIEND,)) as door:
        yield door


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_of_a_foreign_origin_is_answered_without_leave(edge: EdgeMesh, door: Door, path: str) -> None:
    before = edge.checks()
    for each in (edge, door):
        reply = each.http("OPTIONS", path, headers={"origin": "https://evil.example", "access-control-request-method": "POST"})
        assert reply.status == 200
        assert "access-control-allow-origin" not in reply.headers
    assert edge.checks() == before


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_of_a_named_origin_is_allowed(door: Door, path: str) -> None:
    headers = {"origin": FRIEND, "access-control-request-method": "POST", "access-control-request-headers": "x-grpc-web"}
    reply = door.http("OPTIONS", path, headers=headers)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, FRIEND)
    assert "x-grpc-web" in reply.headers["access-control-allow-headers"]


def test_answers_and_refusals_can_be_read_by_a_named_origin_alone(door: Door) -> None:
    for origin, allowed in ((FRIEND, FRIEND), ("https://evil.example", None), ("null", None), (f"{FRIEND}.evil.example", None)):
        reply = door.http("GET", "/v1/projects", headers={"origin": origin})
        assert reply.status == 401
        assert reply.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1"])
def test_a_foreign_page_cannot_use_the_cookie_of_a_person(edge: EdgeMesh, token: str, origin: str) -> None:
    before = edge.checks()
    # text/plain: what a page may send to another origin without a preflight.
    headers = {"origin": origin, "cookie": f"labelmesh_session={token}", "content-type": "text/plain"}
    refused = edge.http("POST", "/v1/sessions:signOutEverywhere", b"{}", headers)
    assert (refused.status, refused.json["code"], refused.reason) == (403, 7, "FOREIGN_ORIGIN")
    web = {**headers, "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    refused = edge.http("POST", "/labelmesh.auth.v1.SessionService/SignOutEverywhere", b"\0\0\0\0\0", web)
    assert refused.headers["grpc-status"] == "7"
    assert edge.checks() == before
    assert edge.http("GET", "/v1/sessions/current", headers={"cookie": f"labelmesh_session={token}"}).status == 200


def test_our_own_page_and_named_origins_may_change_things(edge: EdgeMesh, door: Door, token: str) -> None:
    path, cookie = "/v1/sessions:reportActivity", {"cookie": f"labelmesh_session={token}"}
    assert edge.http("POST", path, {}, {**cookie, "origin": f"http://127.0.0.1:{edge.port}"}).status == 200
    assert door.http("POST", path, {}, {**cookie, "origin": FRIEND}).status == 200
    assert edge.http("POST", path, {}, {**cookie, "origin": FRIEND}).status == 403
    assert edge.http("POST", path, {}, cookie).status == 200, "programs send no origin"
