"""Secrets are made once."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from labelmesh_operations.errors import DiskFull, OperationError, spoken
from labelmesh_operations.secretfiles import SecretWishes, make_secrets


def _files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_second_call_changes_nothing_and_what_is_lost_is_made_again(tmp_path: Path) -> None:
    made = make_secrets(tmp_path, SecretWishes())
    first = _files(tmp_path)
    assert sorted(made) == sorted(first)
    assert make_secrets(tmp_path, SecretWishes()) == []
    (tmp_path / "labeling" / "labelmesh_database_url").unlink()
    assert make_secrets(tmp_path, SecretWishes()) == ["labeling/labelmesh_database_url"]
    assert _files(tmp_path) == first


def test_files_are_the_owners_alone_and_say_what_services_read(tmp_path: Path) -> None:
    make_secrets(tmp_path, SecretWishes(postgres="db.example:5433"))
    found = {name: text.strip() for name, text in _files(tmp_path).items()}
    assert len({found[f"postgres/{service}_password"] for service in ("auth", "labeling", "inference", "augment")}) == 4
    for service in ("auth", "labeling", "inference", "augment"):
        url = found[f"{service}/labelmesh_database_url"]
        assert url == f"postgresql+psycopg2://{service}:{found[f'postgres/{service}_password']}@db.example:5433/{service}"
        assert found[f"operations/labelmesh_operations_{service}_database_url"] == url
    assert len(base64.b64decode(found["auth/labelmesh_key_encryption_key"])) == 32
    keys = json.loads(found["objects/s3.json"])["identities"][0]["credentials"][0]
    assert keys == {"accessKey": found["augment/labelmesh_s3_access_key"], "secretKey": found["operations/labelmesh_s3_secret_key"]}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o400}


def test_an_empty_secret_is_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "auth_password").touch()
    with pytest.raises(OperationError, match="is empty"):
        make_secrets(tmp_path, SecretWishes())


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="Make room"), spoken(tmp_path), open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
