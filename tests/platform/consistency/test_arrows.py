"""Who calls whom: the design's table, the NetworkPolicies, docker-compose's networks, and the addresses that settings name, agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
import yaml
from labelmesh_gateway.rendering import render
from labelmesh_gateway.settings import GatewaySettings

from tests.platform.consistency.arrows import Arrow, Policies, arrows_of_the_design
from tests.platform.consistency.containers import ENVIRONMENTS, Container, compose, containers
from tests.platform.consistency.house import HOUSE
from tests.platform.kubernetes.manifests import Build, all_builds, build, containers_of, labels_of, selects

# Settings that name another part, as an address, a gRPC target or a URL.
_TARGETS = ("IDENTITY_JWKS_URL", "LABELING", "MODEL_SERVER", "S3_ENDPOINT", "OTLP_ENDPOINT")
_ADDRESS = re.compile(r"(?:^|/)(?P<host>[a-z0-9.-]+):(?P<port>\d+)(?:/|$)")
_PARTS = {"modelserver-gpu": "modelserver", "postgres-rw": "postgres"}


def called(value: str) -> tuple[str, int]:
    """Who a setting names, by its first name, and the port."""
    found = _ADDRESS.search(value)
    assert found, value
    host = found["host"].split(".")[0] if not found["host"].endswith((".com", ".org")) else "internet"
    return _PARTS.get(host, host), int(found["port"])


def calls(container: Container) -> Iterator[Arrow]:
    """The calls that a container's settings lead to."""
    for name in _TARGETS:
        if value := container.settings.get(f"LABELMESH_{name}"):
            yield Arrow(container.role, *called(value))
    if "labelmesh_database_url" in container.secrets or any(name.endswith("_database_url") for name in container.secrets):
        yield Arrow(container.role, "postgres", 5432)


def gateway_calls(container: Container) -> set[Arrow]:
    """The clusters of the Envoy that a container's settings render."""
    prefix = "LABELMESH_GATEWAY_"
    return _clusters(
        tuple((name.removeprefix(prefix).lower(), value) for name, value in container.settings.items() if name.startswith(prefix))
    )


@cache
def _clusters(settings: tuple[tuple[str, str], ...]) -> set[Arrow]:
    told = dict(settings)
    # Also the arrows that only a collector has.
    told |= {"otlp": "collector:4317", "otlp_http": "collector:4318"}
    rendered = yaml.load(render(GatewaySettings.model_validate(told), ()), yaml.CSafeLoader)
    return {
        Arrow("gateway", *called(f"{address['address']}:{address['port_value']}"))
        for cluster in rendered["static_resources"]["clusters"]
        for group in cluster["load_assignment"]["endpoints"]
        for endpoint in group["lb_endpoints"]
        for address in [endpoint["endpoint"]["address"]["socket_address"]]
        if address["address"] != "127.0.0.1"
    }


def all_calls(place: str) -> set[Arrow]:
    found: set[Arrow] = set()
    for container in containers():
        if container.place == place and container.module:
            found |= set(calls(container))
            if container.module == "labelmesh_gateway" and "render" in container.program:
                found |= gateway_calls(container)
    return found


@cache
def design() -> set[Arrow]:
    return arrows_of_the_design()


def test_the_table_of_the_design_is_read() -> None:
    assert len(design()) > 40
    assert {Arrow("outside", "gateway", 8080), Arrow("augment", "internet", 443), Arrow("migrations", "postgres", 5432)} <= design()


def test_policies_allow_nothing_that_the_design_does_not_have() -> None:
    more = {
        f"{made.name}: {arrow}"
        for made in all_builds()
        for arrow in Policies(made).outgoing() | Policies(made).incoming()
        if arrow not in design()
    }
    assert not more


def test_every_arrow_of_the_design_is_allowed_somewhere_at_both_ends() -> None:
    policies = [Policies(made) for made in all_builds()]
    outgoing = set().union(*(each.outgoing() for each in policies))
    incoming = set().union(*(each.incoming() for each in policies))
    beyond = {"internet", "outside", "dns", "collector", "monitoring"}
    callers = {"outside", "prometheus", "cloudnative-pg"}
    assert not {arrow for arrow in design() if arrow.caller not in callers and arrow not in outgoing}
    assert not {arrow for arrow in design() if arrow.called not in beyond and not {arrow, arrow._replace(caller="outside")} & incoming}


