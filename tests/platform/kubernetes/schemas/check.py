"""Holds manifests against schemas that allow no field they do not know. Run by the Python of the platform's tools:

    check.py VERSION ... < JSON list of manifests

Kinds of Kubernetes itself against each of its VERSIONs (kubernetes-validate's schemas), custom ones against crds.json. Prints a line for
each fault; ends with 1 where there is one.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from kubernetes_validate import utils  # type: ignore[import-not-found]  # of the platform's own environment
from referencing import Registry, Resource

CUSTOM = json.loads((Path(__file__).parent / "crds.json").read_text())
# Its type lies beside the one of CloudNativePG that it took over, in a package that is not generated.
CUSTOM["kinds"]["barmancloud.cnpg.io/v1 ObjectStore"] = {
    "type": "object",
    "properties": {
        "apiVersion": {"const": "barmancloud.cnpg.io/v1"},
        "kind": {"const": "ObjectStore"},
        "metadata": {"$ref": "#/$defs/IObjectMeta"},
        "spec": {
            "type": "object",
            "properties": {
                "configuration": {"$ref": "#/$defs/IBarmanObjectStoreConfiguration"},
                "retentionPolicy": {"type": "string", "pattern": "^[1-9][0-9]*[dwm]$"},
                "instanceSidecarConfiguration": {"type": "object"},
            },
            "required": ["configuration"],
            "additionalProperties": False,
        },
    },
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
}


@cache
def definitions(version: str) -> Registry[Any]:
    """What all schemas of a version refer to; read once, for it is large."""
    file = Resource.from_contents(utils.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version))
    registry: Registry[Any] = file @ Registry()
    return registry


def fault(manifest: dict[str, Any], version: str) -> str | None:
    """What is wrong with a manifest of Kubernetes itself; None when nothing is."""
    group, _, name = manifest["apiVersion"].rpartition("/")
    api = f"{group.partition('.')[0]}-{name}" if group else name
    schema = utils.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/{manifest['kind'].lower()}-{api}.json", version)
    registry = Resource.from_contents(schema) @ definitions(version)
    return first(jsonschema.Draft202012Validator(schema, registry=registry), manifest)


def custom_fault(manifest: dict[str, Any]) -> str | None:
    """What is wrong with a custom resource."""
    schema = CUSTOM["kinds"].get(f"{manifest['apiVersion']} {manifest['kind']}")
    if schema is None:
        return "no schema of this kind is known"
    return first(jsonschema.Draft202012Validator({**schema, "$defs": CUSTOM["$defs"]}), manifest)


def first(validator: jsonschema.Draft202012Validator, manifest: dict[str, Any]) -> str | None:
    problem = jsonschema.exceptions.best_match(validator.iter_errors(manifest))
    return None if problem is None else f"{problem.json_path}: {problem.message[:300]}"


def main(versions: list[str]) -> int:
    faults = []
    for manifest in json.load(sys.stdin):
        found: dict[str, str | None] = {}
        for version in versions:
            try:
                found[version] = fault(manifest, version)
            except FileNotFoundError:
                found["custom"] = custom_fault(manifest)
        where = f"{manifest['kind']} {manifest['metadata'].get('name')}"
        faults += [f"{where} ({version}): {text}" for version, text in found.items() if text]
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
