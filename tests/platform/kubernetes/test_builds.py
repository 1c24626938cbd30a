"""Everything builds, keeps to the schemas of the oldest and the newest supported Kubernetes, and has no finding that is not argued."""

from __future__ import annotations

import fnmatch
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.platform.kubernetes.manifests import K8S, NAMESPACE, PROGRAMS, alone, build, combinations, components, every

OLDEST, NEWEST = "1.34", "1.37"
# What there is one of in a cluster, not in each namespace.
CLUSTER_WIDE = {"Namespace", "PriorityClass"}


@pytest.mark.parametrize("name", [*combinations(), *alone()])
def test_every_overlay_and_every_component_builds(name: str) -> None:
    made = build(name)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in made.manifests]
    assert len(set(names)) == len(names)
    for manifest in made.manifests:
        assert (manifest["kind"] in CLUSTER_WIDE) == ("namespace" not in manifest["metadata"])
        assert manifest["metadata"].get("namespace", NAMESPACE) == NAMESPACE


def test_every_component_says_what_it_is_and_some_overlay_knows_it() -> None:
    overlays = "".join(path.read_text() for path in K8S.glob("overlays/*/kustomization.yaml"))
    for name in components():
        first = (K8S / "components" / name / "kustomization.yaml").read_text().splitlines()[0]
        assert first.startswith("# "), name
        # An overlay uses it, or has it as a line to be taken in.
        assert f"components/{name}\n" in overlays or name in ("mtls", "gpu"), name


def test_manifests_keep_to_the_schemas_without_an_unknown_field() -> None:
    assert _schema_faults([manifest for _, manifest in every()]) == ""


def test_a_field_that_does_not_exist_is_found_in_any_kind() -> None:
    made = build("prod")
    kinds = sorted({manifest["kind"] for manifest in made.manifests if "spec" in manifest})
    assert len(kinds) > 12
    wrong = [{**(one := made.of(kind)[0]), "spec": {**one["spec"], "nonsense": 3}} for kind in kinds]
    found = _schema_faults(wrong).splitlines()
    assert {line.partition(" ")[0] for line in found if "'nonsense' was unexpected" in line} == set(kinds)


def _schema_faults(manifests: list[dict[str, Any]]) -> str:
    command: list[str | Path] = [PROGRAMS / "python", Path(__file__).parent / "schemas" / "check.py", OLDEST, NEWEST]
    done = subprocess.run(command, input=json.dumps(manifests), capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    assert (done.returncode == 0) == (done.stdout.strip() == "")
    return str(done.stdout).strip()


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What checkov finds: a check and a resource."""
    folder = tmp_path_factory.mktemp("built")
    # What several combinations have alike is looked at once.
    (folder / "built.yaml").write_text(yaml.dump_all([manifest for _, manifest in every()], Dumper=yaml.CSafeDumper))
    command: list[str | Path] = [
        PROGRAMS / "checkov",
        "-d",
        folder,
        "--framework",
        "kubernetes",
        "--skip-download",
        "--quiet",
        "--compact",
        "-o",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    # It looked: a run over nothing would find nothing.
    assert report["summary"]["passed"] > 1000
    return {(found["check_id"], found["resource"]) for found in report["results"]["failed_checks"]}


def test_every_finding_of_checkov_is_argued_and_every_argument_is_needed(findings: set[tuple[str, str]]) -> None:
    argued = yaml.safe_load((K8S / "checkov.yaml").read_text())
    patterns = {(entry["check"], resource) for entry in argued for resource in entry["resources"]}

    def fits(pattern: tuple[str, str], found: tuple[str, str]) -> bool:
        return pattern[0] == found[0] and fnmatch.fnmatch(found[1], pattern[1])

    assert not {found for found in findings if not any(fits(pattern, found) for pattern in patterns)}
    assert not {pattern for pattern in patterns if not any(fits(pattern, found) for found in findings)}
    for entry in argued:
        assert len(entry["why"].split()) >= 10, entry["check"]
