"""What goes into each image of other people's packages."""

from __future__ import annotations

import re

import locks
import pytest

IMAGES = tuple(sorted(locks.images()))
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\;]+)", re.MULTILINE)
_HEAVY = {"tensorflow", "tensorflow-cpu", "tensorflow-serving-api", "keras"}
_BUILDING = {"grpcio-tools", "hatchling", "mypy-protobuf", "pip", "setuptools", "wheel"}
_IMAGING = {"numpy", "opencv-python-headless", "pillow", "shapely", "scikit-learn"}


def lock(name: str) -> str:
    return (locks.LOCKS / f"{name}.txt").read_text()


def pins(text: str) -> dict[str, set[str]]:
    """The versions of each package; there may be several, for different Pythons."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall(text):
        found.setdefault(locks.name_of(name), set()).add(version)
    return found


def test_locks_are_of_what_the_distributions_say_now() -> None:
    """Where this fails: `./mesh lock`, or `.labelmesh/venv/bin/python images/locks.py`."""
    wanted = locks.wanted()

    assert {path.stem for path in locks.LOCKS.glob("*.txt")} == set(wanted)
    for name, lines in wanted.items():
        assert lock(name).splitlines()[0] == locks.digest_line(lines), name


@pytest.mark.parametrize("name", ["build", *IMAGES])
def test_every_pin_has_hashes_and_is_the_one_that_everything_else_is_tested_with(name: str) -> None:
    text = lock(name)
    tested = pins((locks.HOUSE / "requirements" / "local.txt").read_text())

    assert len(re.findall(r"==[^\\]+\\\n    --hash=sha256:", text)) == len(_PIN.findall(text)) > 5
    for package, versions in pins(text).items():
        if package in tested:
            assert versions <= tested[package], package
        else:
            assert package in ("setuptools",) or name == "build", package


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_no_more_than_its_own(image: str) -> None:
    held = set(pins(lock(image)))

    assert bool(held & _HEAVY) == (image in ("modelserver", "training"))
    assert not held & (_BUILDING - ({"setuptools", "wheel"} if image in ("modelserver", "training") else set()))
    imaging = {
        "augment": {"numpy", "opencv-python-headless", "pillow", "shapely"},
        "inference": {"numpy", "pillow"},
        "labeling": {"pillow"},
        "modelserver": {"numpy"},
        "training": {"numpy", "pillow", "scikit-learn"},
    }
    assert held & (_IMAGING | {"opencv-python-headless"}) <= imaging.get(image, set()) | ({"pillow"} if image == "modelserver" else set())
