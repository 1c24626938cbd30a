"""The web page: what is served, how long it may be kept, and what it may do."""

from __future__ import annotations

import gzip

import pytest

from tests.e2e.edge.mesh import EdgeMesh

ASSET = "/assets/index-Ab12Cd34.js"


@pytest.mark.parametrize("path", ["/", "/index.html", "/projects", "/projects/0b6a/label", "/projects/?sort=name", "/../../etc/passwd"])
def test_page_paths_give_the_page_and_are_asked_for_again(edge: EdgeMesh, path: str) -> None:
    reply = edge.http("GET", path)
    assert (reply.status, reply.headers["content-type"], reply.headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-cache")
    assert b"<title>page</title>" in reply.body


@pytest.mark.parametrize(
    "path", ["/assets/gone-Ab12Cd34.js", "/gone.png", "/v1", "/v1/x/y", "/objects", "/objects/bucket", "/labelmesh.x.Y/Z"]
)
def test_what_is_no_page_is_not_answered_with_one(edge: EdgeMesh, path: str) -> None:
    assert edge.http("GET", path).status == 404


def test_hashed_assets_are_kept_for_good_and_others_are_not(edge: EdgeMesh) -> None:
    assert edge.http("GET", ASSET).headers["cache-control"] == "public, max-age=31536000, immutable"
    icon = edge.http("GET", "/favicon.svg")
    assert (icon.headers["cache-control"], icon.headers["content-type"]) == ("no-cache", "image/svg+xml")


def test_a_known_file_is_not_sent_again(edge: EdgeMesh) -> None:
    etag = edge.http("GET", "/").headers["etag"]
    again = edge.http("GET", "/", headers={"if-none-match": etag})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert "location" not in again.headers
    assert edge.http("GET", "/", headers={"if-none-match": 'W/"other"'}).status == 200


def test_files_are_compressed_for_those_who_can_read_it(edge: EdgeMesh) -> None:
    plain = edge.http("GET", ASSET)
    assert "content-encoding" not in plain.headers
    packed = edge.http("GET", ASSET, headers={"accept-encoding": "gzip"})
    assert (packed.headers["content-encoding"], packed.headers["vary"].lower()) == ("gzip", "accept-encoding")
    assert gzip.decompress(packed.body) == plain.body
    brotli = edge.http("GET", ASSET, headers={"accept-encoding": "gzip, deflate, br"})
    assert brotli.headers["content-encoding"] == "br"
    assert len(brotli.body) < len(plain.body) / 10


def test_head_tells_the_same_without_a_body(edge: EdgeMesh) -> None:
    head, get = edge.http("HEAD", ASSET), edge.http("GET", ASSET)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", get.headers["content-length"])


def test_the_page_may_run_only_its_own_code_and_be_in_no_frame(edge: EdgeMesh) -> None:
    for path in ("/", ASSET, "/docs/api/"):
        headers = edge.http("GET", path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["img-src"] == "'self' blob: data:"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_cannot_be_written(edge: EdgeMesh, verb: str) -> None:
    assert edge.http(verb, "/", b"x").status == 404
