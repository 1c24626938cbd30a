"""The bill of materials of an image: every Python package and every Debian package in it, as CycloneDX 1.6."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Protocol


class SystemPackage(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def architecture(self) -> str: ...


def bill(image: str, site: Path, system: Sequence[SystemPackage], version: str) -> dict[str, Any]:
    """The document. The same contents give the same document: its serial number is made of them, and it carries no time."""
    components = [*python_components(site), python_itself(), *debian_components(system)]
    digest = hashlib.sha256(json.dumps([image, components], sort_keys=True).encode()).hexdigest()
    serial = f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": f"labelmesh/{image}",
                "name": f"labelmesh/{image}",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
    }


def python_components(site: Path) -> list[dict[str, Any]]:
    """What is installed in `site`, by name."""
    found = []
    for metadata in sorted(site.glob("*.dist-info/METADATA")):
        fields = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        name, version = str(fields["Name"]), str(fields["Version"])
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        licence = licence_of(fields.get("License-Expression"), fields.get("License"), fields.get_all("Classifier") or [])
        if licence is not None:
            component["licenses"] = [licence]
        found.append(component)
    return found


def licence_of(expression: object, name: object, classifiers: Iterable[object]) -> dict[str, Any] | None:
    """What the package says of its licence: an SPDX expression where it has one, else its own words."""
    if expression:
        return {"expression": str(expression)}
    lines = str(name or "").strip().splitlines()
    if len(lines) == 1 and len(lines[0]) < 100:
        return {"license": {"name": lines[0]}}
    last = [str(text).rpartition(" :: ")[2] for text in classifiers if str(text).startswith("License :: ")]
    return {"license": {"name": last[-1]}} if last else None


def python_itself() -> dict[str, Any]:
    version = platform.python_version()
    reference = f"pkg:generic/python@{version}"
    return {
        "type": "platform",
        "bom-ref": reference,
        "name": sys.implementation.name,
        "version": version,
        "purl": reference,
        "licenses": [{"license": {"id": "PSF-2.0"}}],
    }


def debian_components(packages: Iterable[SystemPackage]) -> list[dict[str, Any]]:
    found = []
    for package in packages:
        purl = f"pkg:deb/debian/{package.name}@{package.version}?arch={package.architecture}"
        found.append({"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl})
    return found
