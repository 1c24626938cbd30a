"""The S3 server from the wheel: started, stopped, and started again."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from labelmesh_local.objects import S3Server
from labelmesh_local.ports import answers
from minio import Minio
from minio.error import InvalidResponseError, S3Error


def _client(server: S3Server, secret_key: str | None = None) -> Minio:
    return Minio(server.endpoint, server.access_key, secret_key or server.secret_key, secure=False)


def test_objects_survive_a_stop_and_a_crash(tmp_path: Path) -> None:
    server = S3Server(tmp_path / "objects")
    server.start()
    _client(server).make_bucket("images")
    _client(server).put_object("images", "ab/one.png", io.BytesIO(b"one"), 3)
    assert server.stop()
    assert not answers(server.port)
    server.start()
    _client(server).put_object("images", "ab/two.png", io.BytesIO(b"two"), 3)
    server.kill()
    server.start()
    assert [_client(server).get_object("images", f"ab/{name}.png").data for name in ("one", "two")] == [b"one", b"two"]
    server.stop()


def test_a_wrong_key_is_refused(s3_server: S3Server) -> None:
    with pytest.raises((S3Error, InvalidResponseError)):
        list(_client(s3_server, "wrong").list_buckets())
