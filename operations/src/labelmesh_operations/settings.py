"""Settings come from the environment and from files in LABELMESH_SECRETS_DIR; a wrong one ends the command with every problem at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("auth", "labeling", "inference", "augment")
"""Each has a database of its own."""
SECRETS_DIR = "LABELMESH_SECRETS_DIR"
"""Names a folder with a file for each setting that is not to be in the environment: `labelmesh_operations_auth_database_url` holds the
address of auth's database. The environment goes first."""


def _is_address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port, e.g. 127.0.0.1:8333")
    return value


def _is_postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql+psycopg2://", "postgresql://")):
        raise ValueError("must start with postgresql+psycopg2:// or postgresql://")
    return value


Address = Annotated[str, AfterValidator(_is_address)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_is_postgres)]


class DatabasesSettings(BaseSettings):
    """The services' databases, each reached as its service reaches it."""

    model_config = SettingsConfigDict(env_prefix="LABELMESH_OPERATIONS_", extra="ignore")

    auth_database_url: PostgresUrl = Field(description="Auth's database, postgresql+psycopg2://role:password@host:port/name.")
    labeling_database_url: PostgresUrl = Field(description="Labeling's database.")
    inference_database_url: PostgresUrl = Field(description="Inference's database.")
    augment_database_url: PostgresUrl = Field(description="Augment's database.")
    postgres_bin: Path | None = Field(
        default=None, description="The folder with pg_dump and pg_restore; else the newest of the PATH's, the system's and the wheel's."
    )

    def url(self, service: str) -> str:
        """The address of a service's database, for libpq."""
        secret: SecretStr = getattr(self, f"{service}_database_url")
        return secret.get_secret_value().replace("postgresql+psycopg2://", "postgresql://", 1)


class StoreSettings(BaseSettings):
    """The mesh's object storage, named as the services name it."""

    model_config = SettingsConfigDict(env_prefix="LABELMESH_", extra="ignore")

    s3_endpoint: Address = Field(description="The S3 server, host:port.")
    s3_secure: bool = Field(default=False, description="Whether it speaks TLS.")
    s3_access_key: str = Field(min_length=1, description="Its access key.")
    s3_secret_key: SecretStr = Field(description="Its secret key.")
    s3_bucket: str = Field(default="labelmesh", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The mesh's bucket.")
    s3_region: str = Field(default="us-east-1", description="The region that requests are signed for.")


class TargetSettings(BaseSettings):
    """The S3 server that backups go to when the target is s3://BUCKET/PREFIX. It should not be the mesh's own."""

    model_config = SettingsConfigDict(env_prefix="LABELMESH_OPERATIONS_TARGET_", extra="ignore")

    s3_endpoint: Address = Field(description="The S3 server of the backups, host:port.")
    s3_secure: bool = Field(default=True, description="Whether it speaks TLS.")
    s3_access_key: str = Field(min_length=1, description="Its access key.")
    s3_secret_key: SecretStr = Field(description="Its secret key.")
    s3_region: str = Field(default="us-east-1", description="The region that requests are signed for.")


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def load_settings(kind: type[AnySettings]) -> AnySettings:
    """Reads settings; on any problem it prints all of them with the variables' names and exits with status 2."""
    prefix = str(kind.model_config.get("env_prefix"))
    try:
        return kind(_secrets_dir=os.environ.get(SECRETS_DIR) or None)
    except ValidationError as problems:
        lines = [f"  {prefix}{str(problem['loc'][0]).upper()}: {problem['msg']}" for problem in problems.errors() if problem["loc"]]
        sys.stderr.write("The settings are not right:\n" + "\n".join(lines) + "\n")
        raise SystemExit(2) from None
