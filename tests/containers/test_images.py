"""What the built images hold and how large they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.containers.engine import Engine

pytestmark = pytest.mark.timeout(3600)

MOST_MEGABYTES = {
    "auth": 200,
    "labeling": 200,
    "inference": 250,
    # OpenCV's one library has 70 MB and NumPy 45: see docs/images.md.
    "augment": 320,
    "client": 150,
    "operations": 150,
    "gateway-config": 150,
    "modelserver": 1500,
    "training": 1700,
}
PYTHON_IMAGES = tuple(MOST_MEGABYTES)
SERVICES = ("auth", "labeling", "inference", "augment")
_LOOK = """
import importlib.util, json, os, pathlib, sys
programs = [path.name for folder in ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin", "/opt/labelmesh/bin")
            for path in pathlib.Path(folder).glob("*")]
names = ("pip", "setuptools", "ensurepip", "grpc_tools", "wheel", "tensorflow", "numpy", "cv2")
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "programs": sorted(set(programs)),
    "modules": [name for name in names if importlib.util.find_spec(name) is not None],
    "uncompiled": [str(path) for path in pathlib.Path("/opt/labelmesh/lib").rglob("labelmesh_*/*.py")
                   if not pathlib.Path(importlib.util.cache_from_source(path)).exists()],
    "bill": json.loads(pathlib.Path("/usr/share/labelmesh/sbom.cdx.json").read_text()),
}))
"""


def look_into(engine: Engine, image: str) -> dict[str, Any]:
    """What a program sees that runs in the image."""
    confined = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    seen: dict[str, Any] = json.loads(
        engine.docker("run", *confined, "--entrypoint", "/opt/labelmesh/bin/python", f"labelmesh/{image}", "-c", _LOOK)
    )
    return seen


@pytest.mark.parametrize("image", PYTHON_IMAGES)
def test_an_image_is_no_larger_than_promised(engine: Engine, images: list[str], image: str) -> None:
    size = engine.inspect(f"labelmesh/{image}")[0]["Size"] / 1e6
    print(f"{image}: {size:.0f} MB")
    assert size < MOST_MEGABYTES[image]


@pytest.mark.parametrize("image", PYTHON_IMAGES)
def test_an_image_has_nothing_that_builds_or_installs_and_nobody_is_root(engine: Engine, images: list[str], image: str) -> None:
    seen = look_into(engine, image)

    assert seen["user"] == [10001, 10001]
    assert not {"sh", "bash", "dash", "gcc", "cc", "ld", "apt", "dpkg", "pip", "pip3", "busybox", "perl"} & set(seen["programs"])
    assert not {"pip", "setuptools", "wheel", "ensurepip", "grpc_tools"} & set(seen["modules"])
    assert ("tensorflow" in seen["modules"]) == (image in ("modelserver", "training"))
    assert ("cv2" in seen["modules"]) == (image == "augment")
    assert seen["uncompiled"] == []


@pytest.mark.parametrize("image", PYTHON_IMAGES)
def test_an_image_s_bill_names_what_is_in_it(engine: Engine, images: list[str], image: str) -> None:
    bill = look_into(engine, image)["bill"]
    names = {component["name"].lower() for component in bill["components"]}
    services = {f"labelmesh-{name}" for name in (*SERVICES, "modelserver")}

    assert bill["bomFormat"] == "CycloneDX"
    assert {"cpython", "libc6", "base-files"} <= names
    assert services & names == ({f"labelmesh-{image}"} if f"labelmesh-{image}" in services else set())


@pytest.mark.parametrize("image", [*PYTHON_IMAGES, "gateway"])
def test_an_image_says_what_it_is(engine: Engine, images: list[str], image: str) -> None:
    told = engine.inspect(f"labelmesh/{image}")[0]["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in told["Labels"].items()}

    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == "0.1.0"
    assert labels["revision"] == "0123456789abcdef"
    assert told["User"] == "10001:10001"
    checked = told.get("Healthcheck", {}).get("Test", ["NONE"]) != ["NONE"]
    assert checked == (image in (*SERVICES, "modelserver"))


def test_a_function_that_was_taken_out_ends_the_process_at_once(engine: Engine, images: list[str]) -> None:
    program = "import cv2, numpy; cv2.solve(numpy.eye(200), numpy.ones((200, 1)))"
    code = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {program!r}]).returncode)"

    said = engine.docker("run", "--rm", "--network=none", "--entrypoint", "/opt/labelmesh/bin/python", "labelmesh/augment", "-c", code)

    assert int(said.split()[-1]) in (-4, -5)  # SIGILL on x86-64, SIGTRAP on AArch64
