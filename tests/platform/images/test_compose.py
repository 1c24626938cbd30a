"""docker-compose.yml against its schema and against what it promises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

HOUSE = Path(__file__).resolve().parents[3]
TOOLS = HOUSE / ".labelmesh" / "platform" / "bin"
FILES = (HOUSE / "docker-compose.yml", HOUSE / "compose" / "modelserver.yml")
PROFILES = {"gpu", "pgadmin", "monitoring", "tracing", "commands"}
JOBS = (
    "prepare",
    "migrate-auth",
    "migrate-labeling",
    "migrate-inference",
    "migrate-augment",
    "gateway-config",
    "first-start",
    "demo-digits",
)


def composed() -> dict[str, Any]:
    return dict(yaml.safe_load(FILES[0].read_text()))


def services() -> dict[str, Any]:
    return dict(composed()["services"])


SERVICES = services()


def test_it_fits_the_compose_specification() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    done = subprocess.run([TOOLS / "check-jsonschema", *schema, *FILES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == "prepare" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name != "pgadmin")
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert service["restart"] in ("unless-stopped", "on-failure:3")
    assert "privileged" not in service
    assert (service.get("user") == "0:0") == (name == "prepare")


def test_only_the_gateway_has_a_port_and_profiles_on_loopback() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert ports.pop("gateway") == ["${LABELMESH_BIND:-127.0.0.1}:${LABELMESH_PORT:-8080}:8080"]
    assert set(ports) == {"pgadmin", "grafana", "jaeger"}
    assert all(SERVICES[name]["profiles"] for name in ports)
    assert all(port.startswith("127.0.0.1:") for listed in ports.values() for port in listed)


def test_only_those_that_fetch_or_are_looked_at_have_a_way_out() -> None:
    internal = {name for name, network in composed()["networks"].items() if network and network.get("internal")}
    outward = {name for name, service in SERVICES.items() if set(service.get("networks", [])) - internal}

    assert outward == {"gateway", "inference", "augment", "pgadmin", "grafana", "jaeger"}


def test_what_is_waited_for_says_when_it_is_ready() -> None:
    own_check = {"auth", "labeling", "inference", "augment"}  # in their images
    for name, service in SERVICES.items():
        needs = service.get("depends_on", {})
        for other, condition in needs.items() if isinstance(needs, dict) else ():
            if condition["condition"] == "service_healthy":
                assert other in own_check or "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"
            if condition["condition"] == "service_completed_successfully":
                assert other in JOBS, f"{name} waits for the end of {other}"


def test_migrations_come_before_services() -> None:
    for name in ("auth", "labeling", "inference", "augment"):
        assert SERVICES[name]["depends_on"][f"migrate-{name}"] == {"condition": "service_completed_successfully"}
        assert SERVICES[name]["environment"]["LABELMESH_MIGRATE_AT_START"] == "false"


def test_secrets_are_files_and_each_sees_its_own() -> None:
    for name, service in SERVICES.items():
        told = " ".join(f"{key}={value}" for key, value in service.get("environment", {}).items())
        assert not re.search(r"PASSWORD=|SECRET_KEY=|DATABASE_URL=|ENCRYPTION_KEY=", told), name
    for name in ("auth", "labeling", "inference", "augment"):
        mounted = [volume for volume in SERVICES[name]["volumes"] if str(volume).startswith("secrets-")]
        assert mounted == [f"secrets-{name}:/run/secrets/labelmesh:ro"]


@pytest.mark.parametrize("name", ["objects", "gateway"])
def test_a_volume_that_was_given_to_somebody_stays_theirs(name: str) -> None:
    """Docker fills an empty volume with what the image has at its place, and gives it to whom that belongs there."""
    (mounted,) = [volume for volume in SERVICES[name]["volumes"] if isinstance(volume, dict)]
    assert mounted["source"] == name
    assert mounted["volume"] == {"nocopy": True}


def test_every_variable_is_in_the_example_and_the_reverse() -> None:
    text = "".join(path.read_text() for path in FILES)
    used = set(re.findall(r"\$\{(\w+)", text))
    # Those without a value are passed on where .env names them.
    used |= {name for service in SERVICES.values() for name, value in service.get("environment", {}).items() if value is None}
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (HOUSE / ".env.example").read_text(), re.MULTILINE))

    shown = example - {"COMPOSE_PROFILES", "COMPOSE_FILE"}
    rare = {
        "LABELMESH_SESSION_ABSOLUTE_SECONDS",
        "LABELMESH_CLASSIC_MODEL",
        "LABELMESH_FETCH_PORTS",
        "PGADMIN_PORT",
        "GRAFANA_PORT",
        "JAEGER_PORT",
    }
    assert shown <= used
    assert used - shown <= rare


def test_profiles_are_those_of_the_documents() -> None:
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", [])} == PROFILES
    assert all(f"`{profile}`" in (HOUSE / "docs" / "compose.md").read_text() for profile in PROFILES - {"commands"})


def test_what_is_mounted_from_here_exists() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            if str(volume).startswith("./"):
                assert (HOUSE / str(volume).partition(":")[0]).exists(), f"{name}: {volume}"
