"""Certificates as Envoy takes them while it runs: a file for each says where it lies and which folder to watch for a new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelmesh_gateway.settings import GatewaySettings

_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def secrets(settings: GatewaySettings) -> Mapping[str, Mapping[str, Any]]:
    """What Envoy is told of each certificate in `settings`, by the setting's name; a discovery response with one secret each.

    Envoy reads a certificate again when something is moved into its folder: by a rename, or by the link that Kubernetes moves under a
    volume. One that is written over in place is not noticed.
    """
    found: dict[str, Mapping[str, Any]] = {}
    pairs = {
        "tls_certificate": (settings.tls_certificate, settings.tls_private_key),
        "upstream_certificate": (settings.upstream_certificate, settings.upstream_private_key),
    }
    for name, (certificate, key) in pairs.items():
        if certificate is not None and key is not None:
            chain = {"certificate_chain": _file(certificate), "private_key": _file(key), "watched_directory": _folder(certificate)}
            found[name] = _response(name, {"tls_certificate": chain})
    if settings.upstream_ca is not None:
        authority = {"trusted_ca": _file(settings.upstream_ca), "watched_directory": _folder(settings.upstream_ca)}
        found["upstream_ca"] = _response("upstream_ca", {"validation_context": authority})
    return found


def _response(name: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"resources": [{"@type": _TYPE, "name": name, **content}]}


def _file(path: Path) -> Mapping[str, str]:
    return {"filename": str(path)}


def _folder(path: Path) -> Mapping[str, str]:
    return {"path": str(path.parent)}
