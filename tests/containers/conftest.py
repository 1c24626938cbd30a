"""The engine, the images and the running mesh, once for all tests of containers; `./mesh test --containers` asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import ingredients
from tests.containers.composed import ComposedMesh
from tests.containers.engine import Engine, install


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A dockerd of our own. It needs root on a machine with Debian's packages."""
    assert os.geteuid() == 0, "dockerd needs root: run `./mesh test --containers` as root on a plain Debian or Ubuntu machine"
    install({"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap"})
    started = Engine(tmp_path_factory.mktemp("engine"), ingredients.compose_plugins())
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def images(engine: Engine) -> list[str]:
    """The names of all images of labelmesh, built."""
    ingredients.make_base_images(engine)
    return ingredients.build_images(engine)


@pytest.fixture(scope="session")
def mesh(engine: Engine, images: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedMesh]:
    """The whole mesh with its demo, as `docker compose up` leaves it; its data go when the tests end."""
    composed = ComposedMesh(engine, Path(tmp_path_factory.mktemp("compose")))
    composed.down("--volumes")
    composed.up()
    yield composed
    composed.down("--volumes")
