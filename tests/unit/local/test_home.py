"""The folder of the local mesh, and the secrets in it."""

from __future__ import annotations

import errno
import json
from base64 import b64decode
from dataclasses import asdict
from pathlib import Path

import pytest
from labelmesh_local.errors import DiskFull, HomeNotWritable, LocalError
from labelmesh_local.home import Home, Secrets, readable_trouble, write_private


def test_data_and_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    Secrets.load_or_make(home.secrets)
    assert home.data.stat().st_mode & 0o777 == 0o700
    assert home.secrets.stat().st_mode & 0o777 == 0o600


def test_secrets_stay_the_same_and_two_homes_share_none(tmp_path: Path) -> None:
    first = Secrets.load_or_make(tmp_path / "a.json")
    assert Secrets.load_or_make(tmp_path / "a.json") == first
    other = Secrets.load_or_make(tmp_path / "b.json")
    assert not {first.auth_database, first.s3_secret_key, first.key_encryption_key} & {
        other.auth_database,
        other.s3_secret_key,
        other.key_encryption_key,
    }
    assert len(b64decode(first.key_encryption_key)) == 32


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"auth_database": "x"}', "null"])
def test_damaged_secrets_are_never_replaced_silently(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(content)
    with pytest.raises(LocalError, match="is damaged"):
        Secrets.load_or_make(path)
    assert path.read_text() == content


@pytest.mark.parametrize("newer", [{"inference_database", "augment_database"}, {"augment_database"}])
def test_data_of_an_older_version_gets_the_secrets_of_newer_parts_and_keeps_its_own(tmp_path: Path, newer: set[str]) -> None:
    path = tmp_path / "secrets.json"
    older = {name: secret for name, secret in asdict(Secrets.made()).items() if name not in newer}
    path.write_text(json.dumps(older))
    upgraded = Secrets.load_or_make(path)
    assert {name: secret for name, secret in asdict(upgraded).items() if name not in newer} == older
    assert all(len(asdict(upgraded)[name]) >= 24 for name in newer)
    assert Secrets.load_or_make(path) == upgraded
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_where_the_home_should_be_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="The disk is full"), readable_trouble(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(HomeNotWritable, match="cannot be written to"), readable_trouble(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system")


def test_a_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
