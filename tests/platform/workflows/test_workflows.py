"""Workflows are valid, can do no more than they need, run what is not theirs by commit, and run what there is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.platform.workflows.programs import GITHUB, HOUSE, run
from tests.platform.workflows.workflow import ACTIONS, WORKFLOWS, jobs, read, scripts, steps
from tests.run import SUITES

USES = re.compile(r"^\s*(?:- )?uses: (\S+)(.*)$", re.MULTILINE)
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
MAY_WRITE = {
    "images.yml: publish": {"id-token", "attestations"},
    "release.yml: wheels": {"id-token", "attestations"},
    "release.yml: images": {"id-token", "attestations"},
    "release.yml: publish": {"contents"},
    "scan.yml: code": {"security-events"},
    "update.yml: propose": {"contents", "pull-requests"},
}
"""Signing by the workflow's own identity, publishing, telling of findings, proposing a change: nothing else writes anything."""
BAD = """\
on: pull_request_target
jobs:
  greet:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v6
      - run: echo "${{ github.event.pull_request.title }}" "${{ githubb.sha }}"
"""


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    done = run("actionlint", *WORKFLOWS)
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "bad.yml"
    bad.write_text(BAD)
    assert run("actionlint", bad).returncode != 0


def test_zizmor_finds_nothing_as_its_strictest_self(tmp_path: Path) -> None:
    done = run("zizmor", "--offline", "--persona=auditor", "--quiet", ".github")
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "bad.yml"
    bad.write_text(BAD)
    found = run("zizmor", "--offline", "--persona=auditor", "--quiet", "--no-config", bad)
    assert found.returncode != 0
    assert "template-injection" in found.stdout
    assert "unpinned-uses" in found.stdout


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("github-workflows", WORKFLOWS), ("github-actions", ACTIONS), ("dependabot", [GITHUB / "dependabot.yml"])],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_file_fits_its_schema(schema: str, paths: list[Path]) -> None:
    assert paths
    done = run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)
    assert done.returncode == 0, done.stdout


def test_what_is_not_ours_is_named_by_commit_and_by_one_only() -> None:
    commits: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, *ACTIONS):
        for used, rest in USES.findall(path.read_text()):
            if used.startswith("./.github/"):
                assert (HOUSE / used).exists(), f"{path.name}: {used}"
                continue
            assert PINNED.match(used), f"{path.name}: {used}"
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", rest), f"{path.name}: {used} does not say its version"
            action, _, commit = used.partition("@")
            commits.setdefault("/".join(action.split("/")[:2]), set()).add(commit + rest)
    assert {action: found for action, found in commits.items() if len(found) > 1} == {}
    told = re.findall(r"^\| (\S+) \| (v\S+) \| `(\w+)` \|$", (HOUSE / "docs" / "contributing.md").read_text(), re.MULTILINE)
    assert {action: {f"{commit} # {version}"} for action, version, commit in told} == commits


def test_nothing_is_permitted_but_what_a_job_says_and_few_may_write() -> None:
    for path in WORKFLOWS:
        assert read(path)["permissions"] == {}, f"{path.name} has permissions for all its jobs"
    wrote: dict[str, set[str]] = {}
    for name, job in jobs():
        assert "permissions" in job, f"{name} does not say what it may"
        assert set(job["permissions"].values()) <= {"read", "write"}, name
        if writes := {scope for scope, right in job["permissions"].items() if right == "write"}:
            wrote[name] = writes
    assert wrote == MAY_WRITE


def test_what_a_stranger_proposes_never_meets_a_secret() -> None:
    for path in WORKFLOWS:
        started_by = read(path)["on"]
        assert "pull_request_target" not in started_by, path.name
        assert "workflow_run" not in started_by, path.name
        if "pull_request" in started_by:
            named = set(re.findall(r"secrets\.(\w+)", path.read_text()))
            # Those of images.yml come from release.yml alone, which calls it.
            called = started_by.get("workflow_call") or {}
            allowed = set(called.get("secrets", {}))
            assert named <= allowed, path.name


def test_every_job_ends_and_a_newer_run_takes_the_place_of_an_older_one() -> None:
    for name, job in jobs():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 60, name
    for path in WORKFLOWS:
        assert "group" in read(path)["concurrency"], path.name


def test_no_checkout_leaves_its_token_behind() -> None:
    checkouts = [(name, step) for name, step in steps() if str(step.get("uses", "")).startswith("actions/checkout@")]
    assert checkouts
    for name, step in checkouts:
        assert step["with"]["persist-credentials"] is False, name


def test_no_registry_is_named() -> None:
    hosts = re.compile(r"\b(?:[\w-]+\.)*(?:ghcr|docker|quay|gcr|pypi|pythonhosted|npmjs|azurecr|amazonaws)\.(?:io|org|com)\b")
    for path in sorted(GITHUB.rglob("*")):
        if path.is_file():
            assert not hosts.findall(path.read_text()), path.name