@pytest.mark.parametrize("place", ENVIRONMENTS)
def test_every_call_that_settings_lead_to_is_let_through_in_kubernetes(place: str) -> None:
    made = build(place)
    policies = Policies(made)
    found = all_calls(place)
    assert len(found) > 20
    assert found <= design()
    # The collector is the place's own; its policies are there as soon as it is.
    inside = {arrow for arrow in found if arrow.called not in ("internet", "collector") and _is_ours(made, arrow.called)}
    assert not {arrow for arrow in inside if not policies.allow(arrow)}
    assert not {arrow for arrow in found - inside if arrow not in policies.outgoing()}


def _is_ours(made: Build, name: str) -> bool:
    return any(service["metadata"]["name"] == name for service in made.of("Service"))


def test_names_in_settings_are_services_with_that_port() -> None:
    for place in ENVIRONMENTS:
        made = build(place)
        for arrow in all_calls(place):
            if arrow.called in ("internet", "collector") or (arrow.called == "postgres" and not _is_ours(made, "postgres")):
                continue
            assert arrow.port in {port["port"] for port in made.one("Service", arrow.called)["spec"]["ports"]}, f"{place}: {arrow}"


def _networks(name: str) -> set[str]:
    service = compose()["services"][name]
    mode = service.get("network_mode", "")
    return _networks(mode.removeprefix("service:")) if mode.startswith("service:") else set(service.get("networks", ()))


def test_docker_compose_s_networks_let_every_call_through() -> None:
    found = all_calls("docker-compose")
    assert len(found) > 20
    assert found <= design()
    for container in containers():
        if container.place == "docker-compose" and container.module:
            for arrow in calls(container):
                assert _networks(container.name) & _networks(arrow.called), f"{container.name} does not reach {arrow.called}"
    for arrow in gateway_calls(next(each for each in containers() if each.name == "gateway-config")):
        assert _networks("gateway") & _networks(arrow.called), arrow


def test_docker_compose_s_networks_let_nobody_to_the_data_or_out_who_has_no_arrow_there() -> None:
    """Networks are coarser than policies: within `mesh` services see one another. What holds data and what leads out is kept apart."""
    roles = {container.name: container.role for container in containers() if container.place == "docker-compose"}
    for kept, port in (("postgres", 5432), ("objects", 8333), ("modelserver", 8500)):
        for name, role in roles.items():
            if name != kept and _networks(name) & _networks(kept) and role not in (kept, "prometheus", "pgadmin"):
                assert Arrow(role, kept, port) in design(), f"{name} reaches {kept}"
    networks = compose()["networks"]
    leading_out = {name for name in roles for network in _networks(name) if not (networks[network] or {}).get("internal")}
    assert {roles[name] for name in leading_out} <= {"gateway", "inference", "augment", "pgadmin", "grafana", "jaeger"}
    published = {name for name, service in compose()["services"].items() if service.get("ports")}
    assert published == {"gateway", "pgadmin", "grafana", "jaeger"}
    assert all(port.startswith("127.0.0.1:") for name in published for port in compose()["services"][name]["ports"])


def test_prometheus_asks_the_ports_that_parts_are_told_to_serve_metrics_on() -> None:
    told = {
        container.role: int(container.settings["LABELMESH_OPS_LISTEN"].rpartition(":")[2])
        for container in containers()
        if container.place == "docker-compose" and "LABELMESH_OPS_LISTEN" in container.settings and container.role == container.name
    }
    scraped = yaml.safe_load((HOUSE / "monitoring" / "prometheus.yaml").read_text())["scrape_configs"]
    asked = {name: int(way["port"]) for job in scraped for way in job.get("dns_sd_configs", ()) for name in way["names"]}
    assert {name: port for name, port in asked.items() if name in told} == told
    assert set(asked) == {*told, "gateway", "modelserver"}
    assert {Arrow("prometheus", name, port) for name, port in asked.items()} <= design()


def test_the_prometheus_of_kubernetes_asks_ports_that_pods_have_and_is_let_in() -> None:
    made = build("dev+monitoring+mtls")
    policies = Policies(made)
    monitors = made.of("PodMonitor")
    assert len(monitors) > 3
    for monitor in monitors:
        pods = [each for each in made.of("Deployment") if selects(monitor["spec"]["selector"], labels_of(each))]
        assert pods, monitor["metadata"]["name"]
        for pod in pods:
            ports = {port["name"]: port["containerPort"] for each in containers_of(pod) for port in each.get("ports", ())}
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                arrow = Arrow("prometheus", pod["metadata"]["name"], ports[endpoint["port"]])
                assert arrow in design()
                assert arrow in policies.incoming()
