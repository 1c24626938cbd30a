from __future__ import annotations

import argparse
import stat
from pathlib import Path

import pytest
from labelmesh_client import ConfigurationError, parse_address
from labelmesh_client.command.access import SessionFile, StoredSession, credentials_of
from labelmesh_client.credentials import ApiKey, Credentials, Password, SessionToken, choose_credentials

HERE = parse_address("http://localhost:8080")


def credentials(environment: dict[str, str], key_file: Path | None = None) -> Credentials:
    return credentials_of(argparse.Namespace(api_key_file=key_file), environment, HERE)


def test_without_credentials_a_sentence_names_every_way_to_give_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as missing:
        credentials({"HOME": str(tmp_path)})
    for way in ("labelmesh sign-in", "LABELMESH_API_KEY", "LABELMESH_USER", "LABELMESH_PASSWORD", "http://localhost:8080"):
        assert way in str(missing.value)


def test_a_key_file_comes_before_the_environment_and_the_key_before_the_password(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("lmk_file\n")
    everything = {"LABELMESH_API_KEY": "lmk_env", "LABELMESH_USER": "ada", "LABELMESH_PASSWORD": "secret", "HOME": str(tmp_path)}
    assert credentials(everything, key_file) == ApiKey("lmk_file")
    assert credentials(everything) == ApiKey("lmk_env")
    del everything["LABELMESH_API_KEY"]
    assert credentials(everything) == Password("ada", "secret")


def test_half_a_pair_of_user_and_password_is_refused_rather_than_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LABELMESH_PASSWORD is not set"):
        credentials({"LABELMESH_USER": "ada", "HOME": str(tmp_path)})


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        credentials({}, tmp_path / "nothing")


def test_a_remembered_session_is_for_its_gateway_only_and_for_its_owner_only(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    sessions = SessionFile.of(environment)
    sessions.put(HERE, StoredSession("ada", "a.b.c"))
    sessions.put(parse_address("https://other.example.org"), StoredSession("ada", "d.e.f"))
    assert credentials(environment) == SessionToken("a.b.c")
    assert stat.S_IMODE(sessions.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(sessions.path.parent.stat().st_mode) == 0o700
    sessions.remove(HERE)
    assert sessions.get(HERE) is None
    assert sessions.get(parse_address("https://other.example.org")) == StoredSession("ada", "d.e.f")


def test_a_damaged_session_file_is_named_instead_of_a_traceback(tmp_path: Path) -> None:
    sessions = SessionFile(tmp_path / "sessions.json")
    sessions.path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"sessions\.json"):
        sessions.get(HERE)


def test_two_kinds_of_credentials_at_once_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="api_key, token"):
        choose_credentials(api_key="lmk_a", token="t", user=None, password=None)


@pytest.mark.parametrize("secret", ["", "  ", "lmk_a b", "lmk_ä", "lmk_\x00"])
def test_what_no_header_can_carry_is_refused_before_anything_is_sent(secret: str) -> None:
    with pytest.raises(ConfigurationError):
        choose_credentials(api_key=secret, token=None, user=None, password=None)


def test_secrets_do_not_show_in_what_a_program_prints() -> None:
    shown = repr([ApiKey("lmk_secret"), SessionToken("secret"), Password("ada", "secret")])
    assert "secret" not in shown
