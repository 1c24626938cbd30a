"""What every container of every environment is told, wherever that stands: in its image, in docker-compose.yml, in manifests."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from labelmesh_operations.secretfiles import SecretWishes, make_secrets

from tests.platform.consistency.house import HOUSE
from tests.platform.kubernetes.manifests import Build, Manifest, build, labels_of, pod_of, settings_of

COMPOSE = HOUSE / "docker-compose.yml"
ENVIRONMENTS = ("dev", "prod", "dev+monitoring+mtls")
"""The combinations of Kubernetes' manifests that are looked at."""
_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<otherwise>:-(?P<default>[^}]*))?\}")
_SECRETS = "/run/secrets/labelmesh"
_ROLES = {
    "first-start": "operations",
    "demo-digits": "client",
    "demo-training": "client",
    "labelmesh": "client",
    "modelserver-gpu": "modelserver",
    "gateway-config": "gateway",
    "gateway-tend": "gateway",
}


@dataclass(frozen=True)
class Container:
    """One container.

    `role` is who it is in docs/network.md, `program` a module of ours and its arguments, `secrets` the names of its secret files.
    """

    place: str
    name: str
    role: str
    image: str
    program: tuple[str, ...]
    settings: Mapping[str, str]
    secrets: frozenset[str]
    ports: frozenset[int]
    memory: int

    def __str__(self) -> str:
        return f"{self.place} {self.name}"

    @property
    def module(self) -> str:
        return self.program[0] if self.program else ""


@cache
def images() -> dict[str, dict[str, Any]]:
    """Our images, as they are built."""
    made: dict[str, dict[str, Any]] = json.loads((HOUSE / "images" / "images.json").read_text())
    return made


@cache
def image_settings(target: str) -> dict[str, str]:
    """The variables LABELMESH_* that a target of the Dockerfile sets."""
    found: dict[str, dict[str, str]] = {}
    stage = ""
    for line in (HOUSE / "images" / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        words = line.split()
        if words[:1] == ["FROM"]:
            stage = words[-1]
            found[stage] = dict(found.get(words[1], {}))
        elif words[:1] == ["ENV"]:
            found[stage] |= {name: value for name, _, value in (word.partition("=") for word in words[1:]) if name.startswith("LABELMESH_")}
    return found[target]


def containers() -> list[Container]:
    """All containers of all environments."""
    return [*compose_containers(), *(each for name in ENVIRONMENTS for each in kubernetes_containers(build(name)))]


# --- docker-compose.yml ---


def interpolated(value: str) -> str:
    """What docker-compose makes of a value where .env says nothing."""
    return _REFERENCE.sub(lambda found: found["default"] or "", value)


@cache
def compose() -> dict[str, Any]:
    """docker-compose.yml as it is without .env."""
    parsed: dict[str, Any] = yaml.safe_load(interpolated(COMPOSE.read_text()))
    return parsed


def compose_containers() -> Iterator[Container]:
    for name, service in compose()["services"].items():
        image = service["image"].partition("@")[0].partition(":")[0]
        given = {key: str(value) for key, value in (service.get("environment") or {}).items() if value is not None}
        yield Container(
            "docker-compose",
            name,
            _ROLES.get(name, "migrations" if name.startswith("migrate-") else name),
            image,
            _compose_program(image, service),
            {**_of_image(image), **given},
            _compose_secrets(service),
            frozenset(int(port.rpartition(":")[2]) for port in service.get("ports", ())),
            _bytes(str(service["mem_limit"])),
        )


def _compose_program(image: str, service: Mapping[str, Any]) -> tuple[str, ...]:
    command = tuple(service.get("command") or ())
    entrypoint = service.get("entrypoint", ())
    module = str(images().get(image.removeprefix("labelmesh/"), {}).get("module", ""))
    if entrypoint and entrypoint[-1].endswith("first_start.py"):
        return ("labelmesh_auth", "create-user")
    if entrypoint and entrypoint[-1].endswith("prepare.py"):
        return ("labelmesh_operations", "secrets", "--to", "/secrets", "--shared")
    return (module, *command) if module else ()


def _compose_secrets(service: Mapping[str, Any]) -> frozenset[str]:
    """The files that `labelmesh_operations secrets` lays into the volume that is mounted where settings look for secrets."""
    mounts = [volume.split(":") for volume in service.get("volumes", ()) if isinstance(volume, str)]
    parts = [mount[0].removeprefix("secrets-") for mount in mounts if mount[1] == _SECRETS]
    return frozenset(path.name for part in parts for path in (made_secrets() / part).iterdir())


@cache
def made_secrets() -> Path:
    """A folder with the secrets of a new mesh."""
    folder = Path(tempfile.mkdtemp(prefix="labelmesh-secrets-"))
    make_secrets(folder, SecretWishes())
    return folder


# --- Kubernetes ---


def kubernetes_containers(made: Build) -> Iterator[Container]:
    for workload in made.workloads():
        spec = pod_of(workload)["spec"]
        mounted = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            image = container["image"].partition("@")[0].rpartition(":")[0]
            yield Container(
                made.name,
                f"{workload['metadata']['name']}/{container['name']}",
                labels_of(workload)["app.kubernetes.io/name"],
                image,
                _kubernetes_program(image, container),
                {**_of_image(image), **settings_of(made, container)},
                frozenset(
                    name
                    for mount in container.get("volumeMounts", ())
                    if mount["mountPath"] == _SECRETS
                    for name in _files(mounted[mount["name"]])
                ),
                frozenset(port["containerPort"] for port in container.get("ports", ())),
                _bytes(container["resources"]["limits"]["memory"]),
            )


def _kubernetes_program(image: str, container: Manifest) -> tuple[str, ...]:
    command: Sequence[str] = (*container.get("command", ()), *container.get("args", ()))
    if "-m" in command:
        return tuple(command[command.index("-m") + 1 :])
    if any(word.endswith("refetch.py") for word in command):
        return ("labelmesh_operations", *command[2:])
    module = images().get(image.removeprefix("labelmesh/"), {}).get("module", "")
    return (module, *command) if module and not container.get("command") else ()


def _files(volume: Manifest) -> Iterator[str]:
    sources = volume["projected"]["sources"] if "projected" in volume else [volume]
    for source in sources:
        for item in source.get("secret", {}).get("items", ()):
            yield item["path"]


def _of_image(image: str) -> dict[str, str]:
    about = images().get(image.removeprefix("labelmesh/")) if image.startswith("labelmesh/") else None
    return image_settings(about["target"]) if about else {}


def _bytes(amount: str) -> int:
    found = re.fullmatch(r"(\d+)([kmgKMG]?)(i?)b?", amount)
    assert found, amount
    factor: int = 1024 ** " kmg".index(found[2].lower() or " ")
    return int(found[1]) * factor
