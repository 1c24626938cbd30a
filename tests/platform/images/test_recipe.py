"""The images' recipe, as far as it can be judged without building anything."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import make
import pytest

HOUSE = Path(__file__).resolve().parents[3]
TOOLS = HOUSE / ".labelmesh" / "platform" / "bin"
RECIPE = HOUSE / "images" / "Dockerfile"
RECIPES = (RECIPE, *sorted((HOUSE / "tests" / "containers" / "standins").glob("*/Dockerfile")))
_PINNED = re.compile(r"^[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}$")
# No digest of these two is found in anything public; docs/images.md says so.
_TAG_ALONE = ("tensorflow/serving:2.20.0", "tensorflow/serving:2.19.1-gpu")


def table() -> dict[str, dict[str, str]]:
    return dict(json.loads((HOUSE / "images" / "images.json").read_text()))


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([TOOLS / "hadolint", *RECIPES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_base_images_are_named_by_tag_and_digest() -> None:
    bases = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", RECIPE.read_text(), re.MULTILINE))

    assert set(bases) == {"PYTHON_IMAGE", "NODE_IMAGE", "ENVOY_IMAGE"}
    assert all(_PINNED.match(name) for name in bases.values())


def test_compose_names_other_people_s_images_by_tag_and_digest() -> None:
    text = (HOUSE / "docker-compose.yml").read_text()
    names = re.findall(r"image: \$\{\w+_IMAGE:-([^}]+)\}", text)

    assert len(names) == 9
    assert [name for name in names if not _PINNED.match(name)] == list(_TAG_ALONE)


def test_every_base_image_stands_in_the_documents_with_its_digest() -> None:
    documented = (HOUSE / "docs" / "images.md").read_text()
    texts = RECIPE.read_text() + (HOUSE / "docker-compose.yml").read_text()

    for name, digest in re.findall(r"(?:=|:-)([a-z0-9./-]+:[A-Za-z0-9._-]+)@(sha256:[0-9a-f]{64})", texts):
        assert f"`{name}`" in documented, name
        assert digest in documented, name


def test_every_image_has_a_target_and_every_target_an_image() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", RECIPE.read_text(), re.MULTILINE))
    targets = {about["target"] for about in table().values()}
    finals = set(re.findall(r"^FROM (?:scratch|job|\$\{ENVOY_IMAGE\}) AS (\S+)$", RECIPE.read_text(), re.MULTILINE))

    assert targets <= stages
    assert targets == finals


def test_what_the_recipe_copies_is_let_through_and_nothing_else() -> None:
    ignored = (HOUSE / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", RECIPE.read_text(), re.MULTILINE) for source in line.split()}

    assert ignored[1] == "*"
    for source in copied:
        assert any(source == folder or source.startswith(f"{folder}/") for folder in let_through), source
    for folder in let_through:
        assert any(source == folder or source.startswith(f"{folder}/") for source in copied), folder


def test_the_gateway_s_image_takes_no_bill_of_packages_that_it_does_not_hold() -> None:
    stage = RECIPE.read_text().partition("FROM ${ENVOY_IMAGE} AS gateway\n")[2]
    copied = re.findall(r"^COPY --from=configuration (\S+) (\S+)$", stage, re.MULTILINE)

    assert [target for _, target in copied] == ["/etc/labelmesh-gateway", "/usr/share/labelmesh/LICENSE"]


@pytest.mark.parametrize("image", sorted(table()))
def test_an_image_s_own_distributions_are_those_that_it_needs(image: str) -> None:
    found = set(make.own_distributions(table()[image]["distribution"]))
    services = {f"services/{name}" for name in ("auth", "labeling", "inference", "augment", "modelserver")}

    assert found & services == ({f"services/{image}"} if f"services/{image}" in services else set())
    assert ("services/chassis" in found) == (image in ("auth", "labeling", "inference", "augment"))
