"""Pictures by presigned URLs, straight from object storage through the edge."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta

import pytest
from labelmesh.labeling.v1 import images_pb2
from minio import Minio

from tests.e2e.edge.mesh import EdgeMesh, own_path


@pytest.fixture
def image(edge: EdgeMesh, token: str) -> images_pb2.Image:
    return edge.project_with_image(token)[1]


@pytest.fixture
def bucket(edge: EdgeMesh) -> tuple[Minio, str]:
    client = Minio(edge.s3.endpoint, edge.s3.access_key, edge.s3.secret_key, secure=False)
    name = f"objects-{uuid.uuid4().hex[:8]}"
    client.make_bucket(name)
    return client, name


def test_an_images_url_gives_its_file_without_a_session(edge: EdgeMesh, image: images_pb2.Image) -> None:
    reply = edge.http("GET", own_path(image.url))
    assert reply.status == 200
    assert hashlib.sha256(reply.body).hexdigest() == image.sha256
    assert reply.headers["content-type"] == "image/png"


def test_an_object_cannot_act_as_a_page_of_ours(edge: EdgeMesh, image: images_pb2.Image) -> None:
    headers = edge.http("GET", own_path(image.url)).headers
    assert "sandbox" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, max-age=600"


def test_a_changed_url_is_refused_and_the_refusal_is_not_kept(edge: EdgeMesh, image: images_pb2.Image) -> None:
    for url in (own_path(image.url).replace("X-Amz-Signature=", "X-Amz-Signature=0"), own_path(image.url).partition("?")[0]):
        reply = edge.http("GET", url)
        assert reply.status in (400, 403), url
        assert reply.headers["cache-control"] == "no-store"


def test_the_callers_credentials_go_no_further_than_the_edge(edge: EdgeMesh, image: images_pb2.Image, token: str) -> None:
    # S3 refuses a request that is signed twice, so it would answer 400 had it seen this header.
    headers = {"authorization": f"Bearer {token}", "cookie": f"labelmesh_session={token}"}
    assert edge.http("GET", own_path(image.url), headers=headers).status == 200


def test_a_presigned_put_stores_the_file(edge: EdgeMesh, bucket: tuple[Minio, str]) -> None:
    client, name = bucket
    content = bytes(range(256)) * 4096
    url = client.presigned_put_object(name, "uploads/a.bin", expires=timedelta(minutes=5))
    path = "/objects" + own_path(url)
    assert edge.http("PUT", path, content).status == 200
    with client.get_object(name, "uploads/a.bin") as stored:
        assert stored.read() == content


@pytest.mark.parametrize("verb", ["POST", "DELETE", "PATCH"])
def test_other_verbs_do_not_reach_object_storage(edge: EdgeMesh, bucket: tuple[Minio, str], verb: str) -> None:
    client, name = bucket
    url = client.get_presigned_url(verb, name, "a.bin", expires=timedelta(minutes=5))
    assert edge.http(verb, "/objects" + own_path(url), b"").status == 404


def test_a_bucket_itself_cannot_be_named(edge: EdgeMesh, bucket: tuple[Minio, str]) -> None:
    for path in (f"/objects/{bucket[1]}", f"/objects/{bucket[1]}/", f"/objects/{bucket[1]}/?list-type=2", "/objects/"):
        assert edge.http("GET", path).status == 404, path
