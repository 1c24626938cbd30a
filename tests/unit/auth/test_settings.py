"""Settings that cannot work are refused at the start."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from labelmesh_auth.settings import AuthSettings
from pydantic import ValidationError

GOOD: dict[str, Any] = {
    "database_url": "postgresql+psycopg2://auth:secret@127.0.0.1:5432/auth",
    "key_encryption_key": base64.b64encode(bytes(32)).decode(),
}


def test_the_defaults_are_the_documented_ones() -> None:
    settings = AuthSettings(**GOOD)
    assert settings.session_limits.idle == timedelta(seconds=120)
    assert settings.session_limits.absolute == timedelta(hours=12)
    assert settings.rotation_times.overlap == timedelta(minutes=5)
    assert (settings.throttle_limits.account_failures, settings.throttle_limits.address_failures) == (5, 30)
    assert len(settings.encryption_key) == 32 and settings.cookie_secure


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key_encryption_key": base64.b64encode(bytes(16)).decode()}, "32 random bytes"),
        ({"key_encryption_key": "not base64!"}, "32 random bytes"),
        ({"database_url": "postgresql://x"}, "postgresql\\+psycopg2://"),
        ({"worker_threads": 16, "password_hash_queue": 16}, "must leave 4"),
        ({"session_idle_seconds": 600, "session_absolute_seconds": 300}, "must not be more than"),
        ({"key_overlap_seconds": 5}, "greater than or equal to 30"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AuthSettings(**{**GOOD, **changes})


def test_secrets_are_not_shown() -> None:
    shown = repr(AuthSettings(**GOOD))
    assert GOOD["key_encryption_key"] not in shown and "secret@" not in shown
