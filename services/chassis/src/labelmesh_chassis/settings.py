"""Settings come from the environment, all of them named LABELMESH_*; a wrong one stops the start with every problem listed at once."""

from __future__ import annotations

import os
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "LABELMESH_"
SECRETS_DIR = "LABELMESH_SECRETS_DIR"
"""Names a folder with a file for each setting that is not to be in the environment: `labelmesh_database_url` holds the database's URL.
The environment goes first."""


def _is_address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port, e.g. 127.0.0.1:50051")
    return value


def _is_postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("postgresql+psycopg2://"):
        raise ValueError("must start with postgresql+psycopg2://")
    return value


def _parts(value: object) -> object:
    """What a variable lists, separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(_is_address)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_is_postgres)]


class ServiceSettings(BaseSettings):
    """What every service is told."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    listen: Address = Field(default="127.0.0.1:50051", description="Where gRPC is served, host:port; port 0 takes a free one.")
    ops_listen: Address = Field(default="127.0.0.1:0", description="Where /metrics and /healthz are served over HTTP, host:port.")
    database_url: PostgresUrl = Field(description="The service's own database, postgresql+psycopg2://role:password@host:port/name.")
    database_pool_size: int = Field(default=16, ge=1, le=200, description="Connections to the database per process.")
    worker_threads: int = Field(default=32, ge=2, le=500, description="Calls served at once per process.")
    default_deadline_s: float = Field(default=10, gt=0, le=600, description="Seconds a call may take when its caller set no deadline.")
    drain_lead_s: float = Field(
        default=1,
        ge=0,
        le=60,
        description="Seconds at a stop for which health says NOT_SERVING and calls are still served; more than probes take to see it.",
    )
    drain_s: float = Field(
        default=10,
        ge=0,
        le=600,
        description="Seconds after that in which calls being served may end; what is closed behind them takes up to 15 more.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least severe log that is written.")

    migrate_at_start: bool = Field(
        default=True,
        description="Whether the database is brought to the newest schema at the start; else the start waits until somebody has done so.",
    )
    health_listen: Address | None = Field(
        default=None, description="Where gRPC health is served besides, alone and in plaintext, host:port: for probes that speak no TLS."
    )
    tls_certificate: Path | None = Field(default=None, description="The service's certificate chain, PEM; turns mutual TLS on.")
    tls_private_key: Path | None = Field(default=None, description="Its private key, PEM.")
    tls_ca: Path | None = Field(
        default=None, description="The authority whose certificates are trusted, of callers and of who is called, PEM."
    )
    tls_callers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description='Names (DNS or URI of the certificate) that may call, separated by commas: "gateway,inference"; empty: all certified.',
    )
    otlp_endpoint: Address | None = Field(
        default=None, description="The OpenTelemetry collector that traces go to, by OTLP over gRPC, host:port; without it none are made."
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="The part of the calls that is traced where the caller has not decided it already."
    )

    @field_validator("tls_callers", mode="before")
    @classmethod
    def _split_callers(cls, value: object) -> object:
        return _parts(value)

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        given = [path is not None for path in (self.tls_certificate, self.tls_private_key, self.tls_ca)]
        if any(given) and not all(given):
            raise ValueError("LABELMESH_TLS_CERTIFICATE, LABELMESH_TLS_PRIVATE_KEY and LABELMESH_TLS_CA need one another")
        if self.tls_callers and not all(given):
            raise ValueError("LABELMESH_TLS_CALLERS needs LABELMESH_TLS_CERTIFICATE")
        return self


class ObjectStoreSettings(BaseSettings):
    """Where objects are kept: any S3 server."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    s3_endpoint: Address = Field(description="The S3 server, host:port.")
    s3_secure: bool = Field(default=False, description="Whether it speaks TLS.")
    s3_access_key: str = Field(min_length=1, description="Its access key.")
    s3_secret_key: SecretStr = Field(description="Its secret key.")
    s3_bucket: str = Field(
        default="labelmesh", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket; made when it is not there."
    )
    s3_region: str = Field(default="us-east-1", description="The region that requests are signed for.")
    objects_url: str = Field(default="/objects", description="Where browsers reach the S3 server through the gateway.")


class FetchSettings(BaseSettings):
    """Where files may be fetched from when a caller names an address: the public internet, and what is added here."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    fetch_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(), max_length=100, description='Networks that are fetched from although they are not public: "10.1.0.0/16,fd00:1::/64".'
    )
    fetch_ports: Annotated[frozenset[Annotated[int, Field(ge=1, le=65535)]], NoDecode] = Field(
        default=frozenset({80, 443}), min_length=1, max_length=100, description="Ports that are fetched from, separated by commas."
    )

    @field_validator("fetch_networks", "fetch_ports", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _parts(value)


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def load_settings(kind: type[AnySettings]) -> AnySettings:
    """Reads settings from the environment and from files in LABELMESH_SECRETS_DIR.

    On any problem it prints all of them with the variables' names and exits with status 2.
    """
    try:
        return kind(_secrets_dir=os.environ.get(SECRETS_DIR) or None)
    except ValidationError as problems:
        lines = [f"  {variable_name(str(problem['loc'][0]))}: {problem['msg']}" for problem in problems.errors() if problem["loc"]]
        lines += [f"  {problem['msg']}" for problem in problems.errors() if not problem["loc"]]
        sys.stderr.write("The settings are not right:\n" + "\n".join(lines) + "\n")
        raise SystemExit(2) from None


def variable_name(field: str) -> str:
    """The environment variable of a setting."""
    name = field.upper()
    return name if name.startswith(PREFIX) else PREFIX + name