def test_workflows_run_suites_and_commands_that_there_are() -> None:
    commands = set(re.findall(r'"([a-z]+)"', " ".join(re.findall(r"command (?:in \(.*\)|== .*):", (HOUSE / "mesh").read_text()))))
    ran: set[str] = set()
    for name, line in scripts():
        for words in re.findall(r"\./mesh ([^`';|&>]+)", line):
            command, *arguments = words.split()
            assert command in commands, f"{name}: ./mesh {command}"
            for word in arguments if command == "test" else ():
                assert word in SUITES or word.startswith("--") or (HOUSE / word).exists(), f"{name}: ./mesh test {word}"
            if command == "test" and name.startswith("ci.yml"):
                ran |= set(arguments)
    assert ran >= set(SUITES), "ci.yml leaves a suite out"


@pytest.mark.parametrize("suite", ["platform", "e2e"])
def test_suites_that_ask_prometheus_find_it(suite: str) -> None:
    assert any("prometheus" in path.read_text() for path in (HOUSE / "tests" / suite).rglob("test_*.py"))
    steps = read(GITHUB / "workflows" / "ci.yml")["jobs"][suite]["steps"]
    assert "apt-get install --yes --no-install-recommends prometheus" in " ".join(str(step.get("run", "")) for step in steps)


def test_ci_has_passed_only_when_every_job_has() -> None:
    ci = read(GITHUB / "workflows" / "ci.yml")["jobs"]
    assert set(ci["passed"]["needs"]) == set(ci) - {"passed"}
    assert ci["passed"]["if"] == "always()"


def test_the_kubernetes_manifests_name_the_version_that_a_release_is_held_to() -> None:
    version = tomllib.loads((HOUSE / "services" / "auth" / "pyproject.toml").read_text())["project"]["version"]
    base = yaml.safe_load((HOUSE / "k8s" / "base" / "kustomization.yaml").read_text())
    ours = {image["name"]: image["newTag"] for image in base["images"] if image["name"].startswith("labelmesh/")}
    assert ours
    assert set(ours.values()) == {version}


def test_images_are_built_from_what_the_recipe_knows() -> None:
    images = json.loads((HOUSE / "images" / "images.json").read_text())
    stages = set(re.findall(r"^FROM .* AS (\S+)", (HOUSE / "images" / "Dockerfile").read_text(), re.MULTILINE))
    arguments = set(re.findall(r"^ARG (\w+)", (HOUSE / "images" / "Dockerfile").read_text(), re.MULTILINE))
    assert {image["target"] for image in images.values()} <= stages
    build = read(GITHUB / "workflows" / "images.yml")["jobs"]["build"]
    assert build["strategy"]["matrix"]["processor"] == ["amd64", "arm64"]
    recipes = [step["with"] for step in build["steps"] if str(step.get("uses", "")).startswith("docker/build-push-action@")]
    assert len(recipes) == 2
    for recipe in recipes:
        assert recipe["file"] == "images/Dockerfile"
        assert {line.partition("=")[0] for line in recipe["build-args"].splitlines()} <= arguments
    # What is pushed is what was scanned, with what tells of it.
    same = ("context", "file", "target", "platforms")
    assert [recipes[0][name] for name in same] == [recipes[1][name] for name in same]
    assert (recipes[1]["sbom"], recipes[1]["provenance"]) == (True, "mode=max")


def test_a_release_holds_every_distribution() -> None:
    script = (GITHUB / "wheels.sh").read_text()
    listed = re.search(r"^for distribution in (.*); do$", script, re.MULTILINE)
    assert listed
    found = {path for word in listed[1].split() for path in HOUSE.glob(word) if (path / "pyproject.toml").exists()}
    assert found == {path.parent for pattern in ("*", "services/*") for path in HOUSE.glob(f"{pattern}/pyproject.toml")}


def test_everything_that_is_pinned_is_moved_by_somebody() -> None:
    updates = read(GITHUB / "dependabot.yml")["updates"]
    watched = {update["package-ecosystem"]: update.get("directories", [update.get("directory")]) for update in updates}
    assert set(watched) == {"github-actions", "docker", "docker-compose", "npm"}
    for places in watched.values():
        for place in places:
            assert list(HOUSE.glob(place.strip("/") + "/" if place != "/" else "*")), place
    # Python's locks are resolved together: `./mesh lock` does it, and a workflow runs that.
    assert ("update.yml: lock", "./mesh lock") in set(scripts())
    lines = (HOUSE / "mesh").read_text()
    assert '"images" / "locks.py"' in lines
    locked = re.search(r"for name in \(([^)]*)\):\n\s+under", lines)
    assert locked
    assert {f"{name}.txt" for name in re.findall(r'"(\w+)"', locked[1])} == {path.name for path in (HOUSE / "requirements").glob("*.txt")}


@pytest.mark.parametrize("lock", sorted((HOUSE / "requirements").rglob("*.txt")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_every_package_of_python_is_held_to_its_hash(lock: Path) -> None:
    requirements = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", lock.read_text(), flags=re.MULTILINE).strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", requirement), requirement[:80]
        assert "--hash=sha256:" in requirement, requirement[:80]
    assert "://" not in lock.read_text()


def test_every_package_of_the_page_is_held_to_its_hash_and_comes_from_nowhere_in_particular() -> None:
    packages = json.loads((HOUSE / "web" / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []
    wanted = json.loads((HOUSE / "web" / "package.json").read_text())
    for version in (*wanted["dependencies"].values(), *wanted["devDependencies"].values()):
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), version
