"""What differs between environments at the edge; everything else is the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SESSION_COOKIE = "labelmesh_session"

_ENDPOINT = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})$")

Endpoint = Annotated[str, Field(pattern=_ENDPOINT.pattern)]
"""A host name or address and a port: "127.0.0.1:9001", "auth.labelmesh.svc:9000", "[::1]:9001"."""

Endpoints = Annotated[tuple[Endpoint, ...], NoDecode, Field(min_length=1)]
"""One or more endpoints of one service; in the environment separated by commas."""


def host_and_port(endpoint: str) -> tuple[str, int]:
    """Takes an endpoint apart; brackets around an IPv6 address are removed."""
    match = _ENDPOINT.match(endpoint)
    if match is None:
        raise ValueError(f"{endpoint!r} is not host:port")
    return match["host"].strip("[]"), int(match["port"])


class GatewaySettings(BaseSettings):
    """Settings of the edge, from LABELMESH_GATEWAY_* in the environment. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="LABELMESH_GATEWAY_", frozen=True, extra="forbid")

    listen: Endpoint = Field(default="127.0.0.1:8080", description="Where callers are served, host:port.")
    admin_port: int = Field(default=9901, ge=1, le=65535, description="The port of Envoy's admin page, always on loopback.")

    auth: Endpoints = Field(default=("127.0.0.1:9001",), description="gRPC of auth: its services and the session check.")
    auth_ops: Endpoints = Field(default=("127.0.0.1:9101",), description="HTTP of auth, where the keys of session tokens are published.")
    jwks_path: str = Field(default="/.well-known/jwks.json", pattern="^/", description="The path of those keys there.")
    labeling: Endpoints = Field(default=("127.0.0.1:9002",), description="gRPC of labeling.")
    inference: Endpoints = Field(default=("127.0.0.1:9004",), description="gRPC of inference.")
    augment: Endpoints = Field(default=("127.0.0.1:9005",), description="gRPC of augment.")
    objects: Endpoint = Field(
        default="127.0.0.1:9003", description="The S3 server; presigned URLs must have been made for exactly this host and port."
    )
    objects_tls: bool = Field(default=False, description="Whether it speaks TLS.")

    web_root: Path = Field(
        default=Path("web/dist"),
        description="The built web page: index.html, assets/. Read when the configuration is made; "
        "without it there is no page, the rest works.",
    )
    descriptors: Path = Field(
        default=Path("descriptors.binpb"),
        description="Where Envoy finds the contract's FileDescriptorSet; `render` puts it beside the configuration and sets this itself.",
    )

    public_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description='Origins of other pages that may call from a browser, separated by commas: "https://annotate.example.org"; '
        "the gateway's own needs no entry.",
    )

    tls_certificate: Path | None = Field(
        default=None,
        description="The listener's own certificate chain, PEM; "
        "without it the listener speaks plaintext (behind an ingress, or on loopback). Read again when it changes.",
    )
    tls_private_key: Path | None = Field(default=None, description="Its private key, PEM.")
    upstream_ca: Path | None = Field(
        default=None,
        description="Turns TLS 1.3 to the services and the collector on, and trusts what this authority signed, PEM: "
        "each service by its name (`auth`), the collector by the host it is told by. "
        "Read again when it changes.",
    )
    upstream_certificate: Path | None = Field(
        default=None, description="The gateway's own identity towards the services (mutual TLS), PEM. Read again when it changes."
    )
    upstream_private_key: Path | None = Field(default=None, description="Its private key, PEM.")

    ops_listen: Endpoint | None = Field(
        default=None, description="Where /ready and /metrics are served to those who operate the gateway, and nothing else, host:port."
    )
    otlp: Endpoint | None = Field(
        default=None,
        description="The OpenTelemetry collector that the gateway's spans go to, by OTLP over gRPC, host:port; "
        "without it no traces are made.",
    )
    otlp_http: Endpoint | None = Field(
        default=None,
        description="The collector's OTLP over HTTP, where signed-in browsers' spans are passed on to, host:port; "
        "without it the page makes none.",
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="The part of the calls that is traced where the caller has not decided it already."
    )

    max_connections: int = Field(default=2000, ge=1, description="Connections of callers at once.")
    max_streams_per_connection: int = Field(default=256, ge=1, le=2**31 - 1, description="Calls at once on one HTTP/2 connection.")
    max_header_kib: int = Field(default=32, ge=8, le=96, description="The most KiB that the headers of a call may have.")
    max_body_bytes: int = Field(default=32 * 2**20, ge=2**16, le=2**30, description="The most bytes that a call's body may have.")
    max_object_bytes: int = Field(
        default=2**31, ge=2**16, le=2**32 - 1, description="The most bytes that a file or a stream of messages may have."
    )
    max_heap_bytes: int = Field(
        default=1 * 2**30, ge=64 * 2**20, description="Memory of Envoy, in bytes; when it nears it, calls and then connections are refused."
    )
    max_deadline_s: int = Field(default=600, ge=10, description="The longest deadline that a caller may ask for, in seconds.")
    connect_bridge: bool = Field(
        default=True,
        description="Whether clients of the Connect protocol may call. Envoy does not count this filter among those that it keeps secure "
        "against hostile callers; where nobody speaks Connect, turn it off. gRPC-Web, which the page speaks, does not need it.",
    )
    drain_s: int = Field(
        default=10, ge=1, description="Seconds that a connection which is to end still takes new calls, until its client has heard of it."
    )

    sign_in_per_minute: int = Field(default=30, ge=1, description="Sign-ins of one address; as many at once after a minute without any.")
    calls_per_second: int = Field(default=1000, ge=1, description="Requests of one address; four times as many at once.")
    trusted_hops: int = Field(default=0, ge=0, le=10, description="Proxies in front of the gateway whose X-Forwarded-For is believed.")

    jwks_cache_s: int = Field(
        default=30,
        ge=1,
        description="Seconds that keys are kept before they are fetched again; "
        "shorter than the time a new key is published before it signs.",
    )
    token_leeway_s: int = Field(default=1, ge=1, le=60, description="Seconds that the clocks of auth and the gateway may differ.")

    @field_validator("auth", "auth_ops", "labeling", "inference", "augment", "public_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("listen", "objects", "auth", "auth_ops", "labeling", "inference", "augment", "ops_listen", "otlp", "otlp_http")
    @classmethod
    def _ports_in_range(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for endpoint in (value,) if isinstance(value, str) else value or ():
            if not 0 < host_and_port(endpoint)[1] < 65536:
                raise ValueError(f"{endpoint}: a port is between 1 and 65535")
        return value

    @field_validator("public_origins")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
                raise ValueError(f"{origin!r} is not an origin such as https://annotate.example.org")
        return value

    @model_validator(mode="after")
    def _certificates_come_in_pairs(self) -> GatewaySettings:
        if (self.tls_certificate is None) != (self.tls_private_key is None):
            raise ValueError("tls_certificate and tls_private_key need each other")
        if (self.upstream_certificate is None) != (self.upstream_private_key is None):
            raise ValueError("upstream_certificate and upstream_private_key need each other")
        if self.upstream_certificate is not None and self.upstream_ca is None:
            raise ValueError("upstream_certificate needs upstream_ca")
        return self
