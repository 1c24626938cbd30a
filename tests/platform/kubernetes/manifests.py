"""What kustomize makes of k8s/: every overlay, and every component on the base."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HOUSE = Path(__file__).resolve().parents[3]
K8S = HOUSE / "k8s"
PROGRAMS = HOUSE / ".labelmesh" / "platform" / "bin"
NAMESPACE = "labelmesh"
SERVICES = ("auth", "labeling", "inference", "augment")

Manifest = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")

# What a component builds upon; all others stand on the base alone.
_AFTER: Mapping[str, Sequence[str]] = {
    "cnpg-backup": ("cnpg",),
    "cnpg-monitoring": ("cnpg",),
    "gpu": ("models-from-objects",),
    "modelserver-python": ("models-from-objects",),
}
# What the overlay of production leaves to the place.
_REST = ("monitoring", "cnpg-monitoring", "tracing", "gpu")


def components() -> list[str]:
    """The names of all components."""
    return sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml"))


def combinations() -> dict[str, tuple[str, tuple[str, ...]]]:
    """What is looked at, by its name: a folder of k8s/, and the components put on it. Together they hold all that any component brings."""
    there = components()
    # A managed PostgreSQL, an S3 server outside.
    managed = ("backup", "objects-outside", "models-from-objects", "autoscaling", "gateway-api")
    return {
        "base": ("base", ()),
        "dev": ("overlays/dev", ()),
        "prod": ("overlays/prod", ()),
        "dev+monitoring+mtls": ("overlays/dev", tuple(name for name in ("monitoring", "mtls") if name in there)),
        "dev+tracing+mtls": ("overlays/dev", ("tracing", "mtls")),
        "prod+rest": ("overlays/prod", tuple(name for name in _REST if name in there)),
        "dev+python": ("overlays/dev", ("modelserver-python",)),
        "backup+cnpg": ("base", ("backup", "cnpg")),
        "managed": ("base", tuple(name for name in managed if name in there)),
    }


def alone() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each component on the base, with no more than it builds upon."""
    return {f"base+{name}": ("base", (*_AFTER.get(name, ()), name)) for name in components()}


@dataclass(frozen=True)
class Build:
    """A combination's manifests."""

    name: str
    manifests: tuple[Manifest, ...]

    def of(self, *kinds: str) -> list[Manifest]:
        """Those of some kinds."""
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def one(self, kind: str, name: str) -> Manifest:
        """The one of a kind and a name; KeyError where there is none."""
        for manifest in self.of(kind):
            if manifest["metadata"]["name"] == name:
                return manifest
        raise KeyError(f"{self.name} has no {kind} {name}")

    def workloads(self) -> list[Manifest]:
        """Whatever makes pods."""
        return self.of(*WORKLOADS)


@cache
def build(name: str) -> Build:
    """Builds a combination by its name; AssertionError with what kustomize says where it cannot."""
    folder, more = (combinations() | alone())[name]
    if not more:
        return Build(name, _kustomize(K8S / folder))
    with tempfile.TemporaryDirectory(prefix="labelmesh-kustomize-") as scratch:
        place = Path(scratch).resolve()
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": NAMESPACE,
            "resources": [os.path.relpath(K8S / folder, place)],
            "components": [os.path.relpath(K8S / "components" / component, place) for component in more],
        }
        (place / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return Build(name, _kustomize(place))


def _kustomize(folder: Path) -> tuple[Manifest, ...]:
    done = subprocess.run([PROGRAMS / "kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Warnings are what kustomize finds deprecated.
    assert not done.stderr, done.stderr
    return tuple(manifest for manifest in yaml.load_all(done.stdout, yaml.CSafeLoader) if manifest)


def all_builds() -> Iterator[Build]:
    for name in combinations():
        yield build(name)


@cache
def every(*kinds: str) -> list[tuple[str, Manifest]]:
    """Each different manifest of some kinds once (all kinds where none is named), with the first combination that has it."""
    known: dict[str, tuple[str, Manifest]] = {}
    for made in all_builds():
        for manifest in made.of(*kinds) if kinds else made.manifests:
            known.setdefault(json.dumps(manifest, sort_keys=True), (made.name, manifest))
    return list(known.values())


def title(where: str, manifest: Manifest) -> str:
    """How a manifest is named in a failure."""
    return f"{where}: {manifest['kind']} {manifest['metadata']['name']}"


def pod_of(workload: Manifest) -> Manifest:
    """The pod's template: metadata and spec."""
    job: Manifest = workload["spec"]["jobTemplate"] if workload["kind"] == "CronJob" else workload
    template: Manifest = job["spec"]["template"]
    return template


def containers_of(workload: Manifest) -> list[Manifest]:
    """All containers of a workload's pods, those of the start too."""
    spec = pod_of(workload)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def main_container(workload: Manifest) -> Manifest:
    """The container that the others of its pod are there for."""
    container: Manifest = pod_of(workload)["spec"]["containers"][0]
    return container


def labels_of(workload: Manifest) -> dict[str, str]:
    """The labels of a workload's pods."""
    labels: dict[str, str] = pod_of(workload)["metadata"]["labels"]
    return labels


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Says whether a label selector matches labels."""
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        value, wanted = labels.get(expression["key"]), expression.get("values", [])
        held = {
            "In": value in wanted,
            "NotIn": value not in wanted,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[expression["operator"]]
        if not held:
            return False
    return True


def settings_of(made: Build, container: Manifest) -> dict[str, str]:
    """A container's environment as far as manifests say it: from ConfigMaps in their order, then by itself."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= made.one("ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {variable["name"]: variable["value"] for variable in container.get("env", []) if "value" in variable}
