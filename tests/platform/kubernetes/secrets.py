"""Which secrets a build asks for."""

from __future__ import annotations

from collections.abc import Iterator

from tests.platform.kubernetes.manifests import Build, Manifest, pod_of


def secrets_wanted(made: Build) -> dict[str, set[str]]:
    """The names of all secrets that manifests name, with the keys that they take from them (none: all)."""
    wanted: dict[str, set[str]] = {}
    for workload in made.workloads():
        for volume in pod_of(workload)["spec"].get("volumes", []):
            for name, items in _of_volume(volume):
                wanted.setdefault(name, set()).update(item["key"] for item in items)
                if name == "objects" and not items:
                    wanted[name] |= {"labelmesh_s3_access_key", "labelmesh_s3_secret_key"}
    for cluster in made.of("Cluster"):
        for role in cluster["spec"]["managed"]["roles"]:
            wanted.setdefault(role["passwordSecret"]["name"], set()).update({"username", "password"})
    return wanted


def secrets_of(workload: Manifest) -> set[str]:
    """The names of the secrets that a workload's pods see."""
    return {name for volume in pod_of(workload)["spec"].get("volumes", []) for name, _ in _of_volume(volume)}


def _of_volume(volume: Manifest) -> Iterator[tuple[str, list[Manifest]]]:
    if "secret" in volume:
        yield volume["secret"]["secretName"], volume["secret"].get("items", [])
    for source in volume.get("projected", {}).get("sources", []):
        if "secret" in source:
            yield source["secret"]["name"], source["secret"]["items"]
