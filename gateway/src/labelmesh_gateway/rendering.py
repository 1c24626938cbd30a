"""Makes Envoy's configuration and the files beside it."""

from __future__ import annotations

import ipaddress
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from labelmesh_gateway import classic, contract, openapi, pages, reference
from labelmesh_gateway.refusals import DENIAL, REFUSALS
from labelmesh_gateway.secrets import secrets
from labelmesh_gateway.settings import SESSION_COOKIE, GatewaySettings, host_and_port

PAGE_PATTERN = "/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/?"
"""Paths that the browser client makes pages of: no dot in them, so that a file that is gone stays a 404. API paths come before them."""

MAX_SPANS_BYTES = 256 * 1024
"""What a page may send at once of the spans of its calls."""

MAX_SPANS_PER_EXPORT = 256
MAX_EXPORTS_PER_SECOND = 8
"""Together: the most spans of its own that a thread of Envoy hands to the collector in a second. Those beyond are dropped."""

HIDDEN_TAGS = (
    "http.url",
    "peer.address",
    "upstream_address",
    "user_agent",
    "grpc.authority",
    "grpc.path",
    "grpc.content_type",
    "grpc.timeout",
    "grpc.message",
)
"""What Envoy writes into its spans of callers and of their words; its value is a dash instead."""


def render(settings: GatewaySettings, static_files: Sequence[pages.StaticFile] | None = None, *, place: Path = Path()) -> str:
    """Envoy's configuration as YAML, for `settings` and the contract that is installed.

    `static_files` are served as they are; by default those of `settings.web_root`. `place` is where Envoy finds `tls/`. Nothing is
    written. Raises ValueError where a service of the contract has no upstream in the settings.
    """
    services = contract.services_of(contract.contract_files())
    upstreams = {"auth": settings.auth, "labeling": settings.labeling, "inference": settings.inference, "augment": settings.augment}
    for service in services:
        if service.part not in upstreams:
            raise ValueError(f"{service.name} is in the contract, but no upstream is set for {service.part!r}")
    if static_files is None:
        static_files = pages.static_files(settings.web_root, seen_as=settings.web_root.absolute(), page_pattern=PAGE_PATTERN)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelmesh_gateway", "envoy"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # YAML; every value from outside goes through tojson
        keep_trailing_newline=True,
    )
    environment.filters["combined"] = _combined
    environment.filters["tojson"] = json.dumps
    environment.filters["san_type"] = _san_type
    return environment.get_template("envoy.yaml.j2").render(
        s=settings,
        session_cookie=SESSION_COOKIE,
        services=services,
        parts={part: [host_and_port(endpoint) for endpoint in endpoints] for part, endpoints in upstreams.items()},
        listen=host_and_port(settings.listen),
        auth_ops=[host_and_port(endpoint) for endpoint in settings.auth_ops],
        objects=host_and_port(settings.objects),
        ops=_optional(settings.ops_listen),
        otlp=_optional(settings.otlp),
        otlp_http=_optional(settings.otlp_http),
        secrets={name: place / "tls" / f"{name}.json" for name in secrets(settings)},
        refusals=REFUSALS,
        denial=DENIAL,
        static_files=static_files,
        instructions=classic.instructions(),
        asked_by=classic.ASKED_BY,
        max_file_bytes=pages.MAX_FILE_BYTES,
        max_spans_bytes=MAX_SPANS_BYTES,
        max_spans_per_export=MAX_SPANS_PER_EXPORT,
        max_exports_per_second=MAX_EXPORTS_PER_SECOND,
        hidden_tags=HIDDEN_TAGS,
    )


def _san_type(host: str) -> str:
    """What kind of name a certificate has to have for `host` (RFC 6125: an address is no DNS name)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "DNS"
    return "IP_ADDRESS"


def _combined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    return {**first, **second}


def _optional(endpoint: str | None) -> tuple[str, int] | None:
    return None if endpoint is None else host_and_port(endpoint)


def write(settings: GatewaySettings, out: Path, *, seen_as: Path | None = None) -> Path:
    """Writes everything that Envoy needs into `out` and returns the path of the configuration in it.

    envoy.yaml, descriptors.binpb, web/ (a copy of `settings.web_root`), site/ (the OpenAPI document and its page) and tls/ (where
    certificates lie). The configuration names them where Envoy will see them: in `seen_as`, by default `out` itself. What an earlier run
    left there is replaced. Envoy reads all of it at its start only; certificates it reads again when they change.
    """
    out.mkdir(parents=True, exist_ok=True)
    place = (seen_as or out).absolute()
    (out / "descriptors.binpb").write_bytes(contract.contract_bytes())
    for name in ("web", "site", "tls"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "tls").mkdir()
    for name, secret in secrets(settings).items():
        (out / "tls" / f"{name}.json").write_text(json.dumps(secret), encoding="utf-8")
    if settings.web_root.is_dir():
        shutil.copytree(settings.web_root, out / "web")
        if settings.otlp_http is not None:
            pages.turn_tracing_on(out / "web" / "index.html", settings.trace_ratio)
    _write_site(out / "site")
    web = pages.static_files(out / "web", seen_as=place / "web", page_pattern=PAGE_PATTERN)
    # First: what the contract says is not for the web page to replace.
    static_files = (*pages.static_files(out / "site", seen_as=place / "site"), *web)
    path = out / "envoy.yaml"
    settings = settings.model_copy(update={"descriptors": place / "descriptors.binpb"})
    path.write_text(render(settings, static_files, place=place), encoding="utf-8")
    return path


def _write_site(site: Path) -> None:
    """The OpenAPI document, and the page that shows it at /docs/api/."""
    document = openapi.document()
    folder = site / "docs" / "api"
    folder.mkdir(parents=True)
    (site / "openapi.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    for name, content in reference.page(document).items():
        (folder / name).write_text(content, encoding="utf-8")
