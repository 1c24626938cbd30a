"""The edge is the same everywhere: one template, and settings that say what differs."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from labelmesh_chassis.settings import ServiceSettings
from labelmesh_gateway.rendering import render
from labelmesh_gateway.settings import GatewaySettings
from labelmesh_local.home import Home, Secrets
from labelmesh_local.parts import Plan

from tests.platform.consistency.containers import Container, compose, containers
from tests.platform.consistency.house import HOUSE

_PREFIX = "LABELMESH_GATEWAY_"
_TEMPLATES = HOUSE / "gateway" / "src" / "labelmesh_gateway"
_NOT_OURS = {".git", ".labelmesh", "node_modules", "dist", "build"}
_PLACES = ("docker-compose", "dev", "prod", "dev+monitoring+mtls", "local")
# Filters that settings add or leave out.
_OPTIONAL = {"envoy.filters.http.connect_grpc_bridge"}


def _settings(place: str, folder: Path = Path("/nowhere")) -> GatewaySettings:
    if place == "local":
        plan = Plan.made(Home(folder), HOUSE, Secrets.made(), 8080, demo=True, models=True)
        told = plan.gateway_environment()
    else:
        told = dict(_config(place).settings)
    return GatewaySettings.model_validate(
        {name.removeprefix(_PREFIX).lower(): value for name, value in told.items() if name.startswith(_PREFIX)}
    )


def _config(place: str) -> Container:
    (found,) = (each for each in containers() if each.place == place and each.module == "labelmesh_gateway" and "render" in each.program)
    return found


def _gateway(place: str) -> Container:
    (found,) = (each for each in containers() if each.place == place and each.image == "labelmesh/gateway")
    return found


@cache
def _rendered(place: str) -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.load(render(_settings(place), ()), yaml.CSafeLoader)
    return configuration


def _manager(place: str) -> dict[str, Any]:
    manager: dict[str, Any] = _rendered(place)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def test_envoy_is_configured_by_one_template_and_nowhere_else() -> None:
    found = set()
    for folder, folders, files in os.walk(HOUSE):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        for name in files:
            path = Path(folder) / name
            if path.suffix in (".yaml", ".yml", ".json", ".j2", ".env", ".tpl") and "static_resources" in path.read_text(
                "utf-8", "replace"
            ):
                found.add(path)
    assert found == {_TEMPLATES / "envoy" / "envoy.yaml.j2"}


def test_places_differ_in_nothing_but_settings_of_the_gateway() -> None:
    for place in _PLACES[:-1]:
        assert "render" in _config(place).program
        assert set(_config(place).program) <= {"labelmesh_gateway", "render", "--out", "/etc/labelmesh-gateway"}


@pytest.mark.parametrize("place", _PLACES)
def test_every_place_has_the_same_routes_filters_and_limits(place: str) -> None:
    here, there = _manager(place), _manager("local")
    names = {each["name"] for each in here["http_filters"]} ^ {each["name"] for each in there["http_filters"]}
    assert names <= _OPTIONAL
    routes, expected = (each["route_config"]["virtual_hosts"][0]["routes"] for each in (here, there))
    ours = [(route.get("name"), route["match"]) for route in routes if "telemetry" not in route.get("name", "")]
    assert ours == [(route.get("name"), route["match"]) for route in expected if "telemetry" not in route.get("name", "")]
    assert len(ours) > 100


@pytest.mark.parametrize("place", _PLACES[:-1])
def test_envoy_refuses_calls_before_it_has_all_of_its_container_s_memory(place: str) -> None:
    assert _settings(place).max_heap_bytes <= 0.8 * _gateway(place).memory


@pytest.mark.parametrize("place", [place for place in _PLACES[:-1] if place != "docker-compose"])
def test_the_gateway_leaves_a_replica_before_the_replica_leaves(place: str) -> None:
    """Failed checks, one interval apart, and their time-out are over within the time that a service still takes calls."""
    clusters = {cluster["name"]: cluster for cluster in _rendered(place)["static_resources"]["clusters"]}
    for service in ("auth", "labeling", "inference", "augment"):
        (check,) = clusters[service]["health_checks"]
        slowest = _seconds(check["no_traffic_interval"]) + (check["unhealthy_threshold"] - 1) * _seconds(check["interval"])
        (told,) = (each for each in containers() if each.place == place and each.role == service and each.module and not each.program[1:])
        assert slowest + _seconds(check["timeout"]) < float(told.settings["LABELMESH_DRAIN_LEAD_S"])


def test_docker_compose_gives_services_the_time_to_drain() -> None:
    lead, drain = (ServiceSettings.model_fields[name].default for name in ("drain_lead_s", "drain_s"))
    for service in ("auth", "labeling", "inference", "augment"):
        (told,) = (each for each in containers() if each.place == "docker-compose" and each.name == service)
        needed = float(told.settings.get("LABELMESH_DRAIN_LEAD_S", lead)) + float(told.settings.get("LABELMESH_DRAIN_S", drain))
        assert _seconds(compose()["services"][service]["stop_grace_period"]) >= needed + 5


def test_a_process_that_hangs_keeps_a_call_for_less_than_its_deadline() -> None:
    deadline = ServiceSettings.model_fields["default_deadline_s"].default
    for cluster in _rendered("local")["static_resources"]["clusters"]:
        if "health_checks" in cluster:
            (options,) = cluster["typed_extension_protocol_options"].values()
            ping = options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]
            # Envoy waits up to 15 % longer.
            assert 1.15 * _seconds(ping["interval"]) + _seconds(ping["timeout"]) < deadline


def _seconds(duration: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s", duration)
    assert found, duration
    return float(found[1])
