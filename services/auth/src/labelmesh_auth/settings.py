"""What auth is told by its environment."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Self

from labelmesh_chassis.settings import PREFIX, PostgresUrl, ServiceSettings
from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from labelmesh_auth.sessions import SessionLimits
from labelmesh_auth.signing_keys import RotationTimes
from labelmesh_auth.sweep import Retention
from labelmesh_auth.throttle import ThrottleLimits

# Threads that hashing may never block: they go on answering the edge's checks.
_SPARE_THREADS = 4


def _is_encryption_key(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("must be 32 random bytes in base64, e.g. from: openssl rand -base64 32")
    return value


EncryptionKey = Annotated[SecretStr, AfterValidator(_is_encryption_key)]


class DatabaseSettings(BaseSettings):
    """What the subcommands need that only work on the database."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    database_url: PostgresUrl = Field(description="Auth's own database, postgresql+psycopg2://role:password@host:port/name.")
    migrate_at_start: bool = Field(
        default=True, description="Whether the database is brought to the newest schema; else somebody else who does so is waited for."
    )
    local_demo: bool = Field(default=False, description="Allows demo accounts with weak passwords. For one machine on loopback only.")


class AuthSettings(ServiceSettings):
    """What auth is told beside what every service is told."""

    key_encryption_key: EncryptionKey = Field(description="32 random bytes in base64; private signing keys are stored encrypted with it.")
    session_idle_seconds: int = Field(default=120, ge=10, le=86_400, description="A session ends after this long without activity.")
    session_absolute_seconds: int = Field(
        default=43_200, ge=60, le=2_592_000, description="A session ends this long after its sign-in at the latest."
    )
    cookie_secure: bool = Field(
        default=True, description="Whether the session cookie is for HTTPS only. False only where the page is not served by TLS."
    )
    password_hash_workers: int = Field(default=2, ge=1, le=64, description="Passwords hashed at once; each takes a core and 19 MiB.")
    password_hash_queue: int = Field(default=16, ge=0, le=400, description="Passwords that may wait for hashing; more are refused at once.")
    sign_in_account_failures: int = Field(
        default=5, ge=1, le=1000, description="Failed sign-ins of an account within the window before delays begin."
    )
    sign_in_address_failures: int = Field(
        default=30, ge=1, le=100_000, description="Failed sign-ins from an address (IPv6: a /64) within the window before it is refused."
    )
    sign_in_window_seconds: int = Field(default=900, ge=1, le=86_400, description="The sliding window of both, and the longest delay.")
    sign_in_first_delay_seconds: int = Field(
        default=30, ge=1, le=86_400, description="The account's first delay; every further failure doubles it."
    )
    key_overlap_seconds: int = Field(
        default=300,
        ge=30,
        le=86_400,
        description="A new signing key is published this long before it signs; more than any verifier keeps its copy of the JWKS.",
    )
    key_refresh_seconds: float = Field(default=10, gt=0, le=10, description="How often signing keys made by other replicas are looked for.")
    sweep_seconds: float = Field(default=300, ge=1, le=86_400, description="How often what is past its retention is deleted.")
    session_retention_seconds: int = Field(default=86_400, ge=0, description="Ended sessions are kept this long after their absolute end.")
    audit_retention_days: int = Field(default=400, ge=1, le=36_500, description="Audit events are kept this long.")

    @model_validator(mode="after")
    def _hashing_leaves_threads(self) -> Self:
        if self.password_hash_workers + self.password_hash_queue > self.worker_threads - _SPARE_THREADS:
            raise ValueError(
                f"LABELMESH_PASSWORD_HASH_WORKERS + LABELMESH_PASSWORD_HASH_QUEUE must leave {_SPARE_THREADS} of "
                f"LABELMESH_WORKER_THREADS ({self.worker_threads}) free"
            )
        if self.session_idle_seconds > self.session_absolute_seconds:
            raise ValueError("LABELMESH_SESSION_IDLE_SECONDS must not be more than LABELMESH_SESSION_ABSOLUTE_SECONDS")
        return self

    @property
    def encryption_key(self) -> bytes:
        """The 32 bytes."""
        return base64.b64decode(self.key_encryption_key.get_secret_value())

    @property
    def session_limits(self) -> SessionLimits:
        return SessionLimits(timedelta(seconds=self.session_idle_seconds), timedelta(seconds=self.session_absolute_seconds))

    @property
    def throttle_limits(self) -> ThrottleLimits:
        return ThrottleLimits(
            self.sign_in_account_failures,
            self.sign_in_address_failures,
            timedelta(seconds=self.sign_in_window_seconds),
            timedelta(seconds=self.sign_in_first_delay_seconds),
        )

    @property
    def rotation_times(self) -> RotationTimes:
        return RotationTimes(timedelta(seconds=self.key_overlap_seconds), timedelta(seconds=self.session_absolute_seconds))

    @property
    def retention(self) -> Retention:
        return Retention(
            timedelta(seconds=self.session_retention_seconds),
            timedelta(seconds=self.sign_in_window_seconds),
            timedelta(days=self.audit_retention_days),
        )
