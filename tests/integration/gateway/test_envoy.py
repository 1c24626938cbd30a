"""Envoy itself accepts what is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from labelmesh_gateway import GatewaySettings, write
from labelmesh_gateway.__main__ import main, validate

from tests.unit.gateway.test_rendering import make_page, routes

SETTINGS: dict[str, dict[str, Any]] = {
    "local": {},
    "several of each": {
        "auth": "a.example:1,b.example:2",
        "labeling": ("c.example:3", "d.example:4"),
        "inference": "e.example:6,f.example:7",
        "augment": "g.example:8",
    },
    "other origins": {"public_origins": "https://one.example, http://127.0.0.1:5173"},
    "behind a proxy": {"trusted_hops": 1, "listen": "0.0.0.0:80"},
    "without Connect": {"connect_bridge": "false"},
    "for those who operate it": {"ops_listen": "0.0.0.0:9100"},
    "with a collector": {"otlp": "collector.example:4317", "otlp_http": "collector.example:4318", "trace_ratio": 0.05},
    "IPv6": {"listen": "[::1]:8080", "auth": "[::1]:9001"},
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return make_page(tmp_path / "page")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_envoy_accepts_what_is_rendered(tmp_path: Path, page: Path, settings: dict[str, Any]) -> None:
    assert validate(write(GatewaySettings(web_root=page, **settings), tmp_path / "out")) == ""


def test_envoy_accepts_tls_on_both_sides(tmp_path: Path, certificates: tuple[Path, Path]) -> None:
    certificate, key = certificates
    settings = GatewaySettings(
        tls_certificate=certificate,
        tls_private_key=key,
        upstream_ca=certificate,
        upstream_certificate=certificate,
        upstream_private_key=key,
    )
    path = write(settings, tmp_path / "out")
    assert validate(path) == ""
    clusters = {each["name"]: each for each in yaml.safe_load(path.read_text())["static_resources"]["clusters"]}
    for part in ("auth", "labeling", "inference", "augment"):
        tls = clusters[part]["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"]
        assert tls == {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def test_without_a_web_page_everything_else_is_rendered(tmp_path: Path) -> None:
    path = write(GatewaySettings(web_root=tmp_path / "missing"), tmp_path / "out")
    assert validate(path) == ""
    assert {route["name"] for route in routes(yaml.safe_load(path.read_text())) if route["match"].get("path") == "/"} == {"classic"}


def test_the_command_renders_from_the_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "envoy.yaml")
    assert main(["validate"]) == 0
